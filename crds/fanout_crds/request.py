"""What a target is sent: the event as it came, or a request made of it.

A value is written as it stands or as an expression over the event (docs/expressions.md). What a request is made of is
looked up at each attempt: a mended expression counts for what is pending too.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds import texts
from fanout_crds.expressions import BODY, PATH, VALUE, ExpressionText
from fanout_crds.kinds import Enum
from fanout_crds.objects import ListOf, Object
from fanout_crds.rules import Place, Rule, repeated

Method = Literal["POST", "PUT", "PATCH", "DELETE", "GET"]

Mode = Literal["Binary", "Structured"]

ONE_VALUE = Rule(
    "has(self.value) != has(self.valueExpression)",
    "exactly one of value and valueExpression is needed",
    lambda one: (one.value is None) != (one.value_expression is None),
)
TYPED = Rule(  # of a header
    None,  # in CEL it would cost more than three times what an API server allows for a definition's rules
    f"a Content-Type is {texts.A_MEDIA_TYPE}",
    lambda one: one.name.lower() != "content-type" or one.value is None or texts.is_media_type(one.value),
    at="value",
)
_VALUE_EXPRESSION = (
    "Value as an expression in CEL that gives a string, a number or a boolean; null: the {} is left out. Where it fails"
    " the delivery is dead (ExpressionFailed). Unset: value says it."
)


class Header(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A header field as it is sent."""

    RULES: ClassVar = (ONE_VALUE,)
    name: Annotated[str, texts.HeaderName, "Name, in any case (RFC 9110 §5.1)."]
    value: Annotated[
        str | None,
        texts.HeaderValue,
        "Value, sent as it stands. Not for secrets: use authentication. Unset: valueExpression gives it.",
    ] = None
    value_expression: Annotated[str | None, ExpressionText(VALUE), _VALUE_EXPRESSION.format("header")] = None


class Parameter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A parameter of the query."""

    RULES: ClassVar = (ONE_VALUE,)
    name: Annotated[str, texts.ParameterName, "Name, sent percent-encoded. It may come more than once."]
    value: Annotated[
        str | None,
        texts.ParameterValue,
        "Value, sent percent-encoded. Not for secrets: use authentication. Unset: valueExpression gives it.",
    ] = None
    value_expression: Annotated[str | None, ExpressionText(VALUE), _VALUE_EXPRESSION.format("parameter")] = None


EACH_ONCE = Rule(
    "self.all(one, self.exists_one(other, other.name.lowerAscii() == one.name.lowerAscii()))",
    "each header may be set once, whatever its case",
    lambda headers: len({header.name.lower() for header in headers}) == len(headers),
    places=lambda headers: (Place(f"[{place}].name") for place in repeated(one.name.lower() for one in headers)),
)


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is sent."""

    RULES: ClassVar = (
        Rule(
            "!has(self.bodyExpression) || !has(self.method) || self.method != 'GET'",
            "a GET has no body: leave bodyExpression out, or choose another method",
            lambda request: request.body_expression is None or request.method != "GET",
            at="bodyExpression",
        ),
        Rule(
            "!has(self.mode) || self.mode != 'Structured' || !has(self.bodyExpression)",
            "with mode Structured the body is the event: leave bodyExpression out, or mode",
            lambda request: request.mode != "Structured" or request.body_expression is None,
            at="bodyExpression",
        ),
        Rule(
            "!has(self.mode) || self.mode != 'Structured' || !has(self.method) || !(self.method in ['GET', 'DELETE'])",
            "mode Structured goes with a method that has a body: POST, PUT or PATCH",
            lambda request: request.mode != "Structured" or request.method not in {"GET", "DELETE"},
            at="mode",
        ),
    )
    method: Annotated[
        Method | None,
        Enum(Method),
        "Method of the request. GET and DELETE are sent without the event's body. Unset: POST.",
    ] = None
    mode: Annotated[
        Mode | None,
        Enum(Mode),
        "Binary: attributes as ce-… headers, data as body. Structured: one JSON object (CloudEvents JSON format 1.0.2),"
        " in which data that are JSON stand byte for byte, others as data_base64. Unset: Binary.",
    ] = None
    path_expression: Annotated[
        str | None,
        ExpressionText(PATH),
        "Path, in place of that of url or service, as an expression in CEL that gives a list of segments, each"
        " percent-encoded whole, or a string that starts with /, percent-encoded but for its slashes. The query stays."
        " Unset: the path of url or service.",
    ] = None
    query: Annotated[
        tuple[Parameter, ...],
        ListOf(item=Object(Parameter), most=16),
        "Parameters put at the end of the query, in order. Unset: none.",
    ] = ()
    headers: Annotated[
        tuple[Header, ...],
        ListOf(item=Object(Header), most=16, key="name", rules=(EACH_ONCE,)),
        "Headers added to each request; one of these stands in for a forwarded one of its name. Unset: none.",
    ] = ()
    forward_headers: Annotated[
        tuple[str, ...],
        ListOf(item=texts.ForwardHeader, most=32),
        "Headers of the producer's request that go along, by name or by prefix (x-github-*). Unset: none. Content type,"
        " CloudEvents attributes, trace context and X-Request-Id always do; credentials and connection headers never.",
    ] = ()
    body_expression: Annotated[
        str | None,
        ExpressionText(BODY),
        "Body, as an expression in CEL: its value is sent as JSON, a string too, as application/json, up to 1 MiB."
        " Unset: the event's own body.",
    ] = None

    @property
    def of_one_event(self) -> tuple[str, ...]:
        """The fields that ask for something of a single event, or for no body, and so cannot be of many events."""
        said = {
            "mode": self.mode == "Structured",
            "method": self.method in {"GET", "DELETE"},
            "pathExpression": self.path_expression is not None,
            "bodyExpression": self.body_expression is not None,
            "forwardHeaders": bool(self.forward_headers),
        }
        for place, header in enumerate(self.headers):
            said[f"headers[{place}].valueExpression"] = header.value_expression is not None
        for place, parameter in enumerate(self.query):
            said[f"query[{place}].valueExpression"] = parameter.value_expression is not None
        return tuple(field for field, there in said.items() if there)
