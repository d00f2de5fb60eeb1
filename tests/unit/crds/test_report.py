"""The report stream's lines: what one plane writes the other reads, and what neither knows does no harm."""

import pytest

from fanout_crds.report import (
    CIRCUITS,
    HEARTBEAT,
    SILENCE,
    Gone,
    Heartbeat,
    Hello,
    Line,
    NoLine,
    RouteReport,
    SnapshotEnd,
    TargetReport,
    decode,
    encode,
)
from fanout_dispatcher.policies.circuit import CircuitState
from fanout_dispatcher.telemetry import exposition

TARGET = TargetReport(name="crm", circuit="Open", pending=3, dead_letters=1, last_error="ConnectFailed")
LINES: tuple[Line, ...] = (
    Hello(format=1, epoch="e"),
    RouteReport(route="shop/orders", revision="r1", generation=2, targets=(TARGET,)),
    RouteReport(route="shop/orders", refused="format 9"),
    SnapshotEnd(),
    Gone(route="shop/orders"),
    Heartbeat(),
)


@pytest.mark.parametrize("line", LINES, ids=lambda line: type(line).__name__)
def test_what_is_written_is_one_line_and_reads_as_what_it_was(line: Line) -> None:
    text = encode(line)

    assert text.count(b"\n") == 1
    assert decode(text) == line


def test_fields_are_written_as_json_writes_them() -> None:
    assert encode(RouteReport(route="a/b", targets=(TARGET,))) == (
        b'{"kind":"route","route":"a/b","revision":"","generation":0,"refused":null,"targets":'
        b'[{"name":"crm","circuit":"Open","pending":3,"deadLetters":1,"stuck":0,"lastError":"ConnectFailed","asked":true,"dryRun":false}],"source":null}\n'
    )


def test_kinds_fields_and_words_of_a_newer_dispatcher_are_no_fault() -> None:
    assert decode(b'{"kind":"weather","sun":1}') is None
    assert decode(b'{"kind":"heartbeat","sun":1}') == Heartbeat()
    assert decode(b'{"kind":"route","route":"a/b","targets":[{"name":"t","circuit":"Bent"}]}') == (
        RouteReport(route="a/b", targets=(TargetReport(name="t", circuit="Bent"),))
    )


@pytest.mark.parametrize(
    "text", [b"", b"null", b"{}", b'{"kind":7}', b'{"kind":"route"}', b'{"kind":"hello"}', b"\xff"]
)
def test_what_is_no_line_is_refused(text: bytes) -> None:
    with pytest.raises(NoLine):
        decode(text)


def test_a_dispatcher_is_silent_only_when_several_heartbeats_are_missing() -> None:
    assert SILENCE >= 3 * HEARTBEAT


def test_the_circuits_words_are_the_same_where_they_come_from_and_where_they_are_counted() -> None:
    assert {one.value for one in CircuitState} == set(exposition.CIRCUITS) == set(CIRCUITS)
