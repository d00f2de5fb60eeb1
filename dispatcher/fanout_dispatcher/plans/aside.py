"""Looking at files beside the loop, in a thread that nothing ever waits for.

A file system may keep a reader for ever: a mount whose server went, a pipe that was put where a manifest was. The
loop's own executor would then hold up the end of the process; a daemon thread does not.
"""

import asyncio
import functools
import threading
import typing

Found = typing.TypeVar("Found")


async def aside(look: typing.Callable[[], Found]) -> Found:
    """Give what *look* gives, or raise what it raises. Cancelled, it leaves *look* to itself."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Found] = loop.create_future()

    def work() -> None:
        try:
            tell = functools.partial(answer.set_result, look())
        except Exception as error:  # noqa: BLE001 (whatever it is, it is raised where it is awaited)
            tell = functools.partial(answer.set_exception, error)
        try:
            loop.call_soon_threadsafe(lambda: answer.done() or tell())
        except RuntimeError:
            pass  # the loop is closed: nobody wants to know any more

    threading.Thread(target=work, name="plans", daemon=True).start()
    return await answer
