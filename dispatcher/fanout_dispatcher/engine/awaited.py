"""The first request with an idempotency key whose caller waits for targets: from the look for the key to its answer.

Meanwhile the key is in use, and whoever brings it again is told so (409). That is known in memory alone, so a crash
leaves nothing in use: the next one finds the key with its event, and no answer.

What targets have said is the answer for everybody who brings the key. It is written down once, told, and kept with the
key in the journal, byte for byte; until it is there, memory has it. What was true for a moment only (time was up, a
target was left alone, this process was stopping) is not kept, and neither is an answer that is too long: who comes
again gets the receipt.

A caller that hangs up leaves its wait behind: it is the one that will come again.
"""

import typing

from fanout_dispatcher.engine.caller import Caller
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.journal.protocol import AnswerRow
from fanout_dispatcher.values.answers import Client, Repeated, Settled, Told
from fanout_dispatcher.values.keyed import Keyed

LONGEST: typing.Final = 64 * 1024  # bytes of an answer that is kept


class Awaited:
    """One such request. *over* is called once its key is not in use any more, *kept* with the bytes of what is kept."""

    __slots__ = ("answer", "caller", "client", "gone", "kept", "keyed", "over", "route")

    def __init__(
        self,
        route: Route,
        keyed: Keyed,
        client: Client,
        *,
        over: typing.Callable[["Awaited"], None],
        kept: typing.Callable[[int], None],
    ) -> None:
        self.route = route
        self.keyed = keyed
        self.client = client
        self.over = over
        self.kept = kept
        self.caller: Caller
        self.answer: Repeated | None = None  # told, and on its way to the disk
        self.gone = False

    def __repr__(self) -> str:
        return f"<Awaited {'told' if self.answer else 'gone' if self.gone else 'waiting'} {self.caller!r}>"

    def leave(self) -> None:
        """The client has hung up."""
        self.gone = True

    def known(self, answer: Repeated) -> None:
        """The key was taken before: this one gets what is kept of that."""
        self.over(self)
        if not self.caller.over:
            self.caller.dismiss()
            self._tell(answer)

    def told(self, told: Told) -> None:
        """Take what the caller is told, once."""
        if not isinstance(told, Settled) or told.receipt is None or not told.lasting:
            self.over(self)
            return self._tell(told)
        answer = self.answer = Repeated(told.receipt, self.client.write(told))
        self._tell(answer)
        self._keep(answer)
        return None

    def _keep(self, answer: Repeated) -> None:
        """Keep it with the key; the key is in use until that is on disk, or at once free again if it is too long."""
        book, written = self.route.book, answer.answer or b""
        seq = book.receipts.read(answer.receipt)
        if seq is None or len(written) > LONGEST:
            return self.over(self)
        book.committer.keep_answer(AnswerRow(seq, written))
        book.committer.once_written(lambda: self.over(self))
        self.kept(len(written))
        return None

    def _tell(self, told: Told | Repeated) -> None:
        if not self.gone:
            self.client.tell(told)
