"""A route without an expression pays nothing for those that other routes may have: no function of theirs is called."""

import pathlib
import sys
import typing

from tests.process.conftest import Bench
from tests.support import called
from tests.support.ledger import settled

OF_EXPRESSIONS: typing.Final = ("fanout_crds/expressions/", "cel_expr_python", "values/facts.py")
ON_THE_WAY: typing.Final = ("ingress/accept.py", "engine/lane.py", "transport/sender.py", "engine/committer.py")


async def functions(bench: Bench, tmp_path: pathlib.Path, more: dict[str, typing.Any]) -> list[str]:
    """What is called from an event's first byte to its last, and until the dispatcher has ended."""
    target = await bench.target("a")
    bench.route({"name": "a", "url": target.url} | more)
    process, out = bench.dispatcher(), tmp_path / "called"
    process.command[:1] = [sys.executable, called.__file__, str(out)]
    await process.start()
    answer = await bench.client.post(f"{process.listen}/shop/order-placed", json={"order": 7})
    await settled(process)
    assert (process.stop(), answer.status_code, len(target.got)) == (0, 202, 1)
    return out.read_text(encoding="utf-8").splitlines()


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
