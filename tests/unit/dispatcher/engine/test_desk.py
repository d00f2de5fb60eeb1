"""What the desk shows of routes that are not in force."""

from fanout_dispatcher.transport.memory import status
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target


def test_a_route_whose_only_plan_was_refused_is_shown_with_the_reason() -> None:
    world = World(a_plan("a"), lambda target, flight, now: status(200))
    shown = []

    async def story(life: Life) -> None:
        life.engine.refuse("shop/second", "format 9 is not one this dispatcher reads")
        shown.extend(life.desk.routes())
        counts = [life.desk.refused()]
        life.engine.retire("shop/second")
        assert [*counts, life.desk.refused()] == [1, 0]

    world.live(story)

    assert [(one.route, one.refused) for one in shown] == [
        ("shop/order-placed", None),
        ("shop/second", "format 9 is not one this dispatcher reads"),
    ]


def test_the_next_page_begins_behind_the_last_one_seen() -> None:
    world = World(a_plan("a"), lambda target, flight, now: status(200))
    cursors = []

    async def story(life: Life) -> None:
        cursors.append(life.desk.cursor(None, ["0-2-ff", "0-1-ff"]))

    world.live(story)

    assert cursors == ["0-1-ff"]


def test_a_reference_that_did_not_resolve_is_no_last_error_once_it_does_nor_is_one_of_before_the_start() -> None:
    held = a_target("a", held="ServiceNotFound", held_message="Service shop/a is not there")
    world = World(a_plan(held), lambda target, flight, now: status(200))
    shown = []

    async def story(life: Life) -> None:
        for plan in (a_plan(held, revision="1"), a_plan("a", revision="2"), a_plan("a", "b", revision="3")):
            life.engine.adopt(plan, {})
            (route,) = life.desk.routes()
            shown.append([(one.last_error, one.asked) for one in route.targets])

    world.live(story)

    assert shown == [[("Service shop/a is not there", True)], [(None, True)], [(None, True), (None, False)]]
