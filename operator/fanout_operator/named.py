"""What a status lists, by the field that names each item: its conditions by type, its targets by name.

Anybody may have written the list, so what is no list, and what in it has no name, is left out.
"""

from fanout_operator.kube import Reading


def named(found: object, by: str) -> dict[str, Reading]:
    """Items of a list by one of their fields."""
    items = found if isinstance(found, list | tuple) else ()
    return {one[by]: one for one in items if isinstance(one, dict) and isinstance(one.get(by), str)}
