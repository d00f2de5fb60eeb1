"""`fanout-operator` with less patience: what takes it a minute or two takes it seconds, and is the same otherwise.

python -m tests.support.hasty_operator FLAGS…
"""

import aiohttp

from fanout_operator import handlers, reflector, rest, sweep
from fanout_operator.backoff import Backoff
from fanout_operator.main import main

SILENCE = 3.0  # seconds, instead of 90 and 70: bookmarks come once a minute, so every watch that is idle is resumed

if __name__ == "__main__":
    rest.STREAM = aiohttp.ClientTimeout(total=None, connect=20, sock_read=SILENCE)  # type: ignore[misc]
    reflector.RETRY = Backoff(base=0.2, cap=0.5)  # type: ignore[misc]
    handlers.SILENCE = SILENCE  # type: ignore[misc]
    sweep.SOON = 1.0  # type: ignore[misc]
    main()
