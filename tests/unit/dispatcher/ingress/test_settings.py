"""The caps of a data port fit the descriptors that the process may have."""

import pytest

from fanout_dispatcher.ingress.settings import Settings


@pytest.mark.parametrize(
    ("descriptors", "connections", "backlog"),
    [(64, 8, 8), (128, 32, 16), (1_024, 480, 128), (20_000, 9_968, 1_024), (1 << 20, 10_000, 1_024)],
)
def test_more_than_half_of_the_descriptors_are_left_for_targets(
    descriptors: int, connections: int, backlog: int
) -> None:
    settings = Settings().within(descriptors)

    assert (settings.connections, settings.backlog) == (connections, backlog)


def test_a_cap_that_fits_stays() -> None:
    assert Settings(connections=5).within(1_024).connections == 5
