"""The cases, by key. Some keys share their runs: whichever of them is asked for, the case finds them together."""

import typing
from collections.abc import Callable

from bench import backlog, control, counted, expressions, isolation, many, patterns, rates, saturated, workers
from bench.results import Result
from bench.terms import Terms

Case = Callable[[Terms], dict[str, Result]]

CASES: typing.Final[dict[str, Case]] = {
    "fan_out_3": saturated.fan_out_3,
    "fan_out_3_memory": saturated.fan_out_3,
    "nginx_mirror": saturated.fan_out_3,
    "scatter_gather_3": saturated.scatter_gather_3,
    "instructions": counted.instructions,
    "rate_500": rates.rate_500,
    "fan_out_1": saturated.fan_out_n,
    "fan_out_10": saturated.fan_out_n,
    "fan_out_50": saturated.fan_out_n,
    "chain_3": patterns.patterns,
    "saga_3": patterns.patterns,
    "ordered_3": patterns.patterns,
    "keyed_3": patterns.patterns,
    "batched_3": patterns.patterns,
    "cached_3": patterns.patterns,
    "cel_when": saturated.cel_when,
    "cel_evaluation": expressions.cel_evaluation,
    "routes_10000": many.routes_10000,
    "accept_p99_ms": rates.accept_p99_ms,
    "commit_p99_ms": rates.commit_p99_ms,
    "respond_overshoot_ms": rates.respond_overshoot_ms,
    "hung_p99": isolation.hung_p99,
    "slow_p99": isolation.slow_p99,
    "backlog_rss_mb": backlog.backlog,
    "restart_1m_seconds": backlog.backlog,
    "drain": backlog.backlog,
    "workers_2": workers.workers_2,
    "body_64k": saturated.body("body_64k", 64 << 10),
    "body_1m": saturated.body("body_1m", 1_000_000),  # our default limit is 1 MiB, aiohttp's is just below it
    "apply_to_ready_ms": control.apply_to_ready_ms,
}
