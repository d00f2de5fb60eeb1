"""Calls others, of whom none can harm those behind it, nor whoever calls them.

A timer, a commit or a sweep calls what others have left with it, one after the other. A fault of ours in one of these
must not cost those behind it their deadline or their answer, nor end what calls them. The loop is told of it, and it
is in the log with its trace.
"""

import asyncio
import typing

T = typing.TypeVar("T")


def each(loop: asyncio.AbstractEventLoop, many: typing.Iterable[T], call: typing.Callable[[T], object]) -> None:
    """Call *call* with every one of *many*, whatever becomes of the ones before."""
    for one in many:
        safely(loop, call, one)


def safely(loop: asyncio.AbstractEventLoop, call: typing.Callable[[T], object], one: T) -> None:
    """Call *call* with *one*; a fault of it is not its caller's."""
    try:
        call(one)
    except Exception as fault:  # noqa: BLE001  a fault of ours in one must not stop what comes after it
        loop.call_exception_handler({"message": "a callback failed", "exception": fault})
