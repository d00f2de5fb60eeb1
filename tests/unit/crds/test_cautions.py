"""What is no fault and surprises all the same: answers that are read and need not have come."""

import pytest

from fanout_crds.cautions import cautions
from fanout_crds.route import parse

UNASKED = "targets.stock.body.id"
ASKED = "has(targets.stock.body) ? targets.stock.body.id : event.id"


def said(spec: dict[str, object]) -> list[tuple[str, str]]:
    """Path and first words of each."""
    document = {
        "apiVersion": "fanout.dev/v1alpha1",
        "kind": "FanoutRoute",
        "metadata": {"name": "order", "namespace": "shop"},
        "spec": spec,
    }
    return [(one.path, one.message.partition(":")[0]) for one in cautions(parse(document))]


def answering(expression: str, **respond: object) -> list[tuple[str, str]]:
    targets = [{"name": name, "url": "https://example.com/"} for name in ("stock", "price")]
    return said({"respond": {"mode": "Settled", "bodyExpression": expression, **respond}, "targets": targets})


@pytest.mark.parametrize("respond", [{"onTimeout": "Partial"}, {"quorum": 1}])
def test_a_target_that_need_not_have_answered_is_to_be_asked_for(respond: dict[str, object]) -> None:
    path = "spec.respond.bodyExpression"

    assert answering(UNASKED, **respond) == [(path, "stock need not have answered, and then the caller has 500")]
    assert answering(ASKED, **respond) == []
    assert answering("targets.stock.state == 'Delivered' ? targets.stock.body.id : 'none'", **respond) == []
    assert answering("targets", **respond) == []


def test_where_all_have_answered_or_nobody_is_answered_there_is_nothing_to_ask() -> None:
    assert answering(UNASKED) == []


def test_a_state_that_can_only_be_one_is_no_way_to_tell_of_failures() -> None:
    told = "targets.stock.state is Delivered whenever this is asked"
    expression = "targets.stock.state == 'Delivered' ? 'yes' : 'no'"

    assert answering(expression) == [("spec.respond.bodyExpression", told)]
    assert answering(expression, onTimeout="Partial") == answering(expression, quorum=1) == []


@pytest.mark.parametrize(("expression", "count"), [(UNASKED, 1), (ASKED, 0), ("targets.payment.body.id", 0)])
def test_a_compensation_may_not_count_on_its_own_target_s_answer(expression: str, count: int) -> None:
    undo = {"url": "https://example.com/undo", "request": {"pathExpression": expression}}
    payment = {"name": "payment", "url": "https://example.com/"}
    stock = {"name": "stock", "url": "https://example.com/", "dependsOn": ["payment"], "compensate": undo}
    path = "spec.targets[1].compensate.request.pathExpression"
    words = "stock may have done it without an answer (a timeout), and then the saga is stuck"

    assert said({"targets": [payment, stock]}) == [(path, words)] * count
