"""A dispatcher of an older version takes over where a newer one was: plans that it would carry out wrongly wait."""

import asyncio
import sys
import typing

from tests.harness.process import tail
from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.dispatcher import Process

OLDER = [sys.executable, "-m", "tests.support.older_dispatcher", "dependsOn"]


async def shown(bench: Bench, process: Process) -> dict[str, typing.Any]:
    """What the admin port says of the route."""
    return dict((await bench.client.get(f"{process.admin}/v1/routes/shop/order-placed")).json())


async def test_a_plan_of_a_newer_version_waits_with_what_it_owes_where_an_older_one_would_not_keep_its_order(
    bench: Bench,
) -> None:
    first, then = await bench.target("first"), await bench.target("then")
    first.status = 503
    steps: list[dict[str, typing.Any]] = [
        {"name": "first", "url": first.url},
        {"name": "then", "url": then.url, "dependsOn": ["first"]},
    ]
    bench.route(*steps)
    process = await bench.started()
    posted = await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")
    await asyncio.to_thread(process.stop)

    bench.route(*steps, unheardOf=True)  # as the older one reads the manifest: a field in it is one it does not know
    process.command[:0] = OLDER
    await process.start()
    refused = await shown(bench, process)
    lost = await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")
    await asyncio.to_thread(process.stop)
    said = [one["why"] for one in process.said("route.refused")]
    before = [*then.got]

    first.status = 204
    bench.route(*steps)
    del process.command[: len(OLDER)]
    await process.start()

    async def arrived() -> bool:
        return bool(then.got)

    await eventually(arrived)
    assert (posted.status_code, lost.status_code, before) == (202, 404, []), tail(process.log)
    assert said[0] == "upgrade this dispatcher first: the plan needs dependsOn, which it does not know"
    assert "unheardOf" in refused["refused"], "of two reasons the newer one is shown"
    assert (await shown(bench, process))["refused"] is None
