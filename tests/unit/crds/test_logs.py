"""The form of log lines, where a whole process writes it (what a line looks like: tests/unit/dispatcher/telemetry)."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from fanout_crds.logs import adopt_libraries, configure, logger


@pytest.fixture(autouse=True)
def _process_wide() -> Iterator[None]:
    """Put back what a test sets for the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_logger_that_was_made_before_writes_in_this_form_and_blanks_secrets() -> None:
    early, said = structlog.get_logger(), io.StringIO()
    configure(said, form="json")
    early.info("plan.written", route="shop/orders", token="s3cret")
    line = json.loads(said.getvalue())

    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "event": "plan.written", "route": "shop/orders", "token": "***"}


@pytest.mark.parametrize(("fault", "traced"), [(ConnectionResetError("away"), False), (KeyError("a mistake"), True)])
def test_a_librarys_trace_is_kept_unless_the_fault_is_a_usual_one(fault: Exception, traced: bool) -> None:
    said = io.StringIO()
    adopt_libraries(configure(said, form="json"), usual=(OSError,))
    try:
        raise fault
    except type(fault):
        logging.getLogger("kopf").exception("Watching has failed")
    line = json.loads(said.getvalue())

    assert line["said"] == "Watching has failed"
    assert ("Traceback" in line.get("exception", "")) is traced


def test_fields_that_are_always_there_are_also_in_what_libraries_say() -> None:
    said = io.StringIO()
    log = logger(said, form="json", always={"worker": 3})
    adopt_libraries(log)

    log.info("route.adopted", route="shop/orders")
    logging.getLogger("a.library").warning("hm")

    assert [json.loads(line)["worker"] for line in said.getvalue().splitlines()] == [3, 3]
