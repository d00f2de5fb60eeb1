"""A dispatcher that ends deleted routes after a second instead of half a minute, and is the same otherwise.

python -m tests.support.hasty_dispatcher .venv/bin/fanout run FLAGS…
"""

import runpy
import sys

from fanout_dispatcher.engine import routes

DRAIN = 1.0  # seconds, instead of 30

if __name__ == "__main__":
    routes.DRAIN = DRAIN  # type: ignore[misc]
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
