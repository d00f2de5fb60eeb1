"""Sets of HTTP status codes, from the inclusive ranges that a plan carries.

A plan says ranges because a person wrote ``5xx``; a landing asks for one code, a few thousand times a second. `decide`
and the circuit ask when they are built, once per plan, and then look a code up.
"""

import functools

from fanout_crds.plan import StatusRange


@functools.lru_cache(maxsize=256)
def statuses(ranges: tuple[StatusRange, ...]) -> frozenset[int]:
    """Every code in *ranges*. Cached: nearly all targets share the defaults."""
    return frozenset(code for first, last in ranges for code in range(first, last + 1))
