"""A view is shown with times that people can read."""

import json

from fanout_dispatcher.values.event import Attempt
from fanout_dispatcher.values.render import render, rfc3339
from fanout_dispatcher.values.views import DeliveryView, EventView, TargetView

WALL = 1_795_395_840.0


def test_times_are_utc_with_milliseconds() -> None:
    assert rfc3339(WALL + 0.5) == "2026-11-23T01:04:00.500Z"


def test_times_are_written_out_wherever_they_stand() -> None:
    attempt = Attempt(WALL, "Timeout", 1.5)
    delivery = DeliveryView(target="mail", state="Pending", due=WALL, history=(attempt,))
    view = EventView(receipt="r", route="a/b", generation=1, accepted=WALL, settled=False, deliveries=(delivery,))

    shown = json.loads(render(view))

    assert shown["accepted"] == shown["deliveries"][0]["due"] == "2026-11-23T01:04:00.000Z"
    assert shown["deliveries"][0]["history"] == [
        {"at": "2026-11-23T01:04:00.000Z", "outcome": "Timeout", "seconds": 1.5}
    ]


def test_what_is_no_time_stays_a_number() -> None:
    view = TargetView(name="a", circuit="Open", pending=3, in_flight=1, dead_letters=0, held_until=WALL)

    shown = json.loads(render(view))

    assert (shown["pending"], shown["heldUntil"]) == (3, "2026-11-23T01:04:00.000Z")
