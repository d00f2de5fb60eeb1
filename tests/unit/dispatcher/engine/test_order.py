"""What an event is kept in order by."""

import msgspec
import pytest

from fanout_crds.expressions import Unusable
from fanout_crds.plan import Ordering
from fanout_crds.policy import AfterDeath
from fanout_dispatcher.engine.filters import filters
from fanout_dispatcher.engine.order import Order, Orders, order
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.facts import Facts
from tests.support.plans import a_plan, a_policy, a_target

JSON = Head(id="1", source="/shop", type="t", identity=b"", attributes=b"content-type: application/json\r\n")


def by(attribute: str, after_death: AfterDeath = "Block") -> Order:
    made = order(a_policy(ordering=Ordering(key_attribute=attribute, after_death=after_death)))
    assert made is not None
    return made


def a_head(attributes: bytes) -> Head:
    return Head(id="1", source="/shop", type="t", identity=b"", attributes=attributes)


def key(attribute: str, attributes: bytes) -> bytes | None:
    return by(attribute).key(Facts(a_head(attributes), b"{}"))


def test_a_policy_without_ordering_keeps_none() -> None:
    assert order(a_policy()) is None


def test_the_same_value_is_the_same_key_and_another_value_another() -> None:
    first = key("subject", b"ce-id: 1\r\nce-subject: a\r\ncontent-type: text/plain\r\n")

    assert first == key("subject", b"ce-subject: a\r\nce-id: 2\r\n")
    assert first != key("subject", b"ce-subject: b\r\n")


def test_a_value_is_the_same_however_it_is_spelt() -> None:
    assert key("subject", b"ce-subject: a%62c\r\n") == key("subject", b"ce-subject: abc\r\n")


@pytest.mark.parametrize(
    "attributes",
    [
        b"",
        b"ce-subject: \r\n",
        b"ce-subjects: a\r\n",
        b"x-ce-subject: a\r\n",
        b"ce-type: ce-subject: a\r\n",
    ],
)
def test_an_event_without_the_attribute_has_no_key(attributes: bytes) -> None:
    assert key("subject", attributes) is None


def known(order: Order, body: bytes) -> Facts:
    return Facts(JSON, body, order.reads)


def by_expression(text: str) -> Order:
    made = order(a_policy(ordering=Ordering(key_attribute=None, key_expression=text, after_death="Block")))
    assert made is not None
    return made


def test_an_expression_gives_the_key_from_the_data_too() -> None:
    made = by_expression("data.order")

    found = made.key(known(made, b'{"order": "a"}'))

    assert found == key("subject", b"ce-subject: a\r\n"), "the same value is the same key, wherever it comes from"


def test_an_empty_text_is_no_key() -> None:
    made = by_expression("''")

    assert made.key(known(made, b"{}")) is None


def test_a_key_that_cannot_be_read_is_said_like_a_filter_that_failed_and_no_other_target_minds() -> None:
    made = Orders([None, by_expression("data.order"), by("subject")])

    head = msgspec.structs.replace(JSON, attributes=JSON.attributes + b"ce-subject: a\r\n")

    judged, keys = made.judge(Facts(head, b"{}", made.reads), None)

    assert keys == [None, None, key("subject", b"ce-subject: a\r\n")]
    assert judged is not None
    assert (judged[0], judged[2]) == (True, True)
    assert str(judged[1]).startswith("policy.ordering.keyExpression: there is no")


def test_of_an_event_that_is_skipped_no_key_is_read() -> None:
    made = Orders([by_expression("data.order")])

    assert made.judge(Facts(JSON, b"{}", made.reads), [False]) == ([False], [None])


def test_a_plan_whose_key_cannot_be_read_is_refused_with_the_path() -> None:
    broken = Ordering(key_attribute=None, key_expression="evnt.id", after_death="Block")

    with pytest.raises(
        Unusable, match=r"^spec\.targets\[1\]\.policy\.ordering\.keyExpression: at 1:1: unknown name evnt"
    ):
        filters(a_plan("a", a_target("b", policy={"ordering": broken})))


@pytest.mark.parametrize(("after_death", "holds"), [("Block", True), ("PassOver", False)])
def test_only_block_lets_a_dead_letter_hold_its_key(after_death: AfterDeath, holds: bool) -> None:
    assert by("subject", after_death).holds is holds
