"""Ten thousand routes: what they cost while one of them is used."""

import statistics
import time
import typing

from bench import manifests
from bench.measure import loaded, prefixed
from bench.results import Result, Run, judged
from bench.stage import Stage
from bench.terms import Terms, folder

ROUTES: typing.Final = 10_000
USED: typing.Final = f"route-{ROUTES // 2}"


def routes_10000(terms: Terms) -> dict[str, Result]:
    """CPU per event with 10,000 routes of three targets loaded ÷ with one, saturated, in turn."""
    with folder(terms) as one, folder(terms) as all_of_them, Stage(one) as small, Stage(all_of_them) as large:
        alone = manifests.write(one / "routes.yaml", manifests.route(small.urls, name=USED))
        names = [f"route-{number}" for number in range(ROUTES)]
        routes = [manifests.route(large.urls, name=name) for name in names]
        crowd = manifests.write(all_of_them / "routes.yaml", *routes)
        with small.running(alone, name=USED) as few:
            begun = time.monotonic()
            with large.running(crowd, name=USED) as many:
                many = many._replace(metrics=None)  # a page of 30,000 targets is long: nothing to ask for in passing
                loading = {"load_seconds": time.monotonic() - begun, "rss_mb": many.process.resident()}
                terms.tell(f"loaded in {loading['load_seconds']:.1f} s, {loading['rss_mb']:.0f} MB")
                runs: list[Run] = []
                for turn in range(terms.repetitions):
                    without = loaded(small, few, one, seconds=terms.seconds)
                    beside = loaded(large, many, all_of_them, seconds=terms.seconds)
                    runs.append({"value": beside["us"] / without["us"]} | loading)
                    runs[-1] |= prefixed("one", without) | prefixed("all", beside)
                    terms.tell(f"{turn + 1}: {without['us']:.0f} µs with one, {beside['us']:.0f} µs with {ROUTES:,}")
    least, most = (statistics.median(run[f"{which}_us"] for run in runs) for which in ("one", "all"))
    note = (
        f"{most:.0f} ÷ {least:.0f} µs of CPU an event, all to one of them; loaded once, from one file of manifests, in"
        f" {loading['load_seconds']:.1f} s; then {loading['rss_mb']:.0f} MB"
    )
    return {"routes_10000": judged("value", runs, unit="×", must="≤ 1.1", aim="≤ 1.0", note=note)}
