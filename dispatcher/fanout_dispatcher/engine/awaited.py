"""The first request with an idempotency key whose caller waits for targets: from the look-up of the key to its answer.

Meanwhile the key is in use, and another request with it is answered 409, as the Idempotency-Key draft asks for.
That is known in memory only, so a crash leaves no key in use: the next request finds the key with its event, and no
answer.

What the targets said is the answer to every request with the key. It is written once, told, and kept with the key in
the journal, byte for byte; until it is on disk, memory has it. An answer that was true for a moment only (time was up,
a target was held, this process was stopping) is not kept, and neither is one that is too long: then a repetition gets
the receipt.

A caller that hangs up does not end the wait: it is the one that will come again.
"""

import typing

from fanout_dispatcher.engine.caller import Caller
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.journal.protocol import AnswerRow
from fanout_dispatcher.values.answers import Client, Repeated, Settled, Told
from fanout_dispatcher.values.keyed import Keyed

LONGEST: typing.Final = 64 * 1024  # bytes of an answer that is kept


class Awaited:
    """One such request. *over* is called once its key is free again, *kept* with the size in bytes of a kept answer."""

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
        """Note that the client has hung up: nobody is told the answer."""
        self.gone = True

    def known(self, answer: Repeated) -> None:
        """Give the client the kept *answer*: the key was found in the journal."""
        self.over(self)
        if not self.caller.over:
            self.caller.dismiss()
            self._tell(answer)

    def told(self, told: Told) -> None:
        """Tell the client what its targets said, and keep it if it lasts. Called once."""
        if not isinstance(told, Settled) or told.receipt is None or not told.lasting:
            self.over(self)
            return self._tell(told)
        answer = self.answer = Repeated(told.receipt, self.client.write(told))
        self._keep(answer)  # first: a client that cannot be told must not leave the key in use
        self._tell(answer)
        return None

    def _keep(self, answer: Repeated) -> None:
        """Keep *answer* with the key, which is free again once that is on disk; at once, if the answer is too long."""
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
