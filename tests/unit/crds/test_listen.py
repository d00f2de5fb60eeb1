"""Paths with names in braces: what they claim, and which names expressions may read."""

import pytest

from fanout_crds import compile as compiling
from fanout_crds.accept import Accept, Idempotency
from fanout_crds.compile import Installation, Refs
from fanout_crds.faults import Invalid
from fanout_crds.listen import ASKED_ANEW, Listen, claim, names
from fanout_crds.plan import Plan
from fanout_crds.request import Method
from fanout_crds.route import Spec, parse
from tests.unit.crds.corpus import Json, good

SETTLED: Json = {"mode": "Settled"}


def compiled(**spec: Json) -> Plan:
    document = good()
    return compiling.compile(parse(document | {"spec": document["spec"] | spec}), Installation(), Refs(), "r1").plan


def faults_of(**spec: Json) -> list[str]:
    with pytest.raises(Invalid) as refused:
        compiled(**spec)
    return [str(one) for one in refused.value.faults]


def mapped(expression: str) -> Json:
    target = {"name": "stock", "url": "https://stock.example.com/"}
    return [target | {"request": {"method": "GET", "pathExpression": expression}}]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("/shop/orders", "/shop/orders"), ("/shop/{shop}/orders/{id}", "/shop/{}/orders/{}")],
)
def test_names_in_braces_tell_no_two_paths_apart(path: str, wanted: str) -> None:
    assert claim(path) == wanted


def test_names_are_given_in_the_order_in_which_they_stand() -> None:
    assert names("/shop/{shop}/orders/{id}") == ("shop", "id")


def test_a_route_that_says_nothing_of_methods_takes_post() -> None:
    assert compiled().methods == ("POST",)


def test_methods_are_in_the_plan_as_they_were_said() -> None:
    assert compiled(listen={"methods": ["GET", "DELETE"]}, respond=SETTLED).methods == ("GET", "DELETE")


def test_an_expression_may_read_any_name_of_the_path() -> None:
    plan = compiled(listen={"path": "/shop/products/{id}"}, targets=mapped("['stock', path.id, path['id']]"))

    assert plan.path == "/shop/products/{id}"


def test_a_name_that_the_path_has_not_is_refused_with_the_nearest_one() -> None:
    said = faults_of(listen={"path": "/shop/{product}"}, targets=mapped("['stock', path.prodct]"))

    assert said == [
        'spec.targets[0].request.pathExpression: listen.path has no segment {prodct}; did you mean "product"?'
    ]


def test_a_header_is_told_by_its_number_as_in_the_manifest_also_behind_the_targets() -> None:
    headers = [{"name": "x-a", "value": "1"}, {"name": "x-b", "valueExpression": "path.prodct"}]
    one = {"url": "https://stock.example.com/", "request": {"headers": headers}}
    targets = [one | {"name": "stock", "compensate": one}]

    said = faults_of(listen={"path": "/shop/{product}"}, targets=targets, **{"finally": [one | {"name": "done"}]})

    assert [line.partition(": ")[0] for line in said] == [
        "spec.targets[0].request.headers[1].valueExpression",
        "spec.targets[0].compensate.request.headers[1].valueExpression",
        "spec.finally[0].request.headers[1].valueExpression",
    ]


def test_on_a_path_without_names_there_is_nothing_to_read() -> None:
    said = faults_of(targets=mapped("['stock', path.id]"))

    assert said == [
        "spec.targets[0].request.pathExpression: path is not at hand: the route's listen.path has no segment in braces,"
        " such as {id}"
    ]


def test_what_is_no_text_cannot_be_made_of_a_segment() -> None:
    said = faults_of(listen={"path": "/shop/{id}"}, targets=mapped("['stock', path.id + 1]"))

    assert "+ does not take (string, int)" in said[0]


@pytest.mark.parametrize(("methods", "holds"), [(("GET", "PUT"), False), (("PUT", "DELETE"), True), (None, True)])
def test_a_question_has_no_first_answer_to_be_given_again(methods: tuple[Method, ...] | None, holds: bool) -> None:
    spec = Spec(targets=(), listen=Listen(methods=methods), accept=Accept(idempotency=Idempotency()))

    assert ASKED_ANEW.holds(spec) is holds


@pytest.mark.parametrize("text", ["data.sku == '7'", "has(data.sku)", "data['sku'] == event.id"])
def test_a_route_that_is_only_asked_by_get_has_no_data_to_read(text: str) -> None:
    target = {"name": "stock", "url": "https://stock.example.com/", "when": text}

    said = faults_of(listen={"methods": ["GET"]}, respond=SETTLED, targets=[target])

    assert said == [
        "spec.targets[0].when: data are not at hand: listen.methods has GET only, which brings none; read path.<name>"
        " or query.<name>"
    ]


@pytest.mark.parametrize(
    ("methods", "text"), [(["GET", "POST"], "data.sku == '7'"), (["GET"], "data == null"), (["DELETE"], "data.all")]
)
def test_data_may_be_read_where_some_request_may_bring_them(methods: Json, text: str) -> None:
    target = {"name": "stock", "url": "https://stock.example.com/", "when": text}

    assert compiled(listen={"methods": methods}, respond=SETTLED, targets=[target]).targets[0].when == text
