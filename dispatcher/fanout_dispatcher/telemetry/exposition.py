"""Prometheus' text format by hand, for what there is one of per route or per target.

The library takes 10 µs a sample, and a target has 29: a page for 30,000 targets took longer than the 30 s of a scraper.
Written like this it takes 0.4 s. It comes in pieces, so that whoever writes it on the loop can give way between two of
them; each piece belongs to one family, since the format wants a family's samples together.

Format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/): backslash, quote and newline are escaped in
label values, and nothing else is.
"""

import collections
import itertools
import typing
from collections.abc import Callable, Iterator

from fanout_dispatcher.values.desk import BUCKETS, LaneMeter, RouteMeter

CIRCUITS: typing.Final = ("Closed", "Open", "HalfOpen", "Disabled")
TELLING: typing.Final = frozenset(
    map(str, (400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 425, 429, 500, 501, 502, 503, 504, 505))
)
# Words that alerts go by are counted from 0: Prometheus sees no increase in a counter that comes with its first count.
REFUSALS: typing.Final = {"QueueFull": 0, "DeadLettersFull": 0}
LOSSES: typing.Final = {"DropOldest": 0}
PIECE: typing.Final = 256  # routes or targets in one piece
BOUNDS: typing.Final = (*map(str, BUCKETS), "+Inf")

SOURCES: typing.Final = (  # what routes have that fetch events: the name, the kind, what it says, the meter's field
    ("fanout_source_rows_taken_total", "counter", "Rows of an outbox that became events.", "fetched"),
    ("fanout_source_rows_refused_total", "counter", "Rows of an outbox that cannot be events.", "rows_refused"),
    ("fanout_source_failures_total", "counter", "Times that an outbox could not be asked.", "source_failures"),
    ("fanout_source_behind_seconds", "gauge", "Since there was last nothing left to take.", "behind"),
)

CACHES: typing.Final = (  # what targets have that have a cache, as above
    ("fanout_cache_hits_total", "counter", "Deliveries settled by an answer to another one.", "cache_hits"),
    ("fanout_cache_misses_total", "counter", "Deliveries that no answer was there for.", "cache_misses"),
    ("fanout_cache_evictions_total", "counter", "Answers that had to make room before their time.", "cache_evictions"),
    ("fanout_cache_bytes", "gauge", "What is kept of answers now.", "cache_bytes"),
)

M = typing.TypeVar("M", LaneMeter, RouteMeter)
Write = Callable[[M, str], str]  # a meter and its labels; its lines


class Family(typing.NamedTuple):
    """What every target has of one name: its kind, what it says, and how a target's lines are written."""

    name: str
    kind: str
    says: str
    write: Write[LaneMeter]


def doors(routes: list[RouteMeter]) -> Iterator[str]:
    """Pieces of the families that every route has."""
    named = [(one, f'route="{escaped(one.route)}"') for one in routes]
    yield from _family("fanout_events_accepted_total", "counter", "Events accepted.", named, _accepted)
    says = "Events answered as before, under their idempotency key."
    yield from _family("fanout_events_repeated_total", "counter", says, named, _repeated)
    yield from _family("fanout_events_refused_total", "counter", "Events turned away.", named, _refused)
    yield from _family("fanout_callers_waiting", "gauge", "Callers that wait for targets.", named, _waiting)
    yield from _family("fanout_answers_total", "counter", "Callers that waited, by how it ended.", named, _answers)
    yield from _family("fanout_late_settles_total", "counter", "Targets too late for their caller.", named, _late)
    fetching = [(one, labels) for one, labels in named if one.sources]
    for name, kind, says, field in SOURCES if fetching else ():
        yield from _family(name, kind, says, fetching, _of_source(name, field))


def _of_source(name: str, field: str) -> Write[RouteMeter]:
    return lambda one, labels: f"{name}{{{labels}}} {getattr(one, field)}\n"


def lanes(meters: list[LaneMeter]) -> Iterator[str]:
    """Pieces of the families that every target has."""
    named = [(one, f'route="{escaped(one.route)}",target="{escaped(one.target)}"') for one in meters]
    for name, kind, says, write in LANES:
        yield from _family(name, kind, says, named, write)
    caching = [(one, labels) for one, labels in named if one.caches]
    for name, kind, says, field in CACHES if caching else ():
        yield from _family(name, kind, says, caching, _plain(name, kind, says, field).write)


def escaped(value: str) -> str:
    """Write *value* as a label's."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def fold(outcome: str) -> str:
    """Bound the label of *outcome*: a fault or a telling status stays, another status becomes its class."""
    if not outcome.isdigit() or outcome in TELLING:
        return outcome
    return f"{outcome[0]}xx" if len(outcome) == 3 and outcome[0] in "12345" else "other"


def _family(name: str, kind: str, says: str, named: list[tuple[M, str]], write: Write[M]) -> Iterator[str]:
    yield f"# HELP {name} {says}\n# TYPE {name} {kind}\n"
    for start in range(0, len(named), PIECE):
        yield "".join([write(one, labels) for one, labels in named[start : start + PIECE]])


def _accepted(one: RouteMeter, labels: str) -> str:
    return f"fanout_events_accepted_total{{{labels}}} {one.accepted}\n"


def _repeated(one: RouteMeter, labels: str) -> str:
    return f"fanout_events_repeated_total{{{labels}}} {one.repeated}\n"


def _refused(one: RouteMeter, labels: str) -> str:
    counts = (REFUSALS | one.turned).items()
    return "".join([f'fanout_events_refused_total{{{labels},reason="{why}"}} {count}\n' for why, count in counts])


def _waiting(one: RouteMeter, labels: str) -> str:
    return f"fanout_callers_waiting{{{labels}}} {one.waiting}\n"


def _answers(one: RouteMeter, labels: str) -> str:
    counts = one.answers.copy().items()
    return "".join([f'fanout_answers_total{{{labels},ending="{how}"}} {count}\n' for how, count in counts])


def _late(one: RouteMeter, labels: str) -> str:
    return f"fanout_late_settles_total{{{labels}}} {one.late}\n"


def _attempts(one: LaneMeter, labels: str) -> str:
    counted: collections.Counter[str] = collections.Counter({"Delivered": one.delivered})
    for outcome, count in one.failed.copy().items():
        counted[fold(outcome)] += count
    return "".join([f'fanout_attempts_total{{{labels},outcome="{what}"}} {n}\n' for what, n in counted.items()])


def _delivered(one: LaneMeter, labels: str) -> str:
    return f"fanout_delivered_total{{{labels}}} {one.delivered + one.along}\n"


def _died(one: LaneMeter, labels: str) -> str:
    counts = one.dead.copy().items()
    return "".join([f'fanout_dead_letters_total{{{labels},reason="{why}"}} {count}\n' for why, count in counts])


def _dropped(one: LaneMeter, labels: str) -> str:
    counts = (LOSSES | one.dropped).items()
    return "".join([f'fanout_dead_letters_dropped_total{{{labels},reason="{why}"}} {n}\n' for why, n in counts])


def _passed(one: LaneMeter, labels: str) -> str:
    counts = one.passed.copy().items()
    return "".join([f'fanout_order_given_up_total{{{labels},reason="{why}"}} {n}\n' for why, n in counts])


def _fell_back(one: LaneMeter, labels: str) -> str:
    counts = one.fell_back.copy().items()
    return "".join([f'fanout_fallbacks_total{{{labels},reason="{why}"}} {n}\n' for why, n in counts])


def _circuit(one: LaneMeter, labels: str) -> str:
    is_in = one.circuit
    return "".join([f'fanout_circuit_state{{{labels},state="{state}"}} {int(is_in == state)}\n' for state in CIRCUITS])


def _held(one: LaneMeter, labels: str) -> str:
    return f'fanout_held{{{labels},reason="{one.held}"}} 1\n' if one.held else ""


def _hedges(one: LaneMeter, labels: str) -> str:
    return f"fanout_hedges_total{{{labels}}} {one.hedges}\n" if one.hedges else ""


def _hedges_won(one: LaneMeter, labels: str) -> str:
    return f"fanout_hedges_won_total{{{labels}}} {one.hedges_won}\n" if one.hedges else ""


def _seconds(one: LaneMeter, labels: str) -> str:
    upto = list(itertools.accumulate(one.seconds.copy()))
    lines = [f'fanout_attempt_seconds_bucket{{{labels},le="{le}"}} {n}\n' for le, n in zip(BOUNDS, upto, strict=True)]
    lines.append(f"fanout_attempt_seconds_count{{{labels}}} {upto[-1]}\n")
    lines.append(f"fanout_attempt_seconds_sum{{{labels}}} {one.seconds_sum}\n")
    return "".join(lines)


def _plain(name: str, kind: str, says: str, field: str) -> Family:
    """A family with one sample a target: what *field* of its meter holds."""
    return Family(name, kind, says, lambda one, labels: f"{name}{{{labels}}} {getattr(one, field)}\n")


LANES: typing.Final = (
    Family("fanout_attempts_total", "counter", "Attempts: Delivered, a status (or its class), a fault.", _attempts),
    Family("fanout_delivered_total", "counter", "Deliveries that the target accepted.", _delivered),
    _plain("fanout_retries_total", "counter", "Deliveries put back to be tried again.", "retried"),
    Family("fanout_hedges_total", "counter", "Tries sent beside a slow one.", _hedges),
    Family("fanout_hedges_won_total", "counter", "Of these, those that succeeded first.", _hedges_won),
    Family("fanout_dead_letters_total", "counter", "Deliveries given up, by reason.", _died),
    Family("fanout_fallbacks_total", "counter", "Deliveries given up that a fallback stands in for.", _fell_back),
    Family("fanout_dead_letters_dropped_total", "counter", "Dead letters no longer kept: Keep, DropOldest.", _dropped),
    _plain("fanout_stuck", "gauge", "Compensations that were given up and wait for somebody to decide.", "stuck"),
    Family("fanout_order_given_up_total", "counter", "Dead letters gone that held up others of their key.", _passed),
    _plain("fanout_replayed_total", "counter", "Dead letters sent again.", "replayed"),
    _plain("fanout_skipped_total", "counter", "Deliveries skipped because the target's when was false.", "skipped"),
    _plain("fanout_dead_letters", "gauge", "Dead letters kept now.", "dead_letters"),
    _plain("fanout_pending", "gauge", "Deliveries not yet settled.", "pending"),
    _plain("fanout_pending_bytes", "gauge", "Bytes of events whose deliveries are not settled.", "pending_bytes"),
    _plain("fanout_backlog_age_seconds", "gauge", "Since the oldest delivery that waits could be sent.", "backlog_age"),
    Family("fanout_held", "gauge", "1 for why nothing is sent to it, beside its circuit.", _held),
    _plain("fanout_in_flight", "gauge", "Attempts under way.", "in_flight"),
    Family("fanout_circuit_state", "gauge", "1 for the state the circuit is in.", _circuit),
    Family("fanout_attempt_seconds", "histogram", "Attempts, connect to last byte.", _seconds),
)
