"""The nearest known name, for people who mistyped one. Used wherever a closed set of names is read."""

import difflib
import json
from collections.abc import Iterable

LISTED = 16  # more names than this help nobody
LIKE = 0.6  # as "Pass" is like "PassOver": among a few words that is who was meant
MEANT = 2  # names that may both have been meant
SHORTEST = 3  # characters in which names are alike that begin alike
FIELD_LIKE = 0.75  # among many fields only a slip of the pen: "sepc" and "spec"


def hint(name: str, known: Iterable[str], *, like: float = LIKE) -> str:
    """Say which of *known* was probably meant, else which there are: the tail of a sentence."""
    names = list(known)
    by_folded = {one.casefold(): one for one in names}
    close = difflib.get_close_matches(name.casefold()[:100], by_folded, n=1, cutoff=like)
    if close:
        return f'did you mean "{by_folded[close[0]]}"?'
    if len(names) > LISTED:
        return "no known name is near it"
    return f"known here: {', '.join(names)}" if names else "nothing is known here"


def field_hint(name: str, known: Iterable[str], elsewhere: str) -> str:
    """Say what an unknown field may have been meant for: one of *known*, or as *elsewhere* says, if anything."""
    names = list(known)
    same = [one for one in names if plain(one) == plain(name)]
    longer = [one for one in names if _abridged(name, one)]
    if same or 0 < len(longer) <= MEANT:
        return f"did you mean {' or '.join(json.dumps(one) for one in same or longer)}?"
    return elsewhere or hint(name, names, like=FIELD_LIKE)


def _abridged(one: str, other: str) -> bool:
    """Whether one of two names is the beginning of the other, as key is of keyExpression."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    return len(short) >= SHORTEST and long.startswith(short)


def plain(name: str) -> str:
    """Give a field's name without what people mix up: case, hyphens, singular and plural."""
    folded = name[:100].casefold().replace("-", "").replace("_", "")
    if folded.endswith("ies"):
        return f"{folded[:-3]}y"
    return folded.removesuffix("s")
