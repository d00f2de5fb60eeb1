"""A worker's mates: the other workers of its dispatcher, to whom it hands on what they own, and who do the same."""

import pathlib

from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.values.desk import PortMeter
from fanout_dispatcher.workers.handed import Sockets
from fanout_dispatcher.workers.handing import Handing
from fanout_dispatcher.workers.hearing import Hearing


class Mates:
    """The mates of *worker*, all with their journals in the folder *data*."""

    def __init__(self, data: pathlib.Path, worker: int) -> None:
        self._sockets = Sockets(data)
        self._worker = worker
        self._hearing: Hearing | None = None
        self.hand_on = Handing(self._sockets)

    async def hear(self, acceptor: Acceptor, meter: PortMeter) -> None:
        """Take what they hand on; *meter* counts what of it is refused."""
        self._hearing = await Hearing.at(self._sockets.of(self._worker), acceptor, meter)

    async def part(self, seconds: float) -> None:
        """Hand on nothing more, and serve on until they do not either; at most so many *seconds*."""
        self.hand_on.end()
        if self._hearing is not None:
            await self._hearing.part(seconds)

    def close(self) -> None:
        """Part for good: what is unanswered stays so."""
        self.hand_on.close()
        if self._hearing is not None:
            self._hearing.close()
        self._sockets.close()
