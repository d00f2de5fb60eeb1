"""Health: ready when events can be accepted, alive while the loop turns, and a page of metrics."""

from fanout_dispatcher.admin.app import application
from fanout_dispatcher.admin.health import LATE, Heartbeat
from fanout_dispatcher.values.desk import RouteMeter
from tests.unit.dispatcher.admin.fakes import FakeDesk, asking, log


async def test_readiness_follows_the_desk_and_says_why_not() -> None:
    desk = FakeDesk()
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        ready = await client.get("/readyz")
        desk.why = "the journal cannot commit: the disk is full"
        unready = await client.get("/readyz")

        assert ready.status == 200
        assert unready.status == 503
        assert (await unready.json())["detail"] == desk.why


async def test_a_full_disk_does_not_make_the_process_dead() -> None:
    desk = FakeDesk()
    desk.why = "the disk is full"
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        assert (await client.get("/livez")).status == 200


async def test_a_heart_that_beats_is_not_late_and_one_that_stopped_is() -> None:
    heart = Heartbeat()
    heart.start()
    heart.stop()
    beaten = heart._last

    assert heart.late(beaten + LATE) is None
    assert heart.late(beaten + LATE + 1) == LATE + 1


async def test_metrics_are_the_text_format_of_prometheus() -> None:
    desk = FakeDesk()
    desk.doors = [RouteMeter(route="shop/order", accepted=7)]
    async with asking(application(desk, log(), token=None, loopback=True)) as client:
        answer = await client.get("/metrics")
        page = await answer.text()

    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'fanout_events_accepted_total{route="shop/order"} 7\n' in page
    assert "process_resident_memory_bytes" in page
