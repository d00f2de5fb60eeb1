"""A dispatcher whose power fails on SIGUSR1, and which is the same otherwise.

What its journal has not synced is taken back, some of it, and the process is gone at once. It logs ``power.cut`` with
how many pages that were.

python -m tests.support.unplugged_dispatcher .venv/bin/fanout run FLAGS…
"""

import json
import os
import random
import runpy
import signal
import sys
import threading
import time

import apsw

from tests.support.sick_disk import NAME, SickDisk

UNPLUG = signal.SIGUSR1
SYNC = 0.03  # seconds, as of a slow disk


def unplugged(disk: SickDisk, chance: random.Random) -> None:
    """Wait for the power to fail, at any instant at which the kernel has what the disk has not.

    A thread of its own: the others may be anywhere then.
    """
    signal.sigwait({UNPLUG})
    while True:
        with disk.calls:  # nobody writes after the end
            if disk.unsynced():
                pages = disk.cut()
                os.write(sys.stdout.fileno(), json.dumps({"event": "power.cut", "pages": pages}).encode() + b"\n")
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(chance.uniform(0, SYNC))


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {UNPLUG})
    chance = random.Random()
    disk = SickDisk(chance, sync_takes=SYNC)
    apsw.set_default_vfs(NAME)
    threading.Thread(target=unplugged, args=(disk, chance), daemon=True).start()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
