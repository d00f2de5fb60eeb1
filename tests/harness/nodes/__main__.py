"""`python -m tests.harness.nodes COMMAND…`: run COMMAND where a cluster with nodes can be started.

First everything that needs the machine's own network, outside: the Go binaries and the images, each built once into
the cache. Then COMMAND runs below a shell that is process 1 of fresh namespaces: it reaps what containers leave behind.
When COMMAND ends, or this process is killed, the kernel ends everything inside, and mounts and networks go with it.

Exit status: COMMAND's; UNAVAILABLE where the machine lacks something, which is said.
"""

import os
import sys
from pathlib import Path

from tests.harness.binaries import NODES, binary
from tests.harness.nodes.cluster import IMAGES
from tests.harness.nodes.images import fanout_image
from tests.harness.nodes.machine import UNAVAILABLE, missing
from tests.harness.wheels import say

ROOT = Path(__file__).parents[3]
CURRENT = "e2e"  # the tag of the image that is made of this checkout
# Dies with this process (setpriv), takes everything inside along (--kill-child).
ENTER = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc")
INIT = ("sh", "-c", '"$@"; exit $?', "init")


def main(command: list[str]) -> None:
    """Prepare, then become COMMAND's runner."""
    lacks = missing()
    for sentence in lacks:
        say(sentence)
    if lacks:
        sys.exit(UNAVAILABLE)
    for name in NODES:
        binary(name)
    archive = fanout_image(ROOT, CURRENT)
    inside = {**os.environ, IMAGES: str(archive)}
    os.execvpe(ENTER[0], [*ENTER, "--kill-child=KILL", *INIT, *command], inside)


if __name__ == "__main__":
    main(sys.argv[1:] or ["bash"])
