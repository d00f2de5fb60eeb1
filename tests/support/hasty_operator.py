"""`fanout-operator` with less patience: what takes it a minute or two takes it seconds, and is the same otherwise.

    python -m tests.support.hasty_operator WHAT FLAGS…

WHAT it does not wait long for: `looks`, at what no watch tells of (the definitions of kinds, lists to compare with),
or `all`, that is watches that fell silent too. The latter resumes every watch that is idle, again and again.
"""

import sys

import aiohttp

from fanout_operator import handlers, holding, reflector, rest, sweep
from fanout_operator.backoff import Backoff
from fanout_operator.main import main

SILENCE = 3.0  # seconds, instead of 90 and 70: bookmarks come once a minute, so every watch that is idle is resumed
LOOK = 1.0  # second, instead of 10 and 5


def look_often() -> None:
    reflector.ABSENT = LOOK  # type: ignore[misc]
    holding.EVERY = LOOK  # type: ignore[misc]
    sweep.SOON = LOOK  # type: ignore[misc]


def doubt_silence() -> None:
    rest.STREAM = aiohttp.ClientTimeout(total=None, connect=20, sock_read=SILENCE)  # type: ignore[misc]
    reflector.RETRY = Backoff(base=0.2, cap=0.5)  # type: ignore[misc]
    handlers.SILENCE = SILENCE  # type: ignore[misc]


if __name__ == "__main__":
    what = sys.argv.pop(1)
    look_often()
    if what == "all":
        doubt_silence()
    main()
