"""What a pattern costs: the events that fan-out has, on a route that also does something else with them.

Each is the plain route with one thing more, and its CPU per event is held against that of the plain one in the same
turn. Where nobody can wait for a 202 (a cache is for callers) both wait for their targets.
"""

import contextlib
import itertools
import statistics
import typing
from collections.abc import Iterator

import msgspec

from bench import manifests
from bench.measure import ANY, Events, Open, cost, prefixed
from bench.results import Result, Run, judged
from bench.saturated import around
from bench.stage import Stage, System
from bench.terms import Terms

Target = dict[str, typing.Any]


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """What a route has more than the plain one."""

    each: Target = {}  # of every target
    route: dict[str, typing.Any] = {}  # of the spec
    chained: bool = False  # each target depends on the one before
    undone: bool = False  # each target has a compensation, which is never needed
    mode: str = "Accepted"
    events: Events = ANY

    @contextlib.contextmanager
    def opened(self, stage: Stage) -> Iterator[System]:
        """Fanout with such a route."""
        made = manifests.route(stage.urls, mode=self.mode)
        spec = typing.cast("dict[str, typing.Any]", made["spec"])
        targets = [self._target(one) for one in spec["targets"]]
        if self.chained:
            pairs = itertools.pairwise(targets)
            targets = [targets[0], *(one | {"dependsOn": [before["name"]]} for before, one in pairs)]
        made |= {"spec": spec | self.route | {"targets": targets}}
        with stage.running(manifests.write(stage.folder / "route.yaml", made)) as system:
            yield system

    def _target(self, plain: Target) -> Target:
        return plain | self.each | ({"compensate": {"url": plain["url"]}} if self.undone else {})


PLAIN: typing.Final = {"plain": Pattern(), "waiting": Pattern(mode="Settled")}
PATTERNS: typing.Final = {
    "chain_3": Pattern(chained=True),
    "saga_3": Pattern(undone=True),
    "ordered_3": Pattern(each={"policy": {"ordering": {"keyAttribute": "id"}}}),  # a key each: nobody waits for another
    "keyed_3": Pattern(route={"accept": {"idempotency": {}}}, events=Events(keyed=True)),
    "batched_3": Pattern(each={"policy": {"batch": {"maxEvents": 10, "maxWait": "100ms"}}}),
    "cached_3": Pattern(
        each={"cache": {"keyExpression": "'all'", "ttl": "1h"}}, mode="Settled", events=Events(answered=True)
    ),
}


def patterns(terms: Terms) -> dict[str, Result]:
    """A chain, a saga, order, keys, batches and a cache, three targets: CPU per event ÷ that of the plain route."""
    asked = {name: pattern for name, pattern in PATTERNS.items() if name in terms.keys}
    plain = {name: pattern for name, pattern in PLAIN.items() if name in map(_against, asked.values())}
    runs: list[Run] = []
    for turn in range(terms.repetitions):
        found = {name: _cost(terms, pattern) for name, pattern in (plain | asked).items()}
        runs.append({field: value for name, one in found.items() for field, value in prefixed(name, one).items()})
        terms.tell(f"{turn + 1}: " + ", ".join(f"{name} {one['us']:.0f} µs" for name, one in found.items()))
    return {name: _result(name, _against(pattern), runs) for name, pattern in asked.items()}


def _result(name: str, against: str, runs: list[Run]) -> Result:
    runs = [{"value": run[f"{name}_us"] / run[f"{against}_us"]} | run for run in runs]
    mine, plain = (statistics.median(run[f"{who}_us"] for run in runs) for who in (name, against))
    note = f"{mine:.0f} ÷ {plain:.0f} µs of CPU an event; {around(runs, f'{name}_', f'{against}_')}"
    return judged("value", runs, unit="×", note=note)


def _against(pattern: Pattern) -> str:
    return "waiting" if pattern.mode == "Settled" else "plain"


def _cost(terms: Terms, pattern: Pattern) -> Run:
    opened: Open = pattern.opened
    return cost(terms, opened, events=pattern.events)
