"""The version before, in repositories made for it: never this one, and none where there is no history."""

import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.harness import previous as harness
from tests.harness.previous import NoHistory, previous, previous_or_skip


def git(repository: Path, *args: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *args], cwd=repository, check=True, capture_output=True, timeout=60)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three versions of a chart, the second of which was tagged, and a later commit about something else."""
    made = tmp_path / "repository"
    (made / "chart").mkdir(parents=True)
    git(made, "init", "--quiet")
    for version in ("1", "2", "3"):
        (made / "chart" / "version").write_text(version)
        git(made, "add", ".")
        git(made, "commit", "--quiet", "--message", version)
    (made / "readme").write_text("new")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "--message", "another")
    return made


def before(repository: Path, into: Path) -> str:
    return (previous(into, ("chart",), ("chart",), repository) / "chart" / "version").read_text()


def test_without_tags_it_is_what_the_last_change_changed(repository: Path, tmp_path: Path) -> None:
    assert before(repository, tmp_path / "before") == "2"


def test_it_is_the_last_tag_but_never_that_of_this_very_commit(repository: Path, tmp_path: Path) -> None:
    git(repository, "tag", "v1", "HEAD~3")
    git(repository, "tag", "v2", "HEAD")

    assert before(repository, tmp_path / "before") == "1"


def test_in_a_shallow_clone_there_is_none_and_a_test_is_skipped_also_where_nothing_may_be(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", str(clone))
    monkeypatch.setattr(harness, "previous", partial(previous, root=clone))
    monkeypatch.setenv("FANOUT_SKIP_NOTHING", "1")

    with pytest.raises(pytest.skip.Exception, match="is a shallow clone, so no history"):
        previous_or_skip(tmp_path / "before", ("chart",), ("chart",))


def test_there_is_none_before_a_first_commit_nor_in_a_tarball(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "--quiet", "HEAD~3")
    with pytest.raises(NoHistory, match="has nothing before what is tested"):
        before(repository, tmp_path / "before")
    (repository / ".git").rename(tmp_path / "elsewhere")

    with pytest.raises(NoHistory, match="is no clone"):
        before(repository, tmp_path / "before")


def test_history_that_git_does_not_read_skips_a_test_unless_nothing_may_be(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / ".git" / "HEAD").write_text("nonsense")
    monkeypatch.setattr(harness, "previous", partial(previous, root=repository))
    monkeypatch.setenv("FANOUT_SKIP_NOTHING", "1")
    with pytest.raises(pytest.fail.Exception, match="git does not read"):
        previous_or_skip(tmp_path / "before", ("chart",), ("chart",))
    monkeypatch.delenv("FANOUT_SKIP_NOTHING")

    with pytest.raises(pytest.skip.Exception, match="git does not read"):
        previous_or_skip(tmp_path / "before", ("chart",), ("chart",))
