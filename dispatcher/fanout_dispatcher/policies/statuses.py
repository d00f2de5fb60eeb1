"""Sets of HTTP status codes, from the inclusive ranges that a plan carries.

A plan says ranges because a person wrote ``5xx``; a landing looks up one code, a few thousand times a second. So the
rules of a verdict and the circuit make their sets once per plan.
"""

import functools

from fanout_crds.plan import StatusRange


@functools.lru_cache(maxsize=256)
def statuses(ranges: tuple[StatusRange, ...]) -> frozenset[int]:
    """Every code in *ranges*. Cached: nearly all targets share the defaults."""
    return frozenset(code for first, last in ranges for code in range(first, last + 1))
