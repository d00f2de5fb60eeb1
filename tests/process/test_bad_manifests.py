"""P23: what is wrong never takes effect and disturbs nobody: every bad manifest of the corpus, while events come in.

Each comes twice: as an edit of a route that is in force, which stays as it was, and as a route that nobody knows yet.
"""

import asyncio
import collections.abc
import contextlib
import json
import typing

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.dispatcher import Process
from tests.support.figures import Figure
from tests.support.targets import Target
from tests.unit.crds.corpus import CORPUS, Json, changed, good

BAD: typing.Final = [bad for bad in CORPUS if bad.at.startswith("spec")]  # what has another name is another route


async def test_a_bad_manifest_never_takes_effect_and_disturbs_no_other_route(bench: Bench, figure: Figure) -> None:
    steady = await bench.target("steady")
    bench.route(steady, name="steady")
    for place in range(len(BAD)):
        write(bench, f"edited-{place}", good(f"edited-{place}"))
    process = await bench.started()
    before = await in_force(bench, process)

    async with traffic(bench, process) as answers:
        for place, bad in enumerate(BAD):
            write(bench, f"edited-{place}", changed(good(f"edited-{place}"), bad.at, bad.value))
            write(bench, f"new-{place}", changed(good(f"new-{place}"), bad.at, bad.value))
            await asyncio.sleep(0)  # events go on meanwhile
        wanted = {f"shop/{kind}-{place}" for kind in ("edited", "new") for place in range(len(BAD))}

        async def refused() -> bool:
            return wanted <= {line["route"] for line in process.said("route.refused")}

        await eventually(refused)
        after = await in_force(bench, process)
    await eventually(lambda: delivered(steady, len(answers)))

    affected = sorted(route for route in before.keys() | after.keys() if before.get(route) != after.get(route))
    assert len(before) == len(BAD) + 1
    assert affected == []
    assert set(answers) == {202}
    assert len({got.key for got in steady.got}) == len(steady.got)
    figure("P23", bad_manifests=2 * len(BAD), events_meanwhile=len(answers), routes_affected=len(affected))


def write(bench: Bench, name: str, document: Json) -> None:
    fresh = bench.manifests / f".{name}.tmp"
    fresh.write_text(json.dumps(document))
    fresh.replace(bench.manifests / f"{name}.json")


async def in_force(bench: Bench, process: Process) -> dict[str, object]:
    """The revision of each route."""
    routes = (await bench.client.get(f"{process.admin}/v1/routes")).json()["items"]
    return {one["route"]: one["revision"] for one in routes if one["revision"]}


async def delivered(target: Target, count: int) -> bool:
    return len(target.got) == count


@contextlib.asynccontextmanager
async def traffic(bench: Bench, process: Process) -> collections.abc.AsyncIterator[list[int]]:
    """One event after the other for as long as the block runs; their statuses."""
    answers: list[int] = []
    over = asyncio.Event()

    async def post() -> None:
        while not over.is_set():
            answer = await bench.client.post(f"{process.listen}/shop/steady", content=b"x")
            answers.append(answer.status_code)

    async with asyncio.TaskGroup() as group:
        group.create_task(post())
        try:
            yield answers
        finally:
            over.set()
