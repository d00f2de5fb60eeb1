"""The main job in three acts: fan out, mend, kill. Each posts, waits, and then proves in words and figures.

The figures are what the admin API said, or what the targets noted; none is made up here. `demo.main` plays the acts on
a dispatcher that reads manifests, `demo.cluster` on one that an operator feeds.
"""

import asyncio
import itertools
import json
import time
import typing

from demo.admin import Sight, waits
from demo.errors import prove
from demo.process import run
from demo.stage import Stage, cloudevent, order

FIRST: typing.Final = 7
BATCH: typing.Final = {number: "placed" if number <= 9 else "paid" for number in range(8, 19)}
UNREADABLE: typing.Final = 13  # the order that crm cannot read
KILLED: typing.Final = range(100, 250)  # orders of the third act
AT_ONCE: typing.Final = 16
SLOW: typing.Final = 0.4  # seconds that every target takes in the third act
SETTLING: typing.Final = 0.3  # seconds
HELD: typing.Final = "CircuitOpen"


# --- first act --------------------------------------------------------------------------------------------------------


async def fan_out(stage: Stage) -> None:
    """One order, then a batch: delivered, retried, held, dead-lettered."""
    await _post_first(stage)
    await asyncio.gather(*[_post_one(stage, number) for number in BATCH])
    stage.show.say(f"… and {len(BATCH)} more as CloudEvents, all answered 202; their total is unreadable in one")
    orders = 1 + len(BATCH)

    def reached(sight: Sight) -> bool:
        warehouse = sight.targets["warehouse"]
        return (
            sight.count("billing", "Delivered") == orders
            and sight.count("crm", "Delivered") == orders - 1
            and sight.count("crm", "Dead") == 1
            and warehouse["held"] == HELD
            and warehouse["pending"] == orders
        )

    sight = await stage.watch.until(reached, "billing done, crm done but for one, warehouse held")
    await _prove_delivered(stage, sight, orders)
    await _prove_retried(stage)
    await _prove_held(stage, sight)
    await _prove_rejected(stage)


async def _post_first(stage: Stage) -> None:
    first = order(FIRST, "placed")
    accepted = await stage.post(first, {})
    command = f"curl {stage.url} -H 'Content-Type: application/json' -d '{json.dumps(first)}'"
    stage.show.output(command, f"202 {json.dumps(accepted)}")


async def _post_one(stage: Stage, number: int) -> None:
    made = order(number, BATCH[number])
    if number == UNREADABLE:
        made["total"] = "a lot"
    await stage.post(made, cloudevent(number, BATCH[number]))


async def _prove_delivered(stage: Stage, sight: Sight, orders: int) -> None:
    attempts = await stage.admin.attempts("billing")
    prove(attempts == {"Delivered": orders}, f"billing was asked otherwise than once per event: {attempts}")
    crm = sight.count("crm", "Delivered")
    stage.show.proof(f"delivered: billing {orders} of {orders}, each at its first attempt; crm {crm} of {orders}")


async def _prove_retried(stage: Stage) -> None:
    attempts = await stage.admin.attempts("crm")
    placed = [FIRST, *(number for number, status in BATCH.items() if status == "placed")]
    prove(attempts.get("503") == 2 * len(placed), f"crm should have answered 503 {2 * len(placed)} times: {attempts}")
    told = ", ".join(f"order {number} {_waited(stage, number)}" for number in placed)
    stage.show.proof(
        f"retried: crm answered 503 {attempts['503']} times, twice to each order newly placed, and then took it; "
        f"waits (by chance up to 0.2 s, then up to 0.4 s, plus what a busy machine adds): {told}"
    )


def _waited(stage: Stage, number: int) -> str:
    seen = stage.watch.remembered[stage.ledger.receipts[number], "crm"]
    return " + ".join(f"{wait:.3f} s" for wait in waits(seen)) or "too short to be seen"


async def _prove_held(stage: Stage, sight: Sight) -> None:
    warehouse = sight.targets["warehouse"]
    attempts = await stage.admin.attempts("warehouse")
    stage.show.proof(
        f"held: warehouse is down ({warehouse['lastError']}); after {sum(attempts.values())} attempts its circuit is "
        f"{warehouse['circuit']} and {warehouse['pending']} deliveries wait on disk; nothing more is spent on them"
    )


async def _prove_rejected(stage: Stage) -> None:
    dead = await stage.admin.dead_letters()
    prove(len(dead) == 1, f"one dead letter was expected, there are {len(dead)}")
    one = dead[0]
    prove(one["receipt"] == stage.ledger.receipts[UNREADABLE], f"the wrong event is dead: {one}")
    stage.show.proof(
        f"dead-lettered: order {UNREADABLE} for {one['target']}, reason {one['reason']}: {one['detail']}; "
        f"{one['size']} bytes kept as {one['id']}, and the other two targets were not bothered"
    )


# --- second act -------------------------------------------------------------------------------------------------------


async def mend(stage: Stage) -> None:
    """The warehouse comes up, crm learns to read; what was held arrives, what was dead is replayed."""
    held = (await stage.admin.look()).targets["warehouse"]["pending"]
    await stage.targets["warehouse"].open()
    opened = time.monotonic()
    stage.show.say(f"warehouse is brought up at 127.0.0.1:{stage.targets['warehouse'].port}")
    sight = await stage.watch.until(lambda sight: not sight.targets["warehouse"]["pending"], "warehouse has all")
    circuit = sight.targets["warehouse"]["circuit"]
    prove(circuit == "Closed", f"the circuit of warehouse should be closed: {circuit}")
    stage.show.proof(
        f"arrived: the {held} held deliveries, {time.monotonic() - opened:.1f} s after warehouse came up "
        f"(its next probe found it well); its circuit is {circuit}"
    )
    await _replay(stage)


async def _replay(stage: Stage) -> None:
    stage.targets["crm"].behaviour = lambda _order, _tries: 200
    stage.show.say("crm is taught to read such orders")
    dead = (await stage.admin.dead_letters())[0]
    await _command(stage, "fanout", "dead-letters", "list", "--target", "crm")
    await _command(stage, "fanout", "dead-letters", "replay", dead["id"])
    sight = await stage.watch.until(Sight.settled, "everything is settled")
    origin = await stage.admin.get(f"/v1/events/{dead['receipt']}")
    replay = next(each["replayedAs"] for each in origin["deliveries"] if each["target"] == dead["target"])
    again = await stage.admin.get(f"/v1/events/{replay}")
    states = {each["target"]: each["state"] for each in again["deliveries"]}
    prove(states == {"crm": "Delivered"}, f"the replay should be delivered to crm alone: {states}")
    prove(not await stage.admin.dead_letters(), "a dead letter is left")
    stage.show.proof(f"replayed: order {UNREADABLE} is now Delivered, to crm alone (receipt {replay})")
    stage.show.proof(
        f"settled: {len(sight.events)} events, the replay among them; nothing is owed, no dead letter left"
    )


async def _command(stage: Stage, *command: str) -> None:
    stage.show.output(" ".join(command), await asyncio.to_thread(run, *command, env=stage.environment()))


# --- third act --------------------------------------------------------------------------------------------------------


async def kill(stage: Stage) -> None:
    """Kill -9 in mid-flight, a start on the same folder, and the ledger."""
    for target in stage.targets.values():
        target.slow = SLOW
    for turn in _turns():
        await asyncio.gather(*[stage.post(order(each, "paid"), cloudevent(each, "paid")) for each in turn])
    stage.show.say(f"every target now takes {SLOW} s to answer; {len(KILLED)} more orders, all answered 202")
    owed = len(KILLED) * len(stage.targets)
    sight = await stage.watch.until(lambda sight: 0 < sight.pending() < owed * 3 // 4, "a quarter is delivered")
    flying = sum(each["inFlight"] for each in sight.targets.values())
    unread = await _unread(stage)
    status = await asyncio.to_thread(stage.dispatcher.kill)
    stage.show.say(
        f"kill -9 (exit {status}) with {sight.pending()} of {owed} deliveries not settled and {flying} in flight"
    )
    await asyncio.sleep(SETTLING)  # what the old process had sent is read now; all that comes later is from the new one
    began = time.monotonic()
    stage.ledger.restarted(began)
    await stage.dispatcher.start()
    stage.show.say(f"started again on the same folder, ready after {time.monotonic() - began:.1f} s")
    await stage.watch.until(Sight.settled, "everything is settled after the kill", patience=30)
    _prove_nothing_lost(stage, unread + await _unread(stage))


async def _unread(stage: Stage) -> int:
    """Count the attempts whose answer was not read to its end: on a very slow machine there may be some."""
    counts = [await stage.admin.attempts(target) for target in stage.targets]
    return sum(each.get("Timeout", 0) + each.get("Reset", 0) for each in counts)


def _turns() -> typing.Iterator[tuple[int, ...]]:
    numbers = iter(KILLED)
    while turn := tuple(itertools.islice(numbers, AT_ONCE)):
        yield turn


def _prove_nothing_lost(stage: Stage, unread: int) -> None:
    balance = stage.ledger.balance(stage.targets.values(), KILLED)
    prove(not balance.lost, f"lost after 202: {balance.lost[:5]}")
    twice = balance.unexplained
    prove(len(twice) <= unread, f"delivered twice, and neither a kill nor an unread answer explains it: {twice[:5]}")
    stage.show.proof(
        f"nothing lost: {len(KILLED)} orders answered 202, {balance.owed} deliveries owed, "
        f"{balance.received} received by the targets' own notes, 0 lost"
    )
    stage.show.proof(
        f"{balance.explained} arrived twice, each with the same Idempotency-Key and the kill between the two: the "
        "target had the first, and its answer was not yet on disk (at least once, never less)"
    )
