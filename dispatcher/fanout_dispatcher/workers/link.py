"""The link between a supervisor and a worker: a socket pair, and messages on it, each behind its length in four bytes.

It ends with either process, however that ends: the kernel closes the socket, and the other side hears of it. That is
how a worker knows that its supervisor is gone, and all that it takes.

Both sides ask and answer. A question carries a number, its answer the same one; a question whose link ends before the
answer is there raises JournalFault, which whoever asked has to expect of a journal anyway.
"""

import asyncio
import socket
import typing

import msgspec

from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.values.desk import BadCursor
from fanout_dispatcher.workers.frames import LENGTH, Frames, frame
from fanout_dispatcher.workers.messages import Answer, Ask, Message, NoAnswer, Question

T = typing.TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)

Heard = typing.Callable[[Message], None]
Answering = typing.Callable[[Question], typing.Awaitable[object]]


def framed(message: Message) -> bytes:
    """Write *message* as it goes over a link; one text for several links."""
    return frame(_encoder.encode(message))


def first(link: socket.socket) -> Message:
    """Wait for the first message on a link that no loop reads yet. Raises EOFError when there is none."""
    (size,) = LENGTH.unpack(_exactly(link, LENGTH.size))
    return _decoder.decode(_exactly(link, size))


def _exactly(link: socket.socket, size: int) -> bytes:
    text = b""
    while len(text) < size:
        more = link.recv(size - len(text))
        if not more:
            raise EOFError("the other side of the link is gone")
        text += more
    return text


class Link(asyncio.Protocol):
    """One side of a link. *heard* gets what is told, *answering* what is asked; *lost* is called once, at the end."""

    def __init__(self, heard: Heard, answering: Answering, lost: typing.Callable[[], None]) -> None:
        self._heard = heard
        self._answering = answering
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._last = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def over(
        cls, pair: socket.socket, heard: Heard, answering: Answering, lost: typing.Callable[[], None]
    ) -> typing.Self:
        """Make a link of one end of a socket pair."""
        pair.setblocking(False)
        _, link = await asyncio.get_running_loop().create_connection(lambda: cls(heard, answering, lost), sock=pair)
        return link

    def tell(self, message: Message) -> None:
        """Send *message*; a link that has ended takes it and does nothing."""
        self.write(framed(message))

    def write(self, frame: bytes) -> None:
        """Send what `framed` made."""
        if self._transport is not None:
            self._transport.write(frame)

    async def ask(self, question: Question, answer: type[T]) -> T:
        """Ask, and wait for the answer. Raises BadCursor and JournalFault."""
        if self._transport is None:
            raise JournalFault("the worker that has to be asked is gone")
        number = self._last = self._last + 1
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self.tell(Ask(number=number, question=question))
            return msgspec.msgpack.decode(await future, type=answer)
        finally:
            del self._asked[number]

    def close(self) -> None:
        """End the link, once what was told is sent."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = typing.cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hear every message that is complete."""
        for text in self._frames.feed(data):
            self._hear(_decoder.decode(text))

    def connection_lost(self, exc: Exception | None) -> None:
        """End: nobody waits for an answer any more."""
        self._transport = None
        for future in self._asked.values():
            if not future.done():
                future.set_exception(JournalFault("the worker that was asked is gone"))
        for task in self._tasks:
            task.cancel()
        self._lost()

    def _hear(self, message: Message) -> None:
        match message:
            case Ask():
                task = asyncio.get_running_loop().create_task(self._answer(message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Answer() | NoAnswer():
                self._answered(message)
            case _:
                self._heard(message)

    def _answered(self, message: Answer | NoAnswer) -> None:
        future = self._asked.get(message.number)
        if future is None or future.done():
            return  # whoever asked was cancelled
        if isinstance(message, Answer):
            future.set_result(message.answer)
        else:
            future.set_exception(BadCursor(message.why) if message.cursor else JournalFault(message.why))

    async def _answer(self, asked: Ask) -> None:
        try:
            answer = _encoder.encode(await self._answering(asked.question))
        except (BadCursor, JournalFault) as fault:
            self.tell(NoAnswer(number=asked.number, why=str(fault), cursor=isinstance(fault, BadCursor)))
        except Exception as fault:  # noqa: BLE001  the edge: whoever asked waits, whatever went wrong here
            self.tell(NoAnswer(number=asked.number, why=f"it failed to answer ({type(fault).__name__})"))
            told = {"message": "a question over the link", "exception": fault}
            asyncio.get_running_loop().call_exception_handler(told)
        else:
            self.tell(Answer(number=asked.number, answer=answer))
