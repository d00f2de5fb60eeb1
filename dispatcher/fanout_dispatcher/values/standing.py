"""Whether a route is in force still: for those who hold one while time goes by, and must not act by an old one."""

import msgspec


class Standing(msgspec.Struct):
    """The standing of one route, as one plan made it. It ends once, with a newer plan or its deletion."""

    in_force: bool = True
