"""The outlet of log lines: nobody waits for whoever reads them, and what is lost is counted."""

import io
import json
import os
import pathlib
import typing

import pytest

from fanout_crds.logs import logger
from fanout_crds.outlet import Outlet

PIPE = 1 << 16  # bytes that a pipe holds


class Pipe:
    """A pipe whose writing end is a text stream."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "w")

    def read(self) -> str:
        """All of it, once the writing end is closed."""
        self.stream.close()
        with os.fdopen(self.reading, "rb") as pipe:
            return pipe.read().decode()


@pytest.fixture
def pipe() -> typing.Iterator[Pipe]:
    made = Pipe()
    yield made
    made.stream.close()


def closed(outlet: Outlet) -> Outlet:
    """*outlet*, with everything written that can be."""
    outlet.close(patience=30)
    return outlet


def test_lines_come_out_as_they_went_in(pipe: Pipe) -> None:
    with Outlet(pipe.stream) as outlet:
        for number in range(500):
            outlet.write(f"line {number}\n")
    closed(outlet)

    assert pipe.read() == "".join(f"line {number}\n" for number in range(500))


def test_what_is_no_text_is_written_all_the_same(pipe: Pipe) -> None:
    with Outlet(pipe.stream) as outlet:
        outlet.write("caf\udce9\n")
    closed(outlet)

    assert pipe.read() == "caf\\udce9\n"


def test_a_pipe_nobody_reads_holds_nobody_up_and_the_oldest_lines_go(pipe: Pipe) -> None:
    os.write(pipe.stream.fileno(), b"-" * (PIPE - 1) + b"\n")  # it is full
    outlet = Outlet(pipe.stream, room=10 * len("000\n"))
    outlet.write("first\n")
    while "waiting=0" not in repr(outlet):
        os.sched_yield()

    for number in range(1_000):
        outlet.write(f"{number:03d}\n")
    outlet.close(patience=0.01)
    read = b""
    while b"999\n" not in read:
        read += os.read(pipe.reading, PIPE)

    kept = [f"{number}" for number in range(990, 1_000)]
    assert read.decode().splitlines()[1:] == ["first", "990 lines of the log were dropped", *kept]


def test_lines_that_could_not_be_written_are_counted_once_writing_works_again(pipe: Pipe) -> None:
    with pathlib.Path("/dev/full").open("w") as full:
        outlet = Outlet(full)
        for number in range(7):
            outlet.write(f"{number}\n")
        while "lost=7" not in repr(outlet):
            os.sched_yield()
        os.dup2(pipe.stream.fileno(), full.fileno())
        outlet.write("again\n")
        closed(outlet)

    assert pipe.read() == "7 lines of the log were dropped\nagain\n"


def test_a_closed_pipe_is_no_fault_of_whoever_logs(pipe: Pipe) -> None:
    os.close(pipe.reading)
    outlet = Outlet(pipe.stream)
    outlet.write("nobody\n")
    outlet.write("hears\n")

    assert repr(closed(outlet)) == "Outlet(waiting=0, lost=2)"


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for_all_the_same(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    outlet = Outlet(pipe.stream)
    for _ in range(3):
        outlet.write("y" * PIPE + "\n")
    outlet.close(patience=0.01)
    read = b""
    while len(read) < 3 * (PIPE + 1):
        read += os.read(pipe.reading, PIPE)

    assert read.decode() == ("y" * PIPE + "\n") * 3


def test_a_stream_that_was_closed_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    outlet = Outlet(None)
    outlet.write("into the void\n")

    assert repr(closed(outlet)) == "Outlet(waiting=0, lost=0)"
    assert not outlet.isatty()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_logger_says_in_its_own_form_how_many_lines_are_missing(form: str, pipe: Pipe) -> None:
    outlet = Outlet(pipe.stream)
    logger(outlet, form=form)

    said = outlet.notice(3)

    if form == "json":
        line = json.loads(said)
        assert (line["level"], line["event"], line["lines"]) == ("warning", "log.dropped", 3)
    else:
        assert said.endswith("warning log.dropped lines=3")


def test_a_line_with_text_that_is_none_is_said_and_raises_nothing() -> None:
    said = io.StringIO()
    logger(said, form="json").warning("route.refused", file="caf\udce9.yaml")

    assert json.loads(said.getvalue())["file"] == "caf\udce9.yaml"
