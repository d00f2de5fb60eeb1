"""``python -m fanout_dispatcher.workers DESCRIPTOR``: how a supervisor starts a worker. Nobody else calls it."""

import sys

from fanout_dispatcher.workers.worker import main

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
