"""The chart as plain manifests, for who installs without Helm: one file for kubectl, and a base for kustomize.

Both are the same objects, in the namespace fanout. What Helm would make by chance, the two Secrets, is not among them:
a secret in a file that everybody has is none. docs/operations.md says how they are made; pods wait for them. Labels
that speak of Helm are left out, and so are its tests.
"""

import pathlib
import re
import typing

from fanout_crds.generate import FILE as DEFINITION
from tests.harness.helm import helm

ROOT: typing.Final = pathlib.Path(__file__).parents[1]
CHART: typing.Final = ROOT / "charts" / "fanout"
KUSTOMIZE: typing.Final = ROOT / "deploy" / "kustomize"
BASE: typing.Final = KUSTOMIZE / "fanout.yaml"
NAMESPACE: typing.Final = "fanout"

HEADING: typing.Final = "# Generated from charts/fanout by `make chart`: edit the chart, not this file.\n"
VALUES: typing.Final = (
    "crds.install=false",  # it is a file of its own already
    "admin.existingSecret=fanout-admin-token",
    "report.existingSecret=fanout-report-tls",
)
HELM_ONLY: typing.Final = re.compile(
    r"^( *helm\.sh/.*| *app\.kubernetes\.io/managed-by: .*|# Source: .*)\n", re.MULTILINE
)


def base() -> str:
    """Everything but the namespace and the definition of routes."""
    return HEADING + rendered()


def install(image: str | None = None) -> str:
    """Everything, with the image at *image* (REPOSITORY:TAG or REPOSITORY@DIGEST) where one is given."""
    parts = (
        (KUSTOMIZE / "namespace.yaml").read_text(),
        DEFINITION.read_text(),
        rendered(*(_image(image) if image else ())),
    )
    return "---\n".join(parts).replace("---\n---\n", "---\n")


def rendered(*settings: str) -> str:
    """Render the chart with these further values."""
    values = [f"--set={one}" for one in VALUES]
    values += [f"--set-string={one}" for one in settings]  # a tag of digits is no number
    text = helm("template", "fanout", str(CHART), f"--namespace={NAMESPACE}", "--skip-tests", *values)
    return re.sub(r"\n{2,}", "\n", HELM_ONLY.sub("", text))


def _image(image: str) -> tuple[str, str]:
    repository, at, digest = image.partition("@")
    if at:
        return f"image.repository={repository}", f"image.digest={digest}"
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        raise ValueError(f'expected an image such as registry.example.com/fanout:0.1.0, got "{image}"')
    return f"image.repository={repository}", f"image.tag={tag}"
