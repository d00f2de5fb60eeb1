"""One request and the place of its answer in line: answers leave in the order in which requests came."""

import typing

import msgspec

from fanout_dispatcher.ingress import answer, problems, settled
from fanout_dispatcher.ingress.answer import Answer
from fanout_dispatcher.ingress.engine import Caller
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.ingress.settled import Shaping
from fanout_dispatcher.values.answers import (
    Accepted,
    AcceptedAll,
    Answered,
    AnsweredAll,
    Repeated,
    Settled,
    Told,
    Turned,
)


class Line(typing.Protocol):
    """The connection, as an exchange sees it."""

    def refused(self, refusal: Refusal) -> None:
        """A request is turned away, which is counted."""

    def answered(self, exchange: "Exchange") -> None:
        """An answer is there; it may not be its turn."""


class Exchange(msgspec.Struct, eq=False):
    """A request waiting for its answer. The second answer to a request moves nothing."""

    line: Line
    request: Request
    answer: Answer | None = None
    caller: Caller | None = None  # who waits in the engine for this answer
    shaping: Shaping | None = None  # how it is written, where the route says so

    def tell(self, told: Told | Repeated) -> None:
        """Take what became of the targets that the caller waits for."""
        self.caller = None
        match told:
            case Turned():
                self.refuse(problems.turned(told))
            case Settled():
                self.respond(self._written(told))
            case Repeated():
                self.respond(self._again(told))

    def write(self, told: Settled) -> bytes:
        """Write what became of them as it is kept for whoever brings the key again."""
        return answer.kept(self.request, self._written(told))

    def _again(self, told: Repeated) -> Answer:
        if told.answer is None:
            return answer.known(self.request, told.receipt)
        return answer.again(self.request, told.answer)

    def _written(self, told: Settled) -> Answer:
        said: Answer | Refusal | None = settled.refusal(self.request, told)
        if said is None:
            shaping, request = self.shaping, self.request
            said = settled.answered(request, told) if shaping is None else settled.shaped(request, told, shaping)
        if isinstance(said, Refusal):
            self.line.refused(said)
            return answer.refused(self.request, said)
        return said

    def leave(self) -> None:
        """The client is gone: nobody waits any more."""
        if self.caller is not None:
            self.caller.leave()

    def reply(self, outcome: Answered) -> None:
        """Take what the engine said."""
        if isinstance(outcome, Accepted):
            self.respond(answer.accepted(self.request, outcome))
        else:
            self.refuse(problems.turned(outcome))

    def reply_all(self, outcome: AnsweredAll) -> None:
        """Take what the engine said to a batch."""
        if isinstance(outcome, AcceptedAll):
            self.respond(answer.accepted_all(self.request, outcome))
        else:
            self.refuse(problems.turned(outcome))

    def refuse(self, refusal: Refusal) -> None:
        """Say no."""
        self.line.refused(refusal)
        self.respond(answer.refused(self.request, refusal))

    def respond(self, said: Answer) -> None:
        """Take the answer and tell the connection."""
        if self.answer is None:
            self.answer = said
            self.line.answered(self)
