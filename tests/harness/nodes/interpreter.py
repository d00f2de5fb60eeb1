"""The running Python interpreter, as the files of a root folder: what an image needs where there is no distribution.

The interpreter, its standard library and the shared libraries they ask for, found by `ldd`; and `env`, which the
console scripts of an installed package name in their first line. No shell, no package manager.
"""

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

PREFIX = "usr/local"
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*.a", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo",
    "ensurepip", "lib2to3", "pydoc_data", "config-*",
)  # fmt: skip


def copy_interpreter(root: Path) -> None:
    """Fill `root` with an interpreter at /usr/local/bin/python3 that finds its library beside itself."""
    version = f"python3.{sys.version_info.minor}"
    program, library = root / PREFIX / "bin" / version, root / PREFIX / "lib" / version
    program.parent.mkdir(parents=True)
    shutil.copy2(os.path.realpath(sys.executable), program)
    (program.parent / "python3").symlink_to(version)
    shutil.copytree(sysconfig.get_path("stdlib"), library, symlinks=False, ignore=LEFT_OUT)
    env = shutil.which("env") or "/usr/bin/env"
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy2(env, root / "usr/bin/env")
    copy_libraries(root, [program, Path(env), *library.rglob("*.so")])
    (root / "tmp").mkdir()


def compile_all(root: Path) -> None:
    """Compile every module, by hash: an image's files have no times, and a read-only container could keep nothing."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(root, quiet=2, force=True, stripdir=str(root), invalidation_mode=unchecked)


def copy_libraries(root: Path, programs: Iterable[Path]) -> None:
    """Copy the shared libraries that programs ask for, each to the path at which the loader looks for it."""
    for library in sorted({found for program in programs for found in _libraries(program)}):
        target = root / library.lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(library, target)


def _libraries(program: Path) -> list[str]:
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(?:=> |^\s+)(/\S+) \(", said, flags=re.MULTILINE)
