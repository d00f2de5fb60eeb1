"""Logs: an event word and fields, JSON or words; what comes from outside can neither forge a line nor show a secret."""

import io
import json
import logging
import typing

import pytest

from fanout_dispatcher.telemetry.logs import LogSeam, adopt_libraries, logger
from fanout_dispatcher.telemetry.seam import (
    Change,
    CircuitChanged,
    DeliveryDead,
    JournalDegraded,
    PlansFaulty,
    RouteAdopted,
)


def told(change: Change, form: str = "json") -> str:
    said = io.StringIO()
    LogSeam(logger(said, level="debug", form=form)).tell(change)
    return said.getvalue()


def test_a_change_is_one_json_line_with_word_level_time_and_fields() -> None:
    line = json.loads(told(DeliveryDead(route="shop/order", target="crm", receipt="r1", reason="Expired", attempts=9)))

    time = line.pop("time")
    assert time.endswith("Z")
    assert line == {
        "level": "warning",
        "event": "delivery.dead",
        "route": "shop/order",
        "target": "crm",
        "receipt": "r1",
        "reason": "Expired",
        "attempts": 9,
    }


@pytest.mark.parametrize(
    ("change", "word", "level"),
    [
        (CircuitChanged(route="a/b", target="t", before="Closed", after="Open"), "circuit.opened", "warning"),
        (CircuitChanged(route="a/b", target="t", before="Open", after="HalfOpen"), "circuit.probing", "debug"),
        (CircuitChanged(route="a/b", target="t", before="HalfOpen", after="Closed"), "circuit.closed", "info"),
        (JournalDegraded(why="disk full"), "journal.degraded", "error"),
    ],
)
def test_a_change_has_its_own_word_and_loudness(change: Change, word: str, level: str) -> None:
    line = json.loads(told(change))

    assert (line["event"], line["level"]) == (word, level)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_file_name_that_is_no_utf8_is_written_escaped(form: str) -> None:
    line = told(PlansFaulty(source="folder", why="caf\udce9.yaml: cannot be read"), form)

    assert "caf\\udce9.yaml: cannot be read" in line.encode("utf-8").decode().replace("\\\\", "\\")


def test_on_a_terminal_a_line_reads_as_words() -> None:
    change = RouteAdopted(route="shop/order", revision="ab", generation=2, targets=3, held=("crm", "mail"))

    _, rest = told(change, form="text").split(" ", 1)

    assert rest == "info    route.adopted route=shop/order revision=ab generation=2 targets=3 held=crm,mail\n"


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "hostile", ["a\nlevel=error event=forged", "\x1b[2J", "a\x7fb", "\u202eabc", "x" + chr(0x85) + "y"]
)
def test_text_from_outside_can_neither_forge_a_line_nor_steer_a_terminal(form: str, hostile: str) -> None:
    said = told(DeliveryDead(route="a/b", target="t", receipt="r", reason="Expired", detail=hostile), form=form)

    assert said.count("\n") == 1
    assert "\x1b" not in said
    if form == "text":
        assert all(one.isprintable() for one in said.rstrip("\n"))


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("name", ["token", "Authorization", "password"])
def test_a_field_named_like_a_secret_is_blanked(form: str, name: str) -> None:
    said = io.StringIO()
    logger(said, form=form).info("x.y", **{name: "s3cret"})

    assert "s3cret" not in said.getvalue()
    assert "***" in said.getvalue()


def test_below_its_level_nothing_is_said() -> None:
    said = io.StringIO()
    log = logger(said, level="warning", form="json")
    log.info("quiet.please")
    log.warning("loud.enough")

    assert [json.loads(line)["event"] for line in said.getvalue().splitlines()] == ["loud.enough"]


@pytest.fixture
def _root_logger() -> typing.Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_root_logger")
def test_what_libraries_say_comes_out_in_the_same_form_with_its_trace() -> None:
    said = io.StringIO()
    adopt_libraries(logger(said, form="json"))
    try:
        raise RuntimeError("of the library")
    except RuntimeError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")

    line = json.loads(said.getvalue())
    assert (line["event"], line["library"], line["level"]) == ("library.said", "asyncio", "error")
    assert "of the library" in line["exception"]
