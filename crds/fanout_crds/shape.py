"""The shape of the answer to a caller that waits: its status, headers and body, in the manifest's own words.

What targets said is at hand as ``targets.<name>``, of those that the caller waits for. It shapes an answer; where there
is none (too few have succeeded, time is up) the caller gets a problem document whatever stands here.
"""

import typing
from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec

from fanout_crds import expressions, texts
from fanout_crds.expressions import ANSWER_BODY, ANSWER_STATUS, ANSWER_VALUE, ExpressionText, Scope
from fanout_crds.faults import Faults
from fanout_crds.request import ONE_VALUE, TYPED
from fanout_crds.rules import Rule

BODILESS: typing.Final = (204, 205, 304)  # statuses of answers that have no body (RFC 9110 §15.3.5, 15.3.6, 15.4.5)
RULES: typing.Final = (
    Rule(
        "!has(self.status) || !has(self.statusExpression)",
        "at most one of status and statusExpression may be there",
        lambda it: it.status is None or it.status_expression is None,
        at="statusExpression",
    ),
    Rule(
        f"!has(self.status) || !has(self.bodyExpression) || !(self.status in {list(BODILESS)})",
        "an answer of this status has no body (RFC 9110): leave bodyExpression out, or choose another status",
        lambda it: it.body_expression is None or it.status not in BODILESS,
        at="bodyExpression",
    ),
)


class AnswerHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A header field of the answer."""

    RULES: ClassVar = (ONE_VALUE, TYPED)
    name: Annotated[str, texts.AnswerHeader, "Name, in any case (RFC 9110 §5.1)."]
    value: Annotated[str | None, texts.HeaderValue, "Value, sent as it stands. Unset: valueExpression gives it."] = None
    value_expression: Annotated[
        str | None,
        ExpressionText(ANSWER_VALUE),
        "Value as an expression in CEL that gives a string, a number or a boolean; null: the header is left out."
        " Unset: value says it.",
    ] = None


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """As a plan has it. What is None is as in an answer without a shape."""

    status: int | None = None
    status_expression: str | None = None
    headers: tuple[AnswerHeader, ...] = ()
    body_expression: str | None = None

    def expressions(self) -> Iterator[tuple[str, str, Scope]]:
        """Every expression in it: the path to its field, the text, and what it is for."""
        if self.status_expression is not None:
            yield "spec.respond.statusExpression", self.status_expression, ANSWER_STATUS
        for place, one in enumerate(self.headers):
            if one.value_expression is not None:
                yield f"spec.respond.headers[{place}].valueExpression", one.value_expression, ANSWER_VALUE
        if self.body_expression is not None:
            yield "spec.respond.bodyExpression", self.body_expression, ANSWER_BODY


def check(shape: Shape, waited_for: tuple[str, ...], targets: tuple[str, ...], faults: Faults) -> None:
    """Say which targets the expressions name that there are none of, or that the caller does not wait for."""
    for path, text, scope in shape.expressions():
        read = expressions.compile(text, scope).reads.targets or {}
        for name in read:
            if name in targets and name not in waited_for:
                faults.add(path, f"the caller does not wait for {name}: name it in respond.waitFor too")
        for wrong in expressions.misnamed(read, targets):
            faults.add(path, wrong)
