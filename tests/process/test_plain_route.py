"""A route without an expression pays nothing for those that other routes may have: no function of theirs is called.

And one with expressions has had them compiled before an event comes.
"""

import pathlib
import sys
import typing

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support import called
from tests.support.dispatcher import Process
from tests.support.ledger import settled

OF_EXPRESSIONS: typing.Final = ("fanout_crds/expressions/", "cel_expr_python", "values/facts.py")
COMPILING: typing.Final = (
    "expressions/runtime.py compile",
    "expressions/expression.py compile",
    "expressions/syntax.py",
)
READ: typing.Final = {
    "when": "has(data.order) && data.order == 7",
    "request": {
        "pathExpression": "['orders', string(data.order)]",
        "headers": [{"name": "x-order", "valueExpression": "string(data.order)"}],
        "query": [{"name": "order", "valueExpression": "string(data.order)"}],
        "bodyExpression": "{'order': data.order}",
    },
    "policy": {"ordering": {"keyExpression": "string(data.order)"}},
}
ON_THE_WAY: typing.Final = ("ingress/accept.py", "engine/lane.py", "transport/sender.py", "engine/committer.py")


async def functions(
    bench: Bench, tmp_path: pathlib.Path, more: dict[str, typing.Any], *, then: dict[str, typing.Any] | None = None
) -> list[str]:
    """What is called from an event's first byte to its last, and until the dispatcher has ended.

    *then* the manifest changes, and a second target is in force.
    """
    target = await bench.target("a")
    bench.route({"name": "a", "url": target.url} | more)
    process, out = bench.dispatcher(), tmp_path / "called"
    process.command[:1] = [sys.executable, called.__file__, str(out)]
    await process.start()
    answer = await bench.client.post(f"{process.listen}/shop/order-placed", json={"order": 7})
    await settled(process)
    if then is not None:
        bench.route(*({"name": name, "url": target.url} | then for name in ("a", "b")))
        await eventually(lambda: _has_two(bench, process))
    assert (process.stop(), answer.status_code, len(target.got)) == (0, 202, 1)
    return out.read_text(encoding="utf-8").splitlines()


async def _has_two(bench: Bench, process: Process) -> bool:
    answer = await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")
    return len(answer.json()["targets"]) == 2


async def test_an_event_of_a_route_without_expressions_calls_nothing_of_them(
    bench: Bench, tmp_path: pathlib.Path
) -> None:
    found = await functions(bench, tmp_path, {})

    assert all(any(module in one for one in found) for module in ON_THE_WAY), "the whole way was seen"
    assert [one for one in found if any(module in one for module in OF_EXPRESSIONS)] == []


async def test_an_event_of_a_route_with_one_does(bench: Bench, tmp_path: pathlib.Path) -> None:
    """So the test above can fail."""
    found = await functions(bench, tmp_path, {"when": "data.order == 7"})

    assert [one for one in found if any(module in one for module in OF_EXPRESSIONS)] != []


async def test_no_expression_is_compiled_once_an_event_has_begun_to_come(bench: Bench, tmp_path: pathlib.Path) -> None:
    found = await functions(bench, tmp_path, READ)

    assert any("expressions/expression.py" in one for one in found), "they were evaluated"
    assert [one for one in found if any(what in one for what in COMPILING)] == []


async def test_those_of_a_plan_that_comes_later_are(bench: Bench, tmp_path: pathlib.Path) -> None:
    """So the test above can fail."""
    found = await functions(bench, tmp_path, READ, then={"when": "data.order == 8"})

    assert all(any(what in one for one in found) for what in COMPILING)
