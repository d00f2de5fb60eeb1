"""Begins and ends a demo: the screen, the time it took, and an exit status that says whether it held."""

import asyncio
import os
import sys
import typing
from collections.abc import Callable, Coroutine

import httpx
from rich.console import Console

from demo.errors import Unproven
from demo.ledger import Ledger
from demo.show import PLAIN_WIDTH, Show
from tests.harness import loopback
from tests.harness.apiserver import KubectlError

# Set for a dispatcher of the user's own; the demo's are told everything by flags.
NOT_FOR_US: typing.Final = ("FANOUT_ADMIN", "FANOUT_ADMIN_TOKEN", "FANOUT_DATA")

Demo = Callable[[Show, Ledger], Coroutine[typing.Any, typing.Any, None]]


def play(title: str, demo: Demo) -> None:
    """Play *demo*; exits with 1 and a sentence when something was not so."""
    loopback.bring_up()
    for name in NOT_FOR_US:
        os.environ.pop(name, None)
    ledger = Ledger()
    show = Show(_console(), ledger.orders)
    show.heading(title)
    try:
        asyncio.run(demo(show, ledger))
    except (Unproven, KubectlError, httpx.HTTPError, OSError) as why:
        show.failed(str(why) or repr(why))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    show.heading(f"Every proof held, in {show.elapsed():.0f} s; nothing is left running.")


def _console() -> Console:
    """Make the console; where it is no terminal, its width is fixed."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)
