"""An event as expressions read it: its attributes, its data, the producer's headers, and where it was sent.

Made from what the journal keeps, so that an expression gives the same value at acceptance and at an attempt days later.
Nothing is taken apart that no expression reads.
"""

import re
import typing

import msgspec

from fanout_crds.expressions import Activation, Beyond, Expression, Failed, Parts, Reads, activate
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.media import is_json
from fanout_dispatcher.values.spelling import unspelt

LARGEST: typing.Final = 1 << 20  # bytes of a body that is parsed: some 10 ms
NO_READS: typing.Final = Reads()
_UNREAD: typing.Final = object()  # null is a value
_TYPE: typing.Final = "content-type"
_NAMED: typing.Final = frozenset({"id", "source", "type"})
_PLAIN_JSON: typing.Final = b"\r\ncontent-type: application/json\r\n"  # as most say it
_CONTENT_TYPE: typing.Final = re.compile(rb"^content-type: ([^\r]*)", re.MULTILINE)


class Facts:
    """One event's facts: taken apart when an expression first reads them, and once for all that do.

    ``together`` is what several expressions read that are asked one after the other: the runtime gets it in one, since
    most of what an evaluation costs is handing in. Where it is more than one of them can take, that one is asked alone.
    """

    __slots__ = ("_data", "_fields", "_shared", "_together", "body", "head")

    def __init__(self, head: Head, body: bytes, together: Reads = NO_READS) -> None:
        self.head = head
        self.body = body
        self._together = together
        self._shared: Activation | Failed | None = None
        self._data: object = _UNREAD
        self._fields: dict[str, str] | None = None

    def value(self, expression: Expression) -> object:
        """Evaluate *expression*, which reads no targets. Raises Failed with a sentence."""
        shared = self._shared
        if shared is None:
            shared = self._shared = self._read_together()
        if isinstance(shared, Activation):
            try:
                return expression.value(shared)
            except Beyond:
                if expression.reads == self._together:
                    raise
        elif expression.reads == self._together:
            raise Failed(str(shared))
        return expression.value(self.read(expression.reads))

    def _read_together(self) -> Activation | Failed:
        try:
            return self.read(self._together)
        except Failed as why:
            return why

    def read(self, reads: Reads, targets: dict[str, object] | None = None) -> Activation:
        """Hand in what *reads* names of the event, and of *targets* that have answered. Raises Failed."""
        given: dict[str, object] = {}
        for name in reads.variables:
            match name:
                case "data":
                    given[name] = self._content()
                case "event":
                    given[name] = self._event(reads.event)
                case "headers":
                    given[name] = _headers(self._lines(), self.head)
                case "path" | "query":
                    given[name] = dict(getattr(self.head, name))
                case "targets":
                    given[name] = targets or {}
                case _:
                    pass  # the name of a type
        return activate(reads, given)

    def _event(self, parts: Parts) -> dict[str, str]:
        """Give the attributes that are read; those that the head has as text need no look at its lines."""
        if parts is None:
            return _attributes(self._lines())
        found: dict[str, str] = {}
        for name in parts:
            if name in _NAMED:
                if value := getattr(self.head, name):  # none may be empty: it is not there
                    found[name] = value
            elif (value := self._lines().get(_TYPE if name == "datacontenttype" else f"ce-{name}")) is not None:
                found[name] = value if name == "datacontenttype" else unspelt(value)
        return found

    def _lines(self) -> dict[str, str]:
        if self._fields is None:
            self._fields = _fields(self.head.attributes)
        return self._fields

    def _content(self) -> object:
        if self._data is _UNREAD:
            try:
                self._data = _data(self.head.attributes, self.body)
            except Failed as why:
                self._data = why
        if isinstance(self._data, Failed):
            raise Failed(str(self._data))
        return self._data


def facts(reads: Reads, head: Head, body: bytes, targets: dict[str, object] | None = None) -> Activation:
    """Hand in what *reads* names of an event, and of *targets* that have answered. Raises Failed with a sentence."""
    return Facts(head, body).read(reads, targets)


def attributes_of(block: bytes) -> dict[str, str]:
    """Give the attributes that an event's own header block has, as text; datacontenttype is one of them."""
    return _attributes(_fields(block))


def _fields(block: bytes) -> dict[str, str]:
    """Give the event's own header block as names and values."""
    lines = block.decode("latin-1").split("\r\n")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _attributes(fields: dict[str, str]) -> dict[str, str]:
    found = {name[3:]: unspelt(value) for name, value in fields.items() if name.startswith("ce-")}
    if _TYPE in fields:
        found["datacontenttype"] = fields[_TYPE]
    return found


def _headers(fields: dict[str, str], head: Head) -> dict[str, str]:
    """Give the headers that were kept, in lower case; one that came more than once is one list (RFC 9110 §5.3)."""
    found = {name: value for name, value in fields.items() if not name.startswith("ce-")}
    for given, value in head.forwarded:
        name, text = given.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _data(attributes: bytes, body: bytes) -> object:
    """Give parsed JSON; of any other type a string where it is UTF-8, else bytes; null when there is none."""
    if len(body) > LARGEST:
        raise Failed(f"the data have {len(body)} bytes; expressions read up to {LARGEST}")
    if not body:
        return None
    if _PLAIN_JSON in attributes or ((found := _CONTENT_TYPE.search(attributes)) is not None and is_json(found[1])):
        try:
            return msgspec.json.decode(body)
        except RecursionError:
            raise Failed("the data are nested too deeply") from None
        except msgspec.ValidationError:  # no type was asked for: nothing else can be wrong
            raise Failed("the data hold a number that is out of range") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Failed("the data are not the JSON that their content type says") from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
