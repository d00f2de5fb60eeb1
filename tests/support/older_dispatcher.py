"""A dispatcher as it was before there were some features: plans that need one of them are refused, as there.

python -m tests.support.older_dispatcher dependsOn,compensate .venv/bin/fanout run FLAGS…
"""

import runpy
import sys

from fanout_crds.plan import features

if __name__ == "__main__":
    without = sys.argv[1].split(",")
    features.KNOWN -= {*without}  # type: ignore[misc]
    del sys.argv[:2]
    runpy.run_path(sys.argv[0], run_name="__main__")
