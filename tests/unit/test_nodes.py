"""What `make e2e` stands on and what can be told without a cluster: what a machine lacks, and what an image is."""

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.harness.nodes import machine
from tests.harness.nodes.cluster import images
from tests.harness.nodes.images import Archive, layer


def test_a_machine_without_containerd_is_told_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(program: str, **_: object) -> None:
        return None

    monkeypatch.setattr(shutil, "which", nothing)
    monkeypatch.setattr(machine, "PLUGINS", Path("/nowhere"))

    told = [one for one in machine.missing() if "apt-get" in one]

    assert told == [
        "programs are missing; on Debian: apt-get install --no-install-recommends "
        "containerd containernetworking-plugins iproute2 mount nftables runc util-linux"
    ]


def test_a_user_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert any("need root" in one for one in machine.missing())


def test_a_cluster_is_refused_outside_of_namespaces_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FANOUT_NODES_IMAGES", raising=False)

    with pytest.raises(RuntimeError, match="inside namespaces of its own"):
        images()


def test_the_same_files_make_the_same_layer_whenever_they_were_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "app").mkdir(parents=True)
        (tmp_path / name / "app" / "file").write_text("the same")
    (tmp_path / "b" / "app" / "file").touch()

    assert layer(tmp_path / "a") == layer(tmp_path / "b")


def test_an_archive_names_its_images_and_holds_every_blob_they_refer_to(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    archive = Archive()
    archive.add("localhost/one:1", [layer(tmp_path / "root")], {"Cmd": ["one"]})
    with tarfile.open(archive.write(tmp_path / "image.tar")) as tar:
        files = {entry.name: content(tar, entry) for entry in tar.getmembers()}

    (entry,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[blob(entry)])

    assert entry["annotations"] == {"io.containerd.image.name": "localhost/one:1"}
    assert json.loads(files[blob(manifest["config"])])["config"] == {"Cmd": ["one"]}
    assert all(blob(one) in files for one in manifest["layers"])


def blob(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    assert file is not None, f"{entry.name} is a file"
    return file.read()
