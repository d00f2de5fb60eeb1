"""Where log lines go without anybody waiting: whoever does not read a log must not stop what it tells of.

A write hands its line to a thread and returns. The thread writes to the descriptor itself, past Python's buffer, which
would keep a line that failed and fail with it again at the exit. What the other end does not take is lost, not waited
for: beyond a bound the oldest lines go first, and a line that cannot be written (the disk is full, the pipe is closed)
is not tried again. How many went is said as soon as something can be written again, in their place.

A composition root opens one around everything else; leaving it gives the last lines a moment to get out.
"""

import collections
import os
import select
import threading
import typing

ROOM: typing.Final = 4 << 20  # bytes of lines that wait
GOODBYE: typing.Final = 0.5  # seconds that the last lines get


class Outlet:
    """Takes lines at once, and writes them to *stream* as it takes them; None is a stream that was closed."""

    def __init__(self, stream: typing.TextIO | None, *, room: int = ROOM) -> None:
        self.notice: typing.Callable[[int], str] = "{} lines of the log were dropped".format
        self._file = os.open(os.devnull, os.O_WRONLY) if stream is None else stream.fileno()
        self._terminal = stream is not None and stream.isatty()
        self._room = room
        self._lines: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._lost = 0  # lines, since the last notice of it was written
        self._torn = False  # what was written last is half a line
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"Outlet(waiting={len(self._lines)}, lost={self._lost})"

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.close()

    def isatty(self) -> bool:
        """Whether somebody reads this on a terminal."""
        return self._terminal

    def write(self, line: str) -> int:
        """Take *line*; never waits and never fails."""
        taken = line.encode(errors="backslashreplace")
        with self._changed:
            self._lines.append(taken)
            self._size += len(taken)
            while self._size > self._room:
                self._size -= len(self._lines.popleft())
                self._lost += 1
            self._changed.notify()
        return len(line)

    def flush(self) -> None:
        """Lines go out as soon as they can: there is nothing to wait for."""

    def close(self, patience: float = GOODBYE) -> None:
        """Give what waits *patience* seconds to get out; what is written afterwards may be lost."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(patience)

    # On the thread.

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            line, lost = taken
            told = f"{self.notice(lost)}\n".encode() if lost else b""
            try:
                self._put(b"\n" * self._torn + told + line)
            except OSError:
                with self._changed:
                    self._lost += lost + 1

    def _next(self) -> tuple[bytes, int] | None:
        """The oldest line, and how many were lost before it; None when that was all."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closed)
            if not self._lines:
                return None
            line, lost = self._lines.popleft(), self._lost
            self._size -= len(line)
            self._lost = 0
            return line, lost

    def _put(self, text: bytes) -> None:
        while text:
            try:
                written = os.write(self._file, text)
            except BlockingIOError:  # somebody who shares it has made it so; here there is time
                _wait_for_room(self._file)
                continue
            self._torn = not text[:written].endswith(b"\n")
            text = text[written:]


def _wait_for_room(file: int) -> None:
    poll = select.poll()
    poll.register(file, select.POLLOUT)
    poll.poll()
