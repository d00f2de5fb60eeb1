"""The distribution is put together so that it can be installed, imported and published."""

import importlib
import operator
import re
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = {"", ".cfg", ".in", ".ini", ".json", ".md", ".mod", ".py", ".sh", ".sum", ".toml", ".txt", ".yaml", ".yml"}
NOT_OURS = {
    ".git",
    ".venv",
    "__pycache__",
    "node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
}
# Spelt in two parts, so that this file passes its own test.
INDEX = re.compile(
    "--(extra-)?index" + "-url|--find" + "-links|pypi" + r"\.org|pythonhosted" + r"\.org|proxy\.golang" + ".org"
)


@pytest.mark.parametrize("folder", ["crds", "operator", "dispatcher"])
def test_a_planes_folder_is_not_a_package_itself(folder: str) -> None:
    """An operator/__init__.py would shadow the standard library's operator, and Python dies importing collections."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_operator_is_the_standard_librarys() -> None:
    assert Path(operator.__file__).is_relative_to(sysconfig.get_path("stdlib"))


@pytest.mark.parametrize("script", sorted(PROJECT["scripts"]))
def test_every_console_script_can_be_called(script: str) -> None:
    module, function = PROJECT["scripts"][script].split(":")

    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("package", ["crds/fanout_crds", "operator/fanout_operator", "dispatcher/fanout_dispatcher"])
def test_every_package_tells_type_checkers_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


def test_no_file_names_a_package_index() -> None:
    """Where packages come from is the machine's setting; what they must be is pinned by hash."""
    found = [str(path.relative_to(ROOT)) for path in text_files() if INDEX.search(path.read_text(errors="replace"))]

    assert not found


def test_every_requirement_is_pinned_by_hash() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        for entry in re.split(r"\n(?=\S)", path.read_text().strip()):
            assert re.match(r"[a-z0-9._-]+==\S+ ", entry, re.IGNORECASE), f"{path.name}: {entry}"
            assert "--hash=sha256:" in entry, f"{path.name}: {entry}"


def text_files() -> list[Path]:
    """The checkout's own text files."""
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and path.suffix in TEXT and not NOT_OURS.intersection(path.relative_to(ROOT).parts)
    ]
