"""The nearest known name, for people who mistyped one. Used wherever a closed set of names is read."""

import difflib
from collections.abc import Iterable

LISTED = 12  # more names than this help nobody


def hint(name: str, known: Iterable[str]) -> str:
    """Say which of *known* was probably meant, else which there are: the tail of a sentence."""
    names = list(known)
    by_folded = {one.casefold(): one for one in names}
    close = difflib.get_close_matches(name.casefold()[:100], by_folded, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{by_folded[close[0]]}"?'
    if len(names) > LISTED:
        return "no known name is near it"
    return f"known here: {', '.join(names)}" if names else "nothing is known here"
