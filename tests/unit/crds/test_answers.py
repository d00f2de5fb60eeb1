"""Answers of earlier targets in expressions: which are at hand where, what is said of the rest, and which are kept."""

import pytest

from fanout_crds.answers import SIZE
from fanout_crds.expressions import ANSWER_BODY, BODY, VALUE, WHEN, ExpressionText, Scope
from fanout_crds.expressions import compile as compile_expression
from fanout_crds.faults import Faults
from tests.unit.crds.corpus import Json
from tests.unit.crds.test_graph import compiled, faults_of, targets

PAY = "spec.targets[1].request.bodyExpression"


def chain(body: str, **pay: object) -> Json:
    """Reserve, then pay, with this body, then ship; mail is by itself."""
    return targets(
        {"name": "reserve"},
        {"name": "pay", "dependsOn": ["reserve"], "request": {"bodyExpression": body}, **pay},
        {"name": "ship", "dependsOn": ["pay"]},
        {"name": "mail"},
    )


def keeps(document: Json) -> dict[str, int]:
    """Of whose answers how much is kept."""
    return {one.name: one.keep for one in compiled(document).plan.targets if one.keep}


def test_only_the_answers_that_somebody_reads_are_kept() -> None:
    assert keeps(chain("data")) == {}
    assert keeps(chain("{'for': targets.reserve.body.id}")) == {"reserve": SIZE}


@pytest.mark.parametrize(
    "request_",
    [
        {"pathExpression": "['charges', targets.reserve.body.id]"},
        {"query": [{"name": "for", "valueExpression": "targets['reserve'].status"}]},
        {"headers": [{"name": "x-for", "valueExpression": "targets.reserve.headers.location"}]},
        {"bodyExpression": "has(targets.reserve.body) ? targets.reserve.body : {}"},
    ],
)
def test_every_part_of_a_request_may_read_them(request_: Json) -> None:
    assert keeps(chain("data", request=request_)) == {"reserve": SIZE}


def test_a_condition_may_read_them_and_so_may_whoever_comes_after_in_more_than_one_step() -> None:
    document = chain("data", when="targets.reserve.status == 201")
    document["spec"]["targets"][2]["when"] = "targets.reserve.body.express && targets.pay.state == 'Delivered'"

    assert keeps(document) == {"reserve": SIZE, "pay": SIZE}


def test_a_compensation_reads_what_its_own_target_answered_and_a_callback_all_of_them() -> None:
    undo = {"url": "https://pay.example.com/", "request": {"pathExpression": "['charges', targets.pay.body.id]"}}
    document = chain("data", compensate=undo)
    assert keeps(document) == {"pay": SIZE}

    done = {"name": "audit", "url": "https://audit.example.com/", "request": {"bodyExpression": "targets"}}
    document["spec"]["finally"] = [done]
    assert keeps(document) == dict.fromkeys(("reserve", "pay", "ship", "mail"), SIZE)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "targets.mail.body",
            "targets.mail: its answer need not be there by then: add mail to spec.targets[1].dependsOn",
        ),
        (
            "targets.ship.body",
            "targets.ship: it is asked after pay, so that its answer need not be there",
        ),
        ("targets.resrve.body", 'no target is named resrve; did you mean "reserve"?'),
        ("targets.pay.body", "targets.pay: its own answer is not there before it is asked"),
        ("targets", 'answers are read one by one and by name here, such as targets["reserve"].body'),
        (
            "targets.map(name, targets[name].state)",
            'answers are read one by one and by name here, such as targets["reserve"].body',
        ),
    ],
)
def test_an_answer_that_need_not_be_there_is_refused_with_what_to_do(body: str, says: str) -> None:
    assert faults_of(chain(body)) == [f"{PAY}: {says}"]


def test_a_compensation_cannot_read_what_need_not_have_been_asked() -> None:
    undo = {"url": "https://pay.example.com/", "request": {"bodyExpression": "targets.ship.body"}}

    assert faults_of(chain("data", compensate=undo)) == [
        "spec.targets[1].compensate.request.bodyExpression: targets.ship: it is asked after pay, so that its answer"
        " need not be there"
    ]


def test_a_fallback_does_not_read_what_its_own_target_answered() -> None:
    """To depend on the target, as other answers want it, would be of no use: it is asked because that one failed."""
    instead = {
        "type": "Target",
        "target": {"url": "https://b.example.com/", "request": {"bodyExpression": "targets.pay"}},
    }

    assert faults_of(chain("data", fallback=instead)) == [
        "spec.targets[1].fallback.target.request.bodyExpression: targets.pay: a fallback is asked because pay was given"
        " up, whose answer is not handed on: leave it out"
    ]


def test_a_circle_is_said_as_one_whatever_is_read_around_it() -> None:
    document = chain("targets.ship.body", dependsOn=["ship"])

    assert faults_of(document) == ["spec.targets[1].dependsOn[0]: dependsOn goes in a circle: pay → ship → pay"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("targets.reserve.bdy", 'targets.reserve has no bdy; did you mean "body"?'),
        (
            "targets.reserve.headers['x-etag']",
            'of the headers of targets.reserve x-etag is not kept; did you mean "etag"?',
        ),
    ],
)
def test_what_there_is_not_of_an_answer_is_refused_where_it_is_read(body: str, says: str) -> None:
    assert faults_of(chain(body)) == [f"{PAY}: {says}"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("targets.pay.status == '200'", "at 1:20: == does not take (int, string): convert"),
        ("targets.pay.status in ['200', '201']", "at 1:20: in does not take (int, list(string))"),
        ("targets['credit-check'].status != '200'", "at 1:32: != does not take (int, string): convert"),
        ("data.n == 1 &&\n targets.pay.truncated == 'true'", "at 2:24: == does not take (bool, string): convert"),
        ("targets.pay.headers['retry-after'] > 7", "at 1:36: > does not take (string, int): convert"),
        ("'paid: ' + targets.pay.status == ''", "at 1:10: + does not take (string, int): convert"),
        ("targets.pay.status.code", "at 1:19: expression of type 'int' cannot be the operand of a select operation"),
        ("has(targets.pay.status) && targets.pay.status == '200'", "at 1:47: == does not take (int, string): convert"),
        ("targets.pay.state == 'Deliverd'", 'at 1:22: no target is Deliverd here; did you mean "Delivered"?'),
        ("'dead' != targets['pay'].state", 'at 1:1: no target is dead here; did you mean "Dead"?'),
        ("targets.pay.state in ['Dead', 'Skiped']", 'at 1:31: no target is Skiped here; did you mean "Skipped"?'),
        ("targets.pay.state == 'Pending'", "at 1:22: no target is Pending here; "),
        ("targets.exists(n, targets[n].state == 'Failed')", "at 1:39: no target is Failed here; "),
    ],
)
def test_what_can_never_be_of_an_answer_is_refused_where_its_type_is_known(text: str, says: str) -> None:
    faults = Faults()

    assert ExpressionText(WHEN).read(text, "spec.targets[2].when", faults) is None
    [wrong] = faults.found()
    assert str(wrong).startswith(f"spec.targets[2].when: {says}")


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("has(targets.pay.status) && targets.pay.status == 200", WHEN),
        ("has( targets['credit-check'].headers ) && targets['credit-check'].headers.etag == 'x'", WHEN),
        ("targets.pay.status > 199.5 && targets.pay.status == 200.0 && targets.pay.status in [200u]", WHEN),
        ("targets.pay.body.status == '200' || targets.pay.body == 7", WHEN),
        ("targets.pay.state in ['Delivered', 'Dead', 'Skipped'] && targets.pay.state.startsWith('D')", WHEN),
        ("[{'pay': {'status': '200'}}].exists(targets, targets.pay.status == '200')", WHEN),
        ("has(targets.pay.status) ? targets.pay.status : null", VALUE),
        ("has(targets.pay.headers.etag) ? targets.pay.headers['etag'] : null", VALUE),
        ("{'all': targets, 'of': [targets.pay.status, 'x'], 'n': targets.map(n, targets[n].status == '200')}", BODY),
        (
            "{'late': targets.filter(n, targets[n].state == 'Pending'), 'pay': targets.pay.state == 'Pending'}",
            ANSWER_BODY,
        ),
    ],
)
def test_what_may_be_is_taken_also_where_types_are_mixed_on_purpose(text: str, scope: Scope) -> None:
    faults = Faults()

    assert ExpressionText(scope).read(text, "here", faults) == text
    assert not faults


def test_what_a_plan_has_taken_already_goes_on_as_it_is() -> None:
    """An upgrade must not take away what was in force; the manifest is refused when it is read next."""
    assert compile_expression("targets.pay.status == '200'", WHEN).reads.targets == {"pay": {"status": None}}
