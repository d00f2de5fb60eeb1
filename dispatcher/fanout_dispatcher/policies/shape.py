"""The shape of the answer to a caller that waits: status, headers and body, made of what targets said.

Compiled with the plan and evaluated once for each answer, without IO. Where an expression has no usable value, Unshaped
says so in a sentence: the caller gets that instead, and no delivery is changed by it.
"""

import typing

import msgspec

from fanout_crds import expressions, shape, texts
from fanout_crds.expressions import ANSWER_BODY, ANSWER_STATUS, ANSWER_VALUE, Activation, Failed, Scope
from fanout_crds.faults import show
from fanout_crds.plan import Respond
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.facts import facts
from fanout_dispatcher.values.fieldtext import NotAHeader, header
from fanout_dispatcher.values.jsonvalue import NotJson, written
from fanout_dispatcher.values.targets import targets

LARGEST: typing.Final = 1 << 20  # bytes of a body that an expression makes
STATUSES: typing.Final = range(200, 600)
CONTENT_TYPE: typing.Final = b"content-type"
JSON: typing.Final = b"application/json"
TEXT: typing.Final = b"text/plain; charset=utf-8"
BYTES: typing.Final = b"application/octet-stream"


class Unshaped(ValueError):
    """No answer can be made of what targets said; the text is a sentence with the field."""


class Shaped(msgspec.Struct, frozen=True, gc=False):
    """An answer as its route shapes it. ``headers`` have names in lower case, each once; Content-Type is among them.

    ``body`` is None where the route has no bodyExpression: then it is the document of what every target said.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes | None


class Shape:
    """The shape that one route gives its answers."""

    __slots__ = ("_body", "_headers", "_reads", "_status", "_status_expression")

    def __init__(self, said: shape.Shape) -> None:
        self._status = 200 if said.status is None else said.status
        self._status_expression = _field("respond.statusExpression", said.status_expression, ANSWER_STATUS)
        self._headers = [
            (one.name.lower().encode(), one.value, _field(_named(one), one.value_expression, ANSWER_VALUE))
            for one in said.headers
        ]
        self._body = _field("respond.bodyExpression", said.body_expression, ANSWER_BODY)
        asked = [self._status_expression, self._body, *(field for _, _, field in self._headers)]
        self._reads = expressions.together(one.expression.reads for one in asked if one is not None)

    def of(self, head: Head, body: bytes, heard: tuple[Heard, ...]) -> Shaped:
        """Make the answer of what was *heard* from targets of the event *head* and *body*. Raises Unshaped."""
        try:
            activation = facts(self._reads, head, body, targets(heard, self._reads.targets))
        except Failed as why:
            raise Unshaped(f"respond: {why}") from None
        status = self._status if self._status_expression is None else _status(self._status_expression, activation)
        headers, content = {CONTENT_TYPE: JSON}, None
        if self._body is not None:
            headers[CONTENT_TYPE], content = _content(self._body, activation)
        return Shaped(status, headers | dict(self._lines(activation)), b"" if status in shape.BODILESS else content)

    def _lines(self, activation: Activation) -> typing.Iterator[tuple[bytes, bytes]]:
        for name, literal, field in self._headers:
            try:
                value = header(literal if field is None else field.value(activation))
            except NotAHeader as why:
                raise Unshaped(f"respond.headers[{name.decode()}].valueExpression: {why}") from None
            if name == CONTENT_TYPE and field is not None and value is not None:
                _check_type(field, value.decode())
            if value is not None:
                yield name, value


def shaped(respond: Respond | None) -> Shape | None:
    """Compile what a route says of its answers; None where it says nothing."""
    return None if respond is None or respond.shape is None else Shape(respond.shape)


class _Field:
    """A field with an expression."""

    __slots__ = ("expression", "name")

    def __init__(self, name: str, text: str, scope: Scope) -> None:
        self.name = name
        self.expression = expressions.compile(text, scope)

    def value(self, activation: Activation) -> object:
        try:
            return self.expression.value(activation)
        except Failed as why:
            raise self.unshaped(why) from None

    def unshaped(self, why: object) -> Unshaped:
        return Unshaped(f"{self.name}: {why}")


def _field(name: str, text: str | None, scope: Scope) -> _Field | None:
    return None if text is None else _Field(name, text, scope)


def _named(one: shape.AnswerHeader) -> str:
    return f"respond.headers[{one.name}].valueExpression"


def _status(field: _Field, activation: Activation) -> int:
    status = field.value(activation)
    if status not in STATUSES:
        raise field.unshaped(f"it gives {status}, and a status is a whole number from 200 to 599")
    return typing.cast(int, status)


def _check_type(field: _Field, value: str) -> None:
    if not texts.is_media_type(value):
        found = show(value)
        raise field.unshaped(f"a Content-Type is {texts.A_MEDIA_TYPE}; it gives {found}, and null leaves it to Fanout")


def _content(field: _Field, activation: Activation) -> tuple[bytes, bytes]:
    """The body, by what the value is, and its content type."""
    value = field.value(activation)
    try:
        content_type, content = _as_it_is(value)
    except NotJson as why:
        raise field.unshaped(why) from None
    if len(content) > LARGEST:
        raise field.unshaped(f"it makes a body of {len(content)} bytes, {LARGEST} may be")
    return content_type, content


def _as_it_is(value: object) -> tuple[bytes, bytes]:
    match value:
        case str():
            return TEXT, value.encode()
        case bytes() | bytearray():
            return BYTES, bytes(value)
        case _:
            return JSON, written(value)
