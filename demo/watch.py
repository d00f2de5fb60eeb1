"""Watches a dispatcher until it is where the demo wants it, shows it meanwhile, and remembers what went by.

A delivery's history is shown by the API while it waits for its next try, and no longer once it is delivered: so the
watch keeps the longest one that it saw of each.
"""

import asyncio
import typing

from demo.admin import Admin, Json, Sight
from demo.errors import Unproven
from demo.show import Show, summary

EVERY: typing.Final = 0.04  # seconds between two looks

Key = tuple[str, str]  # receipt, target


class Watch:
    """Looks at one dispatcher, again and again."""

    def __init__(self, admin: Admin, show: Show) -> None:
        self._admin = admin
        self._show = show
        self.remembered: dict[Key, Json] = {}

    async def until(self, reached: typing.Callable[[Sight], bool], what: str, *, patience: float = 20.0) -> Sight:
        """Look until it is *reached* and give that sight; *what* it was says the error when it never is."""
        seen = "nothing"
        with self._show.live() as live:
            try:
                async with asyncio.timeout(patience):
                    while True:
                        sight = await self._admin.look()
                        seen = summary(sight)
                        self._remember(sight)
                        live(sight)
                        if reached(sight):
                            return sight
                        await asyncio.sleep(EVERY)
            except TimeoutError:
                raise Unproven(f"not so after {patience:.0f} s: {what}; last seen: {seen}") from None

    def _remember(self, sight: Sight) -> None:
        for event in sight.events:
            for delivery in event["deliveries"]:
                key = (event["receipt"], delivery["target"])
                known = self.remembered.get(key)
                if known is None or len(delivery["history"]) >= len(known["history"]):
                    self.remembered[key] = delivery
