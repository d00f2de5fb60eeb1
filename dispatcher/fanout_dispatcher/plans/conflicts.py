"""In which order plans are adopted when routes take over each other's paths.

Pure. A sink lets no two routes have one path, so who leaves a path goes before who takes it. Where routes go round in a
ring, as two that swap their paths do, one of them has to make room first.
"""

import typing


def turns(wanted: typing.Mapping[str, str], owners: typing.Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Order routes by the path they want, given who owns a path now: (those that make room first, all in turn).

    A route whose path belongs to one that stays there is in turn too: the sink refuses it.
    """
    left, rooms, ordered = dict(wanted), list[str](), list[str]()
    while left:
        ready = [route for route, path in left.items() if owners.get(path, route) not in left.keys() - {route}]
        if not ready:  # no path is wanted twice, so what is left is nothing but rings
            room = next(iter(left))
            rooms.append(room)
            owners = {path: owner for path, owner in owners.items() if owner != room}
        for route in ready:
            ordered.append(route)
            del left[route]
    return rooms, ordered
