"""What lanes share must not let one of them harm another."""

import asyncio
import typing

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.telemetry.seam import Silent
from tests.sim.loop import run


class Pumped:
    """A lane that counts its pumps, or breaks."""

    def __init__(self, name: str, *, breaks: bool = False) -> None:
        self.name = name
        self.dirty = False
        self.pumps = 0
        self.breaks = breaks

    def __repr__(self) -> str:
        return f"<Pumped {self.name}>"

    def pump(self) -> None:
        self.pumps += 1
        if self.breaks:
            raise RuntimeError("a fault of ours")


def test_a_lane_that_breaks_is_told_of_and_stops_no_other() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        said: list[dict[str, typing.Any]] = []
        loop.set_exception_handler(lambda _, context: said.append(context))
        works = Works(Clock(loop, base=0.0, wall=loop.time), seam=Silent(), seed=1, changed=lambda route: None)
        lanes = [Pumped("a"), Pumped("b", breaks=True), Pumped("c")]

        for _ in range(2):
            for lane in lanes:
                works.soon(lane)
            await asyncio.sleep(0.01)

        assert [lane.pumps for lane in lanes] == [2, 2, 2]
        assert [str(one["message"]) for one in said] == ["pumping <Pumped b>"] * 2

    run(scenario())
