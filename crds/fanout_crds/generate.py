"""Writes what is made from the types: `make crd`. With --check it only says whether the files and the types differ.

The CRD is beside this package, crds/fanoutroutes.fanout.dev.yaml: the chart and the tests take it from there. The
reference for readers is docs/api.md.
"""

import difflib
import pathlib
import sys

import yaml

from fanout_crds import apidocs
from fanout_crds.schema import NAME, crd

FILE = pathlib.Path(__file__).parents[1] / f"{NAME}.yaml"
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "api.md"
HEADING = "# Generated from crds/fanout_crds by `make crd`: edit the types, not this file.\n"
WIDTH = 120


class _Plain(yaml.SafeDumper):
    """Writes a value each time it occurs; anchors help no reader of a CRD."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def text() -> str:
    """Give the CRD as YAML, the same bytes each time."""
    return HEADING + yaml.dump(crd(), Dumper=_Plain, sort_keys=False, width=WIDTH, allow_unicode=True)


def files() -> dict[pathlib.Path, str]:
    """Give what every generated file should hold."""
    return {FILE: text(), DOCS: apidocs.text()}


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` compare them; 1 when any differs."""
    if arguments != ["--check"]:
        for file, wanted in files().items():
            file.write_text(wanted, encoding="utf-8")
        return 0
    return max(_differs(file, wanted) for file, wanted in files().items())


def _differs(file: pathlib.Path, wanted: str) -> int:
    there = file.read_text(encoding="utf-8") if file.exists() else ""
    difference = difflib.unified_diff(there.splitlines(), wanted.splitlines(), str(file), "the types", lineterm="")
    sys.stderr.writelines(f"{line}\n" for line in difference)
    return int(there != wanted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
