"""Writing what is made from the types and noticing that it is old."""

from pathlib import Path

import pytest

from fanout_crds import apidocs, generate


def test_check_tells_what_differs_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crd.yaml"
    file.write_text(generate.text().replace("fanoutroutes", "others"), encoding="utf-8")
    monkeypatch.setattr(generate, "FILE", file)
    monkeypatch.setattr(generate, "DOCS", tmp_path / "api.md")
    (tmp_path / "api.md").write_text(apidocs.text().replace("suspend", "halt"), encoding="utf-8")

    before = generate.main(["--check"])
    told = capsys.readouterr().err
    written = generate.main([])
    after = generate.main(["--check"])

    assert (before, written, after) == (1, 0, 0)
    assert "-  plural: others" in told or "-    plural: others" in told
    assert "-| `halt` |" in told


@pytest.mark.parametrize("file", ["FILE", "DOCS"])
def test_a_missing_file_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setattr(generate, file, tmp_path / "none")

    assert generate.main(["--check"]) == 1
