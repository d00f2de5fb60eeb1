"""What tests read of a process's log while it writes: whole lines."""

import pathlib

from tests.support.dispatcher import Process


def test_a_line_that_is_only_partly_written_is_not_read_yet(tmp_path: pathlib.Path) -> None:
    process = Process(tmp_path, tmp_path)
    process.log.write_text('not JSON\n{"event": "ready", "port": 1}\n{"event": "ready", "por')

    assert process.said("ready") == [{"event": "ready", "port": 1}]
