"""`make dist` writes dist/install.yaml, which `kubectl apply -f` installs. With IMAGE it names that image."""

import pathlib
import sys

from scripts.manifests import ROOT, install
from tests.harness.helm import HelmError


def main(arguments: list[str]) -> None:
    """Write it; an argument names the image."""
    file = pathlib.Path(ROOT / "dist" / "install.yaml")
    file.parent.mkdir(exist_ok=True)
    try:
        file.write_text(install(*arguments), encoding="utf-8")
    except (ValueError, HelmError) as wrong:
        raise SystemExit(f"make dist: {wrong}") from None
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
