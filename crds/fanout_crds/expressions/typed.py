"""What an expression makes of a target's answer, held against what is known of it: a status is a whole number.

To the runtime that evaluates, all that `targets` holds is dynamic: ``targets.pay.status == '200'`` compiles, and is
never true. Here the same text is compiled once more with what is known declared, only to find what is wrong in it.
Manifests alone are asked, so that a plan in force stays so. To choose between values of two types (`? :`) stays
allowed, and so does comparing numbers of two kinds.
"""

import functools
import re
import typing

from fanout_crds.expressions import runtime, sentences
from fanout_crds.expressions.scope import Scope
from fanout_crds.expressions.sentences import Unusable
from fanout_crds.nearest import hint

SETTLED: typing.Final = ("Delivered", "Dead", "Skipped")
_KNOWN: typing.Final = 4096  # expressions whose verdict is kept: the same ones come back by each resync

_BRACKETED: typing.Final = re.compile(r"""\btargets\[(['"])[a-z0-9-]+\1\]""")
_DOTTED: typing.Final = re.compile(r"\b(targets\.[A-Za-z]\w*|targets__\w+)")
_ASKED: typing.Final = re.compile(r"\bhas\(\s*targets[\w.]+\s*\)")
_COMPARED: typing.Final = re.compile(r"_(?:==|!=|<|<=|>|>=)_|@in")
_NUMBER: typing.Final = r"(?:list\()?(?:int|uint|double)\)?"
_NUMBERS: typing.Final = re.compile(rf"\({_NUMBER}, {_NUMBER}\)")

_TEXT: typing.Final = r"""(?:'[^'\\]*'|"[^"\\]*")"""
_STATE: typing.Final = r"\btargets(?:\.\w+|\[[^\]]*\])\.state\b"
_STATES: typing.Final = re.compile(
    rf"{_STATE}\s*(?:==|!=)\s*(?P<right>{_TEXT})|(?P<left>{_TEXT})\s*(?:==|!=)\s*{_STATE}"
    rf"|{_STATE}\s+in\s+(?P<list>\[[^\]]*\])"
)


@functools.lru_cache(maxsize=_KNOWN)
def fault(text: str, scope: Scope) -> str | None:
    """Say what is wrong with *text*, which compiles: the position, and what was found there."""
    if "targets" not in text:
        return None
    return _mistyped(text) or _no_state(text, (*SETTLED, "Pending") if scope.unsettled else SETTLED)


def _mistyped(text: str) -> str | None:
    # Of equal length, so that positions stay: a name in brackets becomes one that can be declared, and a question
    # whether something is there is true or false whatever it asks for.
    plain = _BRACKETED.sub(lambda found: re.sub(r"\W", "_", found[0]), text)
    plain = _ASKED.sub(lambda found: "true".ljust(len(found[0])), plain)
    try:
        runtime.check(plain, frozenset(_DOTTED.findall(plain)))
    except RuntimeError as found:
        for one in sentences.each(str(found)):
            if not _allowed(one.function, one.types):
                return one.says
    return None


def _allowed(function: str, types: str) -> bool:
    return function == "_?_:_" or (_COMPARED.fullmatch(function) is not None and _NUMBERS.fullmatch(types) is not None)


def _no_state(text: str, states: tuple[str, ...]) -> str | None:
    for found in _STATES.finditer(text):
        group = str(found.lastgroup)
        for one in re.finditer(_TEXT, found[group]):
            if (said := one[0][1:-1]) not in states:
                return f"{_at(text, found.start(group) + one.start())}: no target is {said} here; {hint(said, states)}"
    return None


def _at(text: str, place: int) -> str:
    before = text[:place]
    return f"at {before.count(chr(10)) + 1}:{place - before.rfind(chr(10))}"


def check(text: str, scope: Scope) -> None:
    """Refuse, by Unusable, what can never be."""
    if wrong := fault(text, scope):
        raise Unusable(wrong)
