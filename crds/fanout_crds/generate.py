"""Writes the CRD from its types: `make crd`. With --check it only says whether the file and the types differ.

The file is beside this package: crds/fanoutroutes.fanout.dev.yaml. The chart and the tests take it from there.
"""

import difflib
import pathlib
import sys

import yaml

from fanout_crds.schema import NAME, crd

FILE = pathlib.Path(__file__).parents[1] / f"{NAME}.yaml"
HEADING = "# Generated from crds/fanout_crds by `make crd`: edit the types, not this file.\n"
WIDTH = 120


class _Plain(yaml.SafeDumper):
    """Writes a value each time it occurs; anchors help no reader of a CRD."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def text() -> str:
    """Give the CRD as YAML, the same bytes each time."""
    return HEADING + yaml.dump(crd(), Dumper=_Plain, sort_keys=False, width=WIDTH, allow_unicode=True)


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` compare it; 1 when it differs."""
    if arguments != ["--check"]:
        FILE.write_text(text(), encoding="utf-8")
        return 0
    there = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    difference = difflib.unified_diff(there.splitlines(), text().splitlines(), str(FILE), "the types", lineterm="")
    sys.stderr.writelines(f"{line}\n" for line in difference)
    return int(there != text())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
