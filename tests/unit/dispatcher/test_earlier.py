"""What became of earlier targets, as expressions read it."""

import pytest

from fanout_crds import expressions
from fanout_crds.expressions import BODY, Failed
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.earlier import Earlier, Kept, earlier
from fanout_dispatcher.values.event import Frozen, Head, State
from fanout_dispatcher.values.facts import facts
from fanout_dispatcher.values.graph import Step

JSON = (("content-type", "application/json; charset=utf-8"), ("location", "/bookings/7"))
HEAD = Head(id="e1", source="/shop", type="order", identity=b"i" * 16, attributes=b"")
FROZEN = Frozen(
    number=1,
    route="shop/order",
    generation=1,
    targets=("a", "b", "c"),
    lanes=(1, 2, 3),
    graph=(Step(keep=9), Step(keep=9), Step()),
)


def became(kept: Kept | None, state: int = State.DELIVERED) -> Earlier:
    """What there is to be read of target a, whose state this is."""
    states = bytes((state, State.BLOCKED, State.DELIVERED))
    return earlier(FROZEN, states, {} if kept is None else {0: kept})


def value(text: str, known: Earlier) -> object:
    """What an expression makes of it."""
    made = expressions.compile(text, BODY)
    return made.value(facts(made.reads, HEAD, b"", known.read(made.reads.targets)))


def answer(body: bytes, headers: tuple[tuple[str, str], ...] = JSON, *, truncated: bool = False) -> Earlier:
    """Target a was delivered, and answered this."""
    return became(Kept(Captured(201, headers, body, truncated)))


def test_an_answer_is_read_by_its_parts() -> None:
    known = answer(b'{"id": "b-7", "lines": [1, 2]}')

    assert value("targets.a.body.id + targets.a.headers.location", known) == "b-7/bookings/7"
    assert value("[targets.a.status, size(targets.a.body.lines)]", known) == [201, 2]
    assert value("targets.a", known) == {
        "state": "Delivered",
        "status": 201,
        "headers": dict(JSON),
        "body": {"id": "b-7", "lines": [1, 2]},
        "truncated": False,
        "fallback": False,
        "cached": False,
    }


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (answer(b"plain", ()), "plain"),
        (answer(b'{"id": 7}', ()), '{"id": 7}'),
        (answer(b"<html>"), "<html>"),
        (answer(b"\xff\xfe", ()), b"\xff\xfe"),
    ],
)
def test_a_body_is_json_where_it_says_so_and_is_else_a_text_else_bytes(known: Earlier, wanted: object) -> None:
    assert value("targets.a.body", known) == wanted


def test_an_answer_without_a_body_has_none() -> None:
    assert value("has(targets.a.body)", answer(b"")) is False


def test_what_is_cut_off_says_so_and_is_not_taken_for_the_whole() -> None:
    cut = answer(b'{"id": 7', truncated=True)

    assert value("targets.a.truncated && !has(targets.a.body)", cut) is True


@pytest.mark.parametrize(
    ("state", "kept", "wanted"),
    [
        (State.DEAD, Kept(reason="AttemptsExhausted"), {"state": "Dead", "reason": "AttemptsExhausted"}),
        (State.settled(State.DEAD, 5), Kept(reason="Expired"), {"state": "Dead", "reason": "Expired"}),
        (State.DEAD, None, {"state": "Dead", "reason": "ExpressionFailed"}),
        (State.SKIPPED, None, {"state": "Skipped"}),
        (State.NOT_REACHED, None, {"state": "Skipped", "reason": "NotReached"}),
        (State.CALLED_OFF, None, {"state": "Skipped", "reason": "CalledOff"}),
    ],
)
def test_of_one_that_was_not_delivered_there_is_its_state_and_why(
    state: int, kept: Kept | None, wanted: dict[str, object]
) -> None:
    known = became(kept, state)

    assert value("targets.a", known) == wanted | {"fallback": False}
    assert value("has(targets.a.body) ? 'answered' : targets.a.state", known) == wanted["state"]
    with pytest.raises(Failed, match=r'^there is no "body" in targets.a; has'):
        value("targets.a.body", known)


def test_what_is_not_settled_or_not_read_is_not_there() -> None:
    known = answer(b"{}")

    assert value("targets", known) == {"a": value("targets.a", known)}


def test_of_a_large_answer_only_what_is_named_is_taken_apart() -> None:
    """More values than an expression may read stand beside the one that it reads."""
    known = answer(b'{"id": 7, "rest": [' + b",".join([b"1"] * 6000) + b"]}")

    assert value("targets.a.body.id", known) == 7
    with pytest.raises(Failed, match="more than 5000 values"):
        value("targets.a.body", known)
