"""Images without Docker and without a registry: an OCI archive is a tar of a few JSON files and layers.

The image of Fanout is what the Dockerfile makes, on the running interpreter instead of a distribution: the same
scripts/install.sh, the same user, entry point and environment. There is a second one with the tag `TAG-next`, which
says that it is a later version: what a release is upgraded to. `pause`, which holds a pod's network, is the
interpreter's layer alone. Layers have no times and no owners, so that the same files make the same digest.
"""

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness.binaries import cache_root
from tests.harness.nodes import interpreter
from tests.harness.wheels import say

PAUSE = "localhost/pause:1"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "requirements", "scripts", "crds", "operator", "dispatcher")
KEPT = 4  # archives in the cache, of this checkout and others
HERE = Path(__file__).parent
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"  # not compressed: it is read once, on the machine that wrote it


def fanout_image(source: Path, tag: str) -> Path:
    """Give the archive of a checkout's `localhost/fanout:TAG`, `:TAG-next` and `pause`; built unless in the cache."""
    path = cache_root() / "images" / f"fanout-{tag}-{_digest(source)}.tar"
    if not path.exists():
        say(f"building the image localhost/fanout:{tag} (about 30 s on two cores)")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".building-") as scratch:
            _build(source, tag, Path(scratch)).rename(path)
    path.touch()
    for old in sorted(path.parent.glob("*.tar"), key=lambda one: one.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def _build(source: Path, tag: str, scratch: Path) -> Path:
    base, app, later = scratch / "base", scratch / "app", scratch / "next"
    interpreter.copy_interpreter(base)
    subprocess.run(
        [str(source / "scripts/install.sh"), "app", str(app / "app")],
        env={**os.environ, "PYTHON": sys.executable},
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=600,
    )
    interpreter.copy_libraries(app, (app / "app").rglob("*.so*"))
    for root in (base, app):
        interpreter.compile_all(root)
    _renumber(app, later)
    layers = [layer(base), layer(app)]
    wait = ["/usr/local/bin/python3", "-ISc", "import signal; signal.pause()"]
    archive = Archive()
    archive.add(PAUSE, layers[:1], {"Entrypoint": wait, "User": "65532:65532"})
    config = {
        "Entrypoint": ["fanout"],
        "Cmd": ["--help"],
        "User": "65532:65532",
        "WorkingDir": "/tmp",
        "Env": [
            "PATH=/app/lib/bin:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH=/app/lib",
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
        ],
    }
    archive.add(f"localhost/fanout:{tag}", layers, config)
    archive.add(f"localhost/fanout:{tag}-next", [*layers, layer(later)], config)
    return archive.write(scratch / "image.tar")


def _renumber(app: Path, into: Path) -> None:
    """Write what lies over an image of *app* to make it the version `…+next`."""
    (metadata,) = app.glob("app/lib/fanout-*.dist-info/METADATA")
    changed = into / metadata.relative_to(app)
    changed.parent.mkdir(parents=True)
    text = metadata.read_text(encoding="utf-8")
    changed.write_text(re.sub(r"^(Version: .+)$", r"\1+next", text, count=1, flags=re.MULTILINE), encoding="utf-8")


class Archive:
    """Images in the OCI layout, to be written as one tar."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self._images: list[dict[str, Any]] = []

    def add(self, name: str, layers: Sequence[bytes], config: Mapping[str, Any]) -> None:
        """Add an image of these layers, from the lowest up."""
        blobs = [self._blob(LAYER, one) for one in layers]
        rootfs = {"type": "layers", "diff_ids": [one["digest"] for one in blobs]}
        machine = {"architecture": MACHINES.get(platform.machine(), platform.machine()), "os": "linux"}
        settings = {**machine, "config": config, "rootfs": rootfs}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(CONFIG, json.dumps(settings).encode()),
            "layers": blobs,
        }
        entry = self._blob(MANIFEST, json.dumps(manifest).encode())
        self._images.append({**entry, "annotations": {"io.containerd.image.name": name}})

    def write(self, path: Path) -> Path:
        """Write the tar and give its path."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self._images}
        with tarfile.open(path, "w") as tar:
            for name, content in {**self._files, "index.json": json.dumps(index).encode()}.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return path

    def _blob(self, kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        self._files[f"blobs/sha256/{digest}"] = content
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


def layer(root: Path) -> bytes:
    """Pack a folder as a layer, with nothing in it that depends on when and by whom it was made."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o1777 if entry.name == "tmp" else 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for one in sorted(root.rglob("*")):
            tar.add(one, str(one.relative_to(root)), recursive=False, filter=anonymous)
    return packed.getvalue()


def _digest(source: Path) -> str:
    """Whatever the image is made of: sources, interpreter, and the code that packs them."""
    digest = hashlib.sha256(f"{sys.version} {platform.machine()}".encode())
    files = [one for name in SOURCES for one in _files(source / name)]
    for file in [*files, *sorted(HERE.glob("i*.py"))]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _files(path: Path) -> list[Path]:
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return [one for one in found if one.is_file() and "__pycache__" not in one.parts]
