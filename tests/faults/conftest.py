"""How often the fault tests kill: a few times in the suite, 200 times by ``make faults``."""

import pytest


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """Rounds, each ended by kill -9."""
    return int(request.config.getoption("--kills"))
