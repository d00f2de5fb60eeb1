"""What becomes of a test when something that it needs is not on this machine.

It is skipped and says so. With FANOUT_SKIP_NOTHING it fails instead, as it should wherever a green run is to mean that
all was tried; FANOUT_MAY_SKIP then names, between spaces, what the machine is known to lack, as `.ci/run` has said.
"""

import os
import typing

import pytest


def needed(what: str) -> bool:
    """Whether it is a failure that *what* is not there."""
    return bool(os.environ.get("FANOUT_SKIP_NOTHING")) and what not in os.environ.get("FANOUT_MAY_SKIP", "").split()


def without(what: str, why: str) -> typing.NoReturn:
    """End the test that cannot go on without *what*."""
    if needed(what):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
