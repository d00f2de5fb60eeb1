"""The filters of a route, asked together."""

import typing

from fanout_crds.expressions import Expression
from fanout_dispatcher.engine.filters import filters
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.facts import Facts
from tests.support.plans import a_plan, a_target

LINES = b"ce-type: t\r\ncontent-type: application/json\r\n"


class Asked:
    """Facts that note which expressions are asked."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.texts: list[str] = []

    def value(self, expression: Expression) -> object:
        self.texts.append(expression.text)
        return self.facts.value(expression)


def test_what_several_targets_ask_alike_is_asked_once_and_holds_for_each_of_them() -> None:
    large, fails = "data.total > 100", "data.missing"
    said = {"a": large, "b": None, "c": "event.type == 'u'", "d": fails, "e": large, "f": fails}
    made = filters(a_plan(*(a_target(name, when=when) for name, when in said.items())))
    assert made is not None
    head = Head(id="7", source="/x", type="t", identity=b"", attributes=LINES)
    known = Asked(Facts(head, b'{"total": 200}', made.reads))

    judged = made.judge(typing.cast("Facts", known))

    assert known.texts == [large, "event.type == 'u'", fails]
    assert list(judged) == [True, True, False, judged[3], True, judged[3]]
    assert str(judged[3]).startswith("when: ")
