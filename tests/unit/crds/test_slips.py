"""What people write at first: one value for a list or an object, a number for text, a short name for a long one.

Each is told how it is written; the sentence is the whole of it.
"""

import pytest

from tests.unit.crds.corpus import SETTLED, Json, T, changed, good
from tests.unit.crds.test_graph import faults_of

RESPOND = "; known here: mode, waitFor, quorum, timeout, onTimeout, maxBodySize, status, statusExpression, headers,"


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        # one value in place of a list of them
        (f"{T}.dependsOn", "crm", 'expected a list, got a string; write ["crm"]'),
        ("spec.listen.methods", "GET", 'expected a list, got a string; write ["GET"]'),
        (f"{T}.policy.retry.on", 503, "expected a list, got a number; write [503]"),
        (
            f"{T}.request.forwardHeaders",
            {"x-a": ""},
            'expected a list, got a mapping; each of its items begins with "- "',
        ),
        ("spec.finally", {"name": "m"}, 'expected a list, got a mapping; each of its items begins with "- "'),
        # one value in place of an object
        (f"{T}.policy.batch", True, "expected a mapping, got true; write {} for its defaults"),
        ("spec.accept.idempotency", True, "expected a mapping, got true; write {} for its defaults"),
        (f"{T}.policy.hedge", True, "expected a mapping, got true; known here: mode, delay, maxExtra"),
        (f"{T}.cache", "30s", "expected a mapping, got a string; known here: keyExpression, ttl"),
        ("spec.respond", "Settled", f"expected a mapping, got a string{RESPOND} bodyExpression"),
        # text
        (f"{T}.when", True, "expected an expression in CEL that gives true or false, got true; put it in quotes"),
        (
            f"{T}.request.bodyExpression",
            {"a": 1},
            "expected an expression in CEL that gives any value, got a mapping; put it in quotes",
        ),
        (
            f"{T}.request.query",
            [{"name": "n", "value": 7}],
            "expected a value without control characters, got a number; put it in quotes",
        ),
        (
            f"{T}.name",
            7,
            'expected a name of lower-case letters, digits and "-" (RFC 1123 label, up to 63), got 7; put it in quotes',
        ),
        (f"{T}.url", 7, "expected a URL, got a number"),
        # what has to be there
        (f"{T}.fallback", {"static": {}}, "is required: Static or Target"),
        # a short name
        (f"{T}.policy.ordering", {"key": "subject"}, 'unknown field; did you mean "keyAttribute" or "keyExpression"?'),
        ("spec.accept.idempotency", {"key": "event.id"}, 'unknown field; did you mean "keyExpression"?'),
        ("spec.respond", SETTLED | {"body": "data"}, 'unknown field; did you mean "bodyExpression"?'),
        ("spec.respond", SETTLED | {"statusCode": 201}, 'unknown field; did you mean "status"?'),
        # a name of something else
        (f"{T}.policy.batch", {"size": 7}, "unknown field; known here: mode, maxEvents, maxBytes, maxWait"),
        ("spec.accept.idempotency", {"header": "x"}, "unknown field; known here: keyExpression, ttl, maxKeys"),
        (f"{T}.dependsOn", ["crm"], "no target is named crm; there is no other"),
        ("spec.listen.path", "/shop/:id", "a segment that stands for any is in braces: {id}, not :id"),
    ],
)
def test_a_slip_is_told_with_what_to_write(at: str, value: Json, says: str) -> None:
    [found] = faults_of(changed(good(), at, value))

    assert found.partition(": ")[2] == says
