"""`python -m tests.e2e.cluster [PYTEST ARGUMENT…]`: what `make e2e` runs, on a cluster of its own.

Exit status: pytest's; 69 where the machine is the reason that there is no cluster, which is said.
"""

import sys
from pathlib import Path

from tests.harness.nodes.__main__ import main

SECONDS = 600  # for one test, the cluster's start included
COMMAND = (sys.executable, "-m", "pytest", str(Path(__file__).parent), "--nodes", f"--timeout={SECONDS}")

if __name__ == "__main__":
    main([*COMMAND, *sys.argv[1:]])
