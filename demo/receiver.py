"""A receiver to try a route by hand: takes every POST at the given ports of this machine and tells what came.

python -m demo.receiver 9101 9102 9103        # the targets of examples/01-fan-out; Ctrl-C ends it
"""

import asyncio
import contextlib
import typing
from collections.abc import AsyncIterator, Iterable

import click
from aiohttp import web

from fanout_dispatcher.cli.output import plain

SHOWN: typing.Final = 200  # characters of a body
TAKEN: typing.Final = 204

Tell = typing.Callable[[str], None]


@contextlib.asynccontextmanager
async def receiving(ports: Iterable[int], tell: Tell, says: str = "") -> AsyncIterator[list[int]]:
    """Listen at *ports* while the block runs, and *tell* one line per request; gives the ports (0 is a free one).

    *says* is the JSON that each is answered with; without it there is no body.
    """

    async def answer(request: web.Request) -> web.Response:
        body = (await request.read()).decode(errors="replace")
        # `path` would be decoded: what came is told as it came.
        tell(plain(f":{_port(request)} {request.method} {request.raw_path}  {_who(request)}{body[:SHOWN]}"))
        return web.json_response(text=says) if says else web.Response(status=TAKEN)

    app = web.Application(client_max_size=64 * 2**20)  # no body that a route accepts is larger
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        for port in ports:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        yield [address[1] for address in runner.addresses]
    finally:
        await runner.cleanup()


def _who(request: web.Request) -> str:
    """Say that credentials came, and never which."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return f"({scheme} token)  " if token else ""


def _port(request: web.Request) -> int:
    assert request.transport is not None, "a request that is being answered has a connection"
    return int(request.transport.get_extra_info("sockname")[1])


async def _forever(ports: tuple[int, ...], says: str) -> None:
    async with receiving(ports, click.echo, says) as at:
        click.echo(f"receiving at 127.0.0.1, port {', '.join(map(str, at))}; Ctrl-C ends it", err=True)
        await asyncio.Event().wait()


@click.command()
@click.argument("ports", nargs=-1, required=True, type=click.IntRange(0, 65535), metavar="PORT…")
@click.option("--says", default="", metavar="JSON", help="Answer 200 with this. Unset: 204.")
def main(ports: tuple[int, ...], says: str) -> None:
    """Take every POST at these ports of this machine, answer it, and tell what came."""
    try:
        asyncio.run(_forever(ports, says))
    except OSError as error:
        raise click.ClickException(error.strerror or str(error)) from None
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
