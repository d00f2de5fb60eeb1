"""P24: an event is handled by exactly one generation of its route.

Its targets and its generation are those of the plan that was in force when it was begun, whatever came later; and
each attempt goes to the address that is newest at that moment.
"""

from tests.sim.checkers.reading import Reading, name, stands, target_at


def check(reading: Reading) -> list[str]:
    """Every event's view, and every attempt's address."""
    wrong: list[str] = []
    for event, answer in reading.answered.items():
        plan = reading.posted[event].plan
        view = reading.history.events.get(answer.receipt or "")
        if stands(reading, event) and view is not None and view.generation != plan.generation:
            wrong.append(f"{event}: came in under generation {plan.generation} and is kept under {view.generation}")
    for sent in reading.history.sent:
        posted = reading.posted.get(sent.event)
        if posted is not None and sent.target not in {one.name for one in posted.plan.everybody}:
            wrong.append(f"{name(sent)}: not one of the targets that the event was accepted for")
        urls = {one.url for one in target_at(reading, sent.route, sent.target, sent.at)}
        if sent.url not in urls:
            wrong.append(f"{name(sent)}: went to {sent.url}, the plan in force says {sorted(urls)}")
    return wrong
