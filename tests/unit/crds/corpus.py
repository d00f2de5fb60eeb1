"""Bad manifests, each with the path and the sentence it must be refused with: for files here, and again by
tests/controlplane for the real API server.

`by` says who else refuses it: RULE, the API server with the same sentence, and at the same path or at the list that it
is in, since its rules cannot count; SHAPE, the API server in its own words; FILES, only we (the API server cannot see
it).
"""

import copy
import enum
import itertools
import re
import typing

Json = typing.Any


class By(enum.Enum):
    RULE = enum.auto()
    SHAPE = enum.auto()
    FILES = enum.auto()


class Bad(typing.NamedTuple):
    name: str
    at: str  # what is set in a good manifest
    value: Json
    path: str  # where the fault must be
    says: str
    by: By = By.SHAPE


GONE: typing.Final = object()


def good(name: str = "order-placed", namespace: str = "shop") -> Json:
    """A small manifest with nothing wrong."""
    return {
        "apiVersion": "fanout.dev/v1alpha1",
        "kind": "FanoutRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"targets": [{"name": "billing", "url": "https://billing.example.com/events"}]},
    }


def changed(document: Json, at: str, value: Json) -> Json:
    """A copy of *document* with *value* at a path such as ``spec.targets[0].url``; GONE removes what is there."""
    out = copy.deepcopy(document)
    steps: list[str | int] = [
        int(step[1:-1]) if step.startswith("[") else step for step in re.findall(r"\[\d+\]|[^.\[\]]+", at)
    ]
    here = out
    for step, following in itertools.pairwise(steps):
        if isinstance(here, list):
            here.extend(
                {"name": f"more-{place}", "url": "http://a.example"} for place in range(len(here), int(step) + 1)
            )
            here = here[int(step)]
        else:
            here = here.setdefault(step, [] if isinstance(following, int) else {})
    if value is GONE:
        del here[steps[-1]]
    elif isinstance(here, list):
        here[int(steps[-1]) :] = [value]
    else:
        here[steps[-1]] = value
    return out


T = "spec.targets[0]"
OF_ONE_EVENT = (
    "policy.batch sends many events in one request: it does not go with dependsOn, compensate, fallback, cache, or a"
    " request that is made of one event (mode Structured, forwardHeaders, an expression) or has no body"
)
OUTBOX = "spec.sources.postgresOutbox"
OUTBOX_URL: Json = {"urlSecret": {"name": "shop-db", "key": "uri"}}
RETRY = f"{T}.policy.retry"
BREAKER = f"{T}.policy.circuitBreaker"
HEADER = f"{T}.request.headers[0]"
KEY_EXPRESSION = "spec.accept.idempotency.keyExpression"
UNKNOWN_NAME = 'at 1:1: unknown name events; did you mean "event"?'
TOKEN = f"{T}.authentication.bearer.secretRef"
DURATION = 'expected a duration such as "250ms" or "1m30s" (h, m, s, ms), got '
HOST = "needs a host in plain ASCII (other scripts in their xn-- form) and a port, if any, from 1 to 65535"
SPELLED = "a host that ends in a number must be an IPv4 address in its usual form, such as 192.0.2.7"
WIRE = "must be plain ASCII as it goes over the wire: write other characters percent-encoded"
FRAMES = "this header belongs to the connection or frames the message (RFC 9110): HTTP sets it itself"
CREDENTIAL = "credentials never stand in a manifest or come from a producer: use authentication"
OURS = "Fanout sends this header itself, with every delivery"
RESERVED = "headers ce-… (CloudEvents) and fanout-… are set by Fanout itself"
BRACES = "braces hold a whole segment, and in it a name such as {id}: letters, digits and _, up to 32"
SEGMENTS = 'must be made of segments of plain characters, without empty ones, a "/" at the end, a query or "%"'
LABEL = 'expected a name of lower-case letters, digits and "-" (RFC 1123 label, up to 63), got '
USER = "must not hold a user or password: use authentication, which takes them from a Secret"
SIZE = 'expected a size above 0 such as 64Ki, "1.5Mi" or 4096 (bytes), got '
ANSWER = 'expected a status from 300 to 599 such as 429, a class such as "5xx", or a fault such as "Timeout", got '
WORDS = "; known here: "
ZERO = "must be longer than 0s"
WAITING: typing.Final = (
    "waitFor, quorum, timeout, onTimeout, maxBodySize, status, statusExpression, headers and bodyExpression go with"
    " mode Settled"
)
SETTLED: typing.Final[Json] = {"mode": "Settled"}
CERTIFICATE: Json = {"clientCertificate": {"secretRef": {"name": "us"}}}
UNDO: Json = {"url": "https://b.example.com/undo"}
MAIL: Json = {"name": "mail", "url": "https://mail.example.com/events"}
A: Json = {"name": "a", "url": "https://a.example.com/events"}
STATIC: Json = {"type": "Static", "static": {"body": "[]"}}
MEDIA_TYPE = 'a Content-Type is a media type, such as "text/html" (RFC 9110 §8.3)'
ONE_OF_BOTH: typing.Final = "type Static needs static and no target, type Target needs target and no static"
NOT_UNDONE = "compensate does not go with a fallback of type Target: what that one does would not be undone"
SEEN = "a fallback of type Static is for a caller: respond.mode must be Settled, and the caller wait for its target"
QUORUM = "respond.quorum must not be more than the targets that the caller waits for"
FALLBACKS = "expected one of Static, Target, "
CACHE: typing.Final = {"keyExpression": "data.sku", "ttl": "30s"}
KEY_HEADER = "header is needed with type Header, and goes with no other"
SWITCH = WORDS + "Enabled, Disabled"
MODES = "Auto, ForcedOpen, ForcedClosed, DryRun, Disabled"
WHEN_NAME = 'at 1:1: unknown name evnt; did you mean "event"?'
ONE_VALUE = "exactly one of value and valueExpression is needed"
PATH_TYPE = "must give a string or a list of strings, it gives an int"
WHEN_TYPE = "must give true or false, it gives a string"
KEY_AT = f"{T}.policy.ordering.keyExpression"
ONE_KEY = "exactly one of keyAttribute and keyExpression is needed: it says what is kept in order"
AFTER = "Block, PassOver"
ATTRIBUTE = 'expected the name of a CloudEvents attribute, such as "subject": lower-case letters and digits, got '
NO_ATTRIBUTE = "data and its type are no attributes that come as ce-… headers"
QUEUED = (
    "policy.bulkhead.maxQueue goes with targets that callers wait for (respond.mode Settled, and in waitFor where that"
    " names any) and that depend on no other"
)
QUEUE_HERE: Json = {"name": "a", "url": "http://a.example", "policy": {"bulkhead": {"maxQueue": 0}}}
OTHER: Json = {"name": "b", "url": "http://b.example"}
AFTER_OTHER: Json = {"dependsOn": ["b"]}
ELSEWHERE: Json = {"mode": "Settled", "waitFor": ["b"]}
BACKOFFS = "Constant, Linear, Exponential, Schedule"


def static_type(text: str) -> Json:
    """A static answer of this media type."""
    return {"type": "Static", "static": {"headers": [{"name": "content-type", "value": text}]}}


def _path(name: str, value: str, says: str) -> Bad:
    return Bad(name, "spec.listen.path", value, "spec.listen.path", says, By.RULE)


def _url(name: str, value: str, says: str, by: By = By.RULE) -> Bad:
    return Bad(name, f"{T}.url", value, f"{T}.url", says, by)


def _header(name: str, says: str) -> Bad:
    return Bad(f"header {name}", HEADER, {"name": name, "value": "x"}, f"{HEADER}.name", says, By.RULE)


def _forward(name: str, says: str) -> Bad:
    at = f"{T}.request.forwardHeaders[0]"
    return Bad(f"forwarded {name}", at, name, at, says, By.RULE)


def _rule(at: str, value: Json, says: str, below: str = "") -> Bad:
    return Bad(says, at, value, at + below, says, By.RULE)


def _rate(name: str, value: Json, field: str, says: str, by: By = By.SHAPE) -> Bad:
    at = "spec.accept.rateLimit"
    return Bad(f"accept.rateLimit: {name}", at, value, f"{at}.{field}", says, by)


def _shape(at: str, value: Json, says: str) -> Bad:
    return Bad(f"{at.rpartition('.')[2]} {str(value)[:20]!r}", at, value, at, says)


def _outbox(field: str, value: Json, says: str, inside: str = "") -> Bad:
    return Bad(f"outbox {field}", OUTBOX, OUTBOX_URL | {field: value}, f"{OUTBOX}.{field}{inside}", says)


CORPUS: typing.Final = [
    # the envelope
    Bad(
        "another version",
        "apiVersion",
        "fanout.dev/v2",
        "apiVersion",
        'expected "fanout.dev/v1alpha1", got "fanout.dev/v2"',
    ),
    Bad("another kind", "kind", "FanoutRout", "kind", 'expected "FanoutRoute", got "FanoutRout"'),
    Bad("no apiVersion", "apiVersion", GONE, "apiVersion", 'expected "fanout.dev/v1alpha1", it is missing'),
    Bad("a field beside spec", "sepc", {}, "sepc", 'unknown field; did you mean "spec"?'),
    Bad("no name", "metadata.name", GONE, "metadata.name", "is required"),
    Bad("a name with dots", "metadata.name", "a.b", "metadata.name", LABEL.removesuffix(", got "), By.RULE),
    Bad("no spec", "spec", GONE, "spec", "is required"),
    _shape("spec", [], "expected a mapping, got a list"),
    # the route
    _shape("spec.clasName", "x", 'unknown field; did you mean "className"?'),
    _shape("spec.className", "Fan_out", 'expected the name of an installation, such as "fanout", got "Fan_out"'),
    # what it fetches by itself
    _outbox("table", "a;b", 'expected the name of a table, such as "outbox" or "shop.outbox", got "a;b"'),
    _outbox("columns", {"id": "i-d"}, 'expected the name of a column, such as "id", got "i-d"', ".id"),
    _outbox("batchSize", 0, "expected a whole number from 1 to 1000, got 0"),
    _outbox("afterTaking", "delete", 'expected one of Delete, Mark, got "delete"; did you mean "Delete"?'),
    _outbox("channel", "a-b", 'expected the name of a channel, such as "outbox", got "a-b"'),
    _outbox("urlSecret", "postgresql://me:secret@db/shop", "expected a mapping, got a string"),
    Bad("no url", OUTBOX, {}, f"{OUTBOX}.urlSecret", "is required"),
    Bad(
        "an outbox in memory",
        "spec",
        {
            "durability": "Memory",
            "sources": {"postgresOutbox": OUTBOX_URL},
            "targets": [{"name": "a", "url": "http://a.example"}],
        },
        "spec.durability",
        "sources.postgresOutbox needs durability Journal: only what is on disk may be checked off in the table",
        By.RULE,
    ),
    _shape("spec.suspend", "yes", 'expected true or false, got "yes"'),
    _shape("spec.durability", "journal", 'expected one of Journal, Memory, got "journal"; did you mean "Journal"?'),
    _shape("spec.accept.maxBodySize", "1MB", SIZE + '"1MB"'),
    _shape("spec.accept.maxBodySize", 0, SIZE + "0"),
    _shape("spec.accept.maxBodySize", -1, SIZE + "-1"),
    _rule("spec.accept.maxBodySize", "65Mi", "must not be more than 64Mi"),
    Bad(
        "a large integer size",
        "spec.accept.maxBodySize",
        2**31,
        "spec.accept.maxBodySize",
        "must not be more than 64Mi",
        By.RULE,
    ),
    _shape("spec.accept.schema", {}, "unknown field; known here: maxBodySize, rateLimit, batches, idempotency"),
    _shape("spec.accept.batches", "Yes", 'expected one of Refuse, Accept, got "Yes"; known here: Refuse, Accept'),
    _rule(
        "spec.accept",
        {"batches": "Accept", "idempotency": {}},
        "batches: Accept does not go with idempotency, which knows a request by one key",
        ".batches",
    ),
    _rule("spec.accept.idempotency", {"ttl": "169h"}, "ttl must not be longer than 168h", ".ttl"),
    _shape("spec.accept.idempotency.maxKeys", 0, "expected a whole number from 1 to 10000000, got 0"),
    Bad("a key that is none", KEY_EXPRESSION, "1", KEY_EXPRESSION, "must give a string, it gives an int", By.FILES),
    Bad("a key of nothing", KEY_EXPRESSION, "events.id", KEY_EXPRESSION, UNKNOWN_NAME, By.FILES),
    _rate("no requests", {}, "requests", "is required"),
    _rate("no request at all", {"requests": 0}, "requests", "expected a whole number from 1 to 1000000, got 0"),
    _rate("in no time", {"requests": 1, "per": "0s"}, "per", ZERO, By.RULE),
    _rate("a header unnamed", {"requests": 1, "key": {"type": "Header"}}, "key.header", KEY_HEADER, By.RULE),
    _rate(
        "a header too many", {"requests": 1, "key": {"type": "Route", "header": "x"}}, "key.header", KEY_HEADER, By.RULE
    ),
    _rate(
        "a header that is none",
        {"requests": 1, "key": {"type": "Header", "header": "x a"}},
        "key.header",
        'expected a header name such as "x-tenant" (RFC 9110 token), got "x a"',
    ),
    _path("path without slash", "shop/x", 'must start with "/"'),
    _path("a name beside something", "/shop/order-{id}", BRACES),
    _path("braces without a name", "/shop/{}", BRACES),
    _path("a name with a hyphen", "/shop/{order-id}", BRACES),
    _path("a brace too many", "/shop/{id}}", BRACES),
    _path("nine names", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", "must not have more than 8 segments in braces"),
    _path("a name twice", "/{a}/b/{a}", "must not have the same name in braces twice")._replace(by=By.FILES),
    _shape("spec.listen.methods", ["HEAD"], "expected one of POST, PUT")._replace(path="spec.listen.methods[0]"),
    _rule("spec.listen.methods", ["POST", "POST"], "each method may be named once", "[1]"),
    _rule(
        "spec",
        good()["spec"] | {"listen": {"methods": ["POST", "GET"]}},
        "listen.methods other than POST need respond.mode Settled: who sends them wants an answer, not a receipt",
        ".listen.methods[1]",
    ),
    _rule(
        "spec",
        good()["spec"] | {"listen": {"path": "/shop/{id}"}, "sources": {"postgresOutbox": OUTBOX_URL}},
        "sources need a listen.path without names in braces: what is fetched was sent to no path",
        ".listen.path",
    ),
    _path("a segment after a colon", "/shop/:id", "a segment that stands for any is in braces: {id}, not :id"),
    _path("our own paths", "/-/events", "paths under /-/ are Fanout's own"),
    _path("our own path", "/-", "paths under /-/ are Fanout's own"),
    _path("empty segment", "/a//b", SEGMENTS),
    _path("slash at the end", "/a/", SEGMENTS),
    _path("query in a path", "/a?b=c", SEGMENTS),
    _path("percent in a path", "/a%2Fb", SEGMENTS),
    _path("dot segment", "/a/../b", 'must not hold "." or ".." as a segment'),
    _path("dot segment at the end", "/a/..", 'must not hold "." or ".." as a segment'),
    # targets
    _shape("spec.respond.mode", "Wait", 'expected one of Accepted, Settled, got "Wait"'),
    _shape("spec.respond.waitFor", ["Billing"], LABEL + '"Billing"')._replace(path="spec.respond.waitFor[0]"),
    _rule("spec.respond", {"quorum": 1}, WAITING, ".quorum"),
    _rule(
        "spec",
        good()["spec"] | {"respond": {"mode": "Settled"}, "accept": {"batches": "Accept"}},
        "accept.batches: Accept goes with respond.mode Accepted only",
        ".accept.batches",
    ),
    _rule("spec.respond", {"mode": "Accepted", "waitFor": ["billing"]}, WAITING, ".waitFor"),
    _rule("spec.respond", {"headers": []}, WAITING, ".headers"),
    _rule(
        "spec.respond",
        SETTLED | {"status": 200, "statusExpression": "200"},
        "at most one of status and statusExpression may be there",
        ".statusExpression",
    ),
    _rule(
        "spec.respond",
        SETTLED | {"status": 204, "bodyExpression": "data"},
        "an answer of this status has no body",
        ".bodyExpression",
    ),
    _shape("spec.respond", SETTLED | {"status": 101}, "expected a whole number from 200 to 599, got 101")._replace(
        path="spec.respond.status"
    ),
    *(
        Bad(f"{text} in {field}", "spec.respond", SETTLED | {field: text}, f"spec.respond.{field}", says, By.FILES)
        for field, text, says in (
            ("bodyExpression", "targets.billing.body +", "at 1:23: it ends too early"),
            ("statusExpression", "'ok'", "must give a whole number, it gives a string"),
        )
    ),
    *(
        _rule("spec.respond", SETTLED | {"headers": [{"name": name, "value": "x"}]}, says)._replace(
            name=f"the header {name} in an answer", path="spec.respond.headers[0].name"
        )
        for name, says in (
            ("Content-Length", "this header frames the message, carries a credential, or is in every answer"),
            ("set-cookie", "this header frames the message, carries a credential, or is in every answer"),
            ("Fanout-Receipt", "headers fanout-… are set by Fanout itself"),
        )
    ),
    _rule("spec.respond", {"mode": "Settled", "timeout": "0s"}, ZERO)._replace(path="spec.respond.timeout"),
    _rule("spec.respond", {"mode": "Settled", "maxBodySize": "2Mi"}, "must not be more than 1Mi")._replace(
        path="spec.respond.maxBodySize"
    ),
    _rule(
        "spec.respond",
        {"mode": "Settled", "waitFor": ["billing"], "quorum": 2},
        "quorum must not be more than the targets that waitFor names",
        ".quorum",
    ),
    _rule(
        "spec.respond",
        {"mode": "Settled", "waitFor": ["billing", "billing"]},
        "each target may be named once",
        ".waitFor[1]",
    ),
    _rule(
        "spec.respond",
        {"mode": "Settled", "waitFor": ["mail"]},
        "respond.waitFor may only name targets of the route",
        ".waitFor[0]",
    ),
    _rule(
        "spec.respond",
        {"mode": "Settled", "quorum": 2},
        QUORUM,
        ".quorum",
    ),
    _rule(f"{T}.policy.bulkhead.maxQueue", 4, QUEUED),
    _rule(
        "spec",
        good()["spec"] | {"respond": ELSEWHERE, "targets": [QUEUE_HERE, OTHER]},
        QUEUED,
        ".targets[0].policy.bulkhead.maxQueue",
    ),
    _rule(
        "spec",
        good()["spec"] | {"respond": SETTLED, "targets": [QUEUE_HERE | AFTER_OTHER, OTHER]},
        QUEUED,
        ".targets[0].policy.bulkhead.maxQueue",
    ),
    _rule(
        "spec.defaults.policy.bulkhead.maxQueue",
        4,
        "defaults.policy.bulkhead.maxQueue goes with respond.mode Settled: elsewhere nobody waits",
    ),
    _rule(
        "spec", {"respond": SETTLED, "targets": [MAIL | {"fallback": STATIC | {"target": UNDO}}]}, ONE_OF_BOTH
    )._replace(path=f"{T}.fallback.target", name="a fallback of two types"),
    _rule(f"{T}.fallback", {"type": "Target"}, ONE_OF_BOTH, ".target"),
    _rule(f"{T}.fallback", {"type": "Static", "target": UNDO}, ONE_OF_BOTH, ".static")._replace(
        name="static without an answer"
    ),
    _rule(T, MAIL | {"compensate": UNDO, "fallback": {"type": "Target", "target": UNDO}}, NOT_UNDONE, ".compensate"),
    _rule(f"{T}.fallback", STATIC, SEEN)._replace(name="a static answer that nobody waits for"),
    _rule(
        "spec",
        {"respond": {"mode": "Settled", "waitFor": ["a"]}, "targets": [A, MAIL | {"fallback": STATIC}]},
        SEEN,
        ".targets[1].fallback",
    )._replace(name="a static answer of one that is not waited for"),
    _rule(
        "spec",
        {"respond": {"mode": "Settled"}, "targets": [A, MAIL | {"onDead": "Continue", "fallback": STATIC}]},
        SEEN,
        ".targets[1].fallback",
    )._replace(name="a static answer of one that is not waited for by default"),
    _rule(
        "spec",
        {"respond": {"mode": "Settled", "quorum": 2}, "targets": [A, MAIL | {"onDead": "Continue"}]},
        QUORUM,
        ".respond.quorum",
    ),
    _shape(f"{T}.fallback", {"static": {}}, "is required")._replace(path=f"{T}.fallback.type"),
    _shape(f"{T}.fallback", {"type": "static"}, FALLBACKS + 'got "static"; did you mean "Static"?')._replace(
        path=f"{T}.fallback.type"
    ),
    _shape(
        f"{T}.fallback",
        {"type": "Static", "static": {"status": 503}},
        "expected a whole number from 200 to 299, got 503",
    )._replace(path=f"{T}.fallback.static.status"),
    _shape(
        f"{T}.fallback",
        {"type": "Static", "static": {"headers": [{"name": "Content-Type", "value": "text/plain"}]}},
        'expected a header that is kept of answers, in lower case, such as "content-type", got "Content-Type"',
    )._replace(path=f"{T}.fallback.static.headers[0].name"),
    *(
        _shape(
            f"{T}.fallback",
            {"type": "Static", "static": {"body": body}},
            f'expected a text, with JSON in quotes, such as "[]", got {got}',
        )._replace(path=f"{T}.fallback.static.body", name=f"a static body that is {got}")
        for body, got in (([], "a list"), ({"stock": 0}, "a mapping"), (0, "0"))
    ),
    *(
        Bad(f"Content-Type {text!r} at {at}", at, value, f"{at}{path}", MEDIA_TYPE, By.FILES)
        for text in ("", "json", "text/html; charset")
        for at, value, path in (
            ("spec.respond", SETTLED | {"headers": [{"name": "Content-Type", "value": text}]}, ".headers[0].value"),
            (
                "spec",
                {"respond": SETTLED, "targets": [A | {"fallback": static_type(text)}]},
                ".targets[0].fallback.static.headers[0].value",
            ),
        )
    ),
    _rule(
        "spec",
        changed(good(), "spec.targets[0].cache", CACHE)["spec"],
        "cache goes with respond.mode Settled only: without it nobody looks at the answers",
        ".targets[0].cache",
    ),
    _rule(
        "spec.targets[0]",
        good()["spec"]["targets"][0] | {"cache": CACHE, "compensate": {"url": "http://a.example"}},
        "cache does not go with compensate: what an earlier answer settles was not done, and cannot be undone",
        ".cache",
    ),
    _rule(
        "spec.targets[0]",
        good()["spec"]["targets"][0] | {"cache": CACHE, "fallback": {"type": "Target", "target": UNDO}},
        "cache does not go with fallback: whether an earlier answer or another one stands in would be left to chance",
        ".cache",
    ),
    _rule("spec.targets[0].cache", CACHE | {"ttl": "0s"}, ZERO)._replace(path="spec.targets[0].cache.ttl"),
    Bad(
        "cache without a time",
        "spec.targets[0].cache",
        {"keyExpression": "''"},
        "spec.targets[0].cache.ttl",
        "is required",
    ),
    Bad(
        "cache without a key",
        "spec.targets[0].cache",
        {"ttl": "1s"},
        "spec.targets[0].cache.keyExpression",
        "is required",
    ),
    _shape("spec.targets", [], "expected 1 to 64 items, got 0"),
    _shape("spec.targets", {}, "expected a list, got a mapping"),
    Bad("no targets", "spec.targets", GONE, "spec.targets", "is required"),
    Bad(
        "a duplicate target",
        "spec.targets[1].name",
        "billing",
        "spec.targets[1].name",
        '"billing" is already the name of spec.targets[0]',
    ),
    _shape(f"{T}.name", "Billing", LABEL + '"Billing"'),
    Bad("a long target name", f"{T}.name", "a" * 64, f"{T}.name", "must not be longer than 63 characters, it has 64"),
    _shape(f"{T}.polcy", {}, 'unknown field; did you mean "policy"?'),
    _shape(f"{T}.mirror", {}, "unknown field; known here: name, url, service, "),
    Bad("neither url nor service", f"{T}.url", GONE, T, "exactly one of url and service is needed", By.RULE),
    Bad(
        "url and service",
        f"{T}.service",
        {"name": "a", "port": 80},
        T,
        "exactly one of url and service is needed",
        By.RULE,
    ),
    # urls
    _url("another scheme", "ftp://a.example/", "must start with http:// or https://"),
    _url("no scheme", "billing:80", "must start with http:// or https://"),
    _url("a user in a url", "http://me:hunter2@a.example/", USER),
    _url("a fragment", "http://a.example/#x", "must not have a fragment (#…): targets never see it"),
    _url("no host", "http:///x", HOST),
    _url("a port out of range", "http://a.example:65536/", HOST),
    _url("no port after a colon", "http://a.example:/", HOST),
    _url("a host in another script", "http://①②⑦.⓪.⓪.①/", HOST),
    _url("a full-width dot", "http://127。0。0。1/", HOST),
    _url("an address as one number", "http://2130706433/", SPELLED),
    _url("a short hexadecimal address", "http://0x7f.1/x", SPELLED),
    _url("an octal address", "http://0177.0.0.1/", SPELLED),
    _url("an address with a dot behind", "http://127.0.0.1./", SPELLED),
    _url("a backslash", "http://a.example\\@b.example/", USER),
    _url("a space", "http://a.example/a b", WIRE),
    _url("an umlaut in the path", "http://a.example/ä", WIRE),
    _url(
        "no IPv6 address", "http://[12345::1]/", "an address in brackets must be an IPv6 address (RFC 4291)", By.FILES
    ),
    Bad("url is a number", f"{T}.url", 7, f"{T}.url", "expected a URL, got a number"),
    Bad(
        "tls for http",
        f"{T}",
        {"name": "a", "url": "http://a.example", "tls": {"caSecret": {"name": "a", "key": "b"}}},
        f"{T}.tls",
        "tls goes with an https:// url",
        By.RULE,
    ),
    # authentication
    Bad(
        "a certificate for http",
        f"{T}",
        {"name": "a", "url": "http://a.example", "authentication": CERTIFICATE},
        f"{T}.authentication.clientCertificate",
        "a client certificate goes with an https:// url",
        By.RULE,
    ),
    Bad(
        "a certificate for http at the end",
        "spec.finally",
        [{"name": "a", "url": "http://a.example", "authentication": CERTIFICATE}],
        "spec.finally[0].authentication.clientCertificate",
        "a client certificate goes with an https:// url",
        By.RULE,
    ),
    Bad(
        "authentication by nothing",
        f"{T}.authentication",
        {},
        f"{T}.authentication",
        "bearer or clientCertificate is needed, or both",
        By.RULE,
    ),
    Bad(
        "a certificate of nowhere",
        f"{T}.authentication",
        {"clientCertificate": {}},
        f"{T}.authentication.clientCertificate.secretRef",
        "is required",
    ),
    _shape(
        f"{T}.authentication",
        {"clientCertificate": {"secretRef": {"name": "a", "key": "tls.crt"}}},
        "unknown field; known here: name, namespace",
    )._replace(path=f"{T}.authentication.clientCertificate.secretRef.key"),
    # services
    Bad("no port", T, {"name": "a", "service": {"name": "b"}}, f"{T}.service.port", "is required"),
    Bad(
        "a quoted number",
        T,
        {"name": "a", "service": {"name": "b", "port": "80"}},
        f"{T}.service.port",
        "a port written as a string is a name and needs a letter; write a number without quotes",
        By.RULE,
    ),
    Bad(
        "port 0",
        T,
        {"name": "a", "service": {"name": "b", "port": 0}},
        f"{T}.service.port",
        'expected a port such as 8080, or the name of one such as "http", got 0',
    ),
    Bad(
        "a relative service path",
        T,
        {"name": "a", "service": {"name": "b", "port": 80, "path": "x"}},
        f"{T}.service.path",
        'must start with "/"',
        By.RULE,
    ),
    # headers
    *(_header(name, FRAMES) for name in ("Host", "Content-Length", "transfer-encoding", "Connection", "TE", "Upgrade")),
    *(_header(name, CREDENTIAL) for name in ("Authorization", "cookie", "Proxy-Authorization")),
    *(_header(name, OURS) for name in ("Idempotency-Key", "content-type", "traceparent")),
    *(_header(name, RESERVED) for name in ("ce-id", "CE-type", "Fanout-Attempt")),
    Bad(
        "no header name",
        HEADER,
        {"name": "x y", "value": "z"},
        f"{HEADER}.name",
        'expected a header name such as "x-shop" (RFC 9110 token), got "x y"',
    ),
    Bad(
        "a line break in a value",
        HEADER,
        {"name": "x", "value": "a\r\nHost: b"},
        f"{HEADER}.value",
        "expected a header value: visible ASCII, spaces inside only (RFC 9110), got a string",
    ),
    Bad("no header value", HEADER, {"name": "x"}, HEADER, ONE_VALUE, By.RULE),
    Bad("two", HEADER, {"name": "x", "value": "1", "valueExpression": "'1'"}, HEADER, ONE_VALUE, By.RULE),
    Bad("no parameter value", f"{T}.request.query[0]", {"name": "x"}, f"{T}.request.query[0]", ONE_VALUE, By.RULE),
    Bad(
        "a body by GET",
        f"{T}.request",
        {"method": "GET", "bodyExpression": "data"},
        f"{T}.request.bodyExpression",
        "a GET has no body: leave bodyExpression out, or choose another method",
        By.RULE,
    ),
    Bad(
        "a structured event by GET",
        f"{T}.request",
        {"method": "GET", "mode": "Structured"},
        f"{T}.request.mode",
        "mode Structured goes with a method that has a body: POST, PUT or PATCH",
        By.RULE,
    ),
    Bad(
        "a structured event of another body",
        f"{T}.request",
        {"bodyExpression": "data", "mode": "Structured"},
        f"{T}.request.bodyExpression",
        "with mode Structured the body is the event: leave bodyExpression out, or mode",
        By.RULE,
    ),
    _shape(f"{T}.request.mode", "Batched", 'expected one of Binary, Structured, got "Batched"'),
    _shape(f"{T}.request.method", "HEAD", 'expected one of POST, PUT, PATCH, DELETE, GET, got "HEAD"'),
    Bad(
        "a control character",
        f"{T}.request.query[0]",
        {"name": "a\n", "value": "1"},
        f"{T}.request.query[0].name",
        "expected the name of a parameter, without control characters",
    ),
    Bad("no path", f"{T}.request.pathExpression", "1", f"{T}.request.pathExpression", PATH_TYPE, By.FILES),
    Bad(
        "a header twice",
        f"{T}.request.headers",
        [{"name": "X-a", "value": "1"}, {"name": "x-A", "value": "2"}],
        f"{T}.request.headers[1].name",
        "each header may be set once, whatever its case",
        By.RULE,
    ),
    _forward("Cookie", CREDENTIAL),
    _forward("ce-*", RESERVED),
    Bad(
        "everything forwarded",
        f"{T}.request.forwardHeaders",
        ["*"],
        f"{T}.request.forwardHeaders[0]",
        'expected a header name such as "x-shop", or a prefix such as "x-github-*", got "*"',
    ),
    # secrets
    Bad(
        "a secret in place of its name",
        TOKEN,
        {"name": "Hunter2!", "key": "k"},
        f"{TOKEN}.name",
        'expected the name of a Secret (lower-case letters, digits, "-" and "."), got a string',
    ),
    Bad(
        "a token in place of a reference",
        f"{T}.authentication.bearer",
        "hunter2",
        f"{T}.authentication.bearer",
        "expected a mapping, got a string",
    ),
    Bad("no key", TOKEN, {"name": "a"}, f"{TOKEN}.key", "is required"),
    # durations, numbers, words
    _shape(f"{RETRY}.backoff.baseDelay", 5, DURATION + "5"),
    _shape(f"{RETRY}.backoff.baseDelay", "5", DURATION + '"5"'),
    _shape(f"{RETRY}.backoff.baseDelay", "1.5s", DURATION + '"1.5s"'),
    Bad("null where something must be", f"{T}.name", None, f"{T}.name", "is required"),
    Bad("null in a list", "spec.targets", [None], T, "expected a mapping, got null"),
    _rule(f"{RETRY}.backoff.baseDelay", "0s", ZERO),
    _rule(f"{T}.policy.timeouts.connect", "0h0m", ZERO),
    _rule(f"{T}.policy.deadLetter.keep", "0s", ZERO),
    _shape(
        f"{RETRY}.backoff.type",
        "Random",
        f'expected one of {BACKOFFS}, got "Random"{WORDS}{BACKOFFS}',
    ),
    _shape(f"{RETRY}.backoff.multiplier", 1.5, 'expected a decimal such as 2 or "1.5" (fractions in quotes), got 1.5'),
    _rule(f"{RETRY}.backoff.multiplier", "0.5", "must be from 1 to 100"),
    _shape(f"{RETRY}.maxAttempts", 0, "expected a whole number from 1 to 1000, got 0"),
    _shape(f"{RETRY}.maxAttempts", True, "expected a whole number from 1 to 1000, got true"),
    _shape(f"{RETRY}.maxAttemps", 3, 'unknown field; did you mean "maxAttempts"?'),
    _shape(f"{RETRY}.budget.percent", "20%", 'expected a whole number from 0 to 100, got "20%"'),
    _shape(f"{RETRY}.budget.minRetriesPerSecond", 0, "expected a whole number from 1 to 10000, got 0"),
    Bad(
        "a schedule without waits",
        f"{RETRY}.backoff",
        {"type": "Schedule", "schedule": []},
        f"{RETRY}.backoff.schedule",
        "expected 1 to 64 items, got 0",
    ),
    Bad(
        "a wait of nothing in a schedule",
        f"{RETRY}.backoff",
        {"type": "Schedule", "schedule": ["1s", "0s"]},
        f"{RETRY}.backoff.schedule[1]",
        ZERO,
        By.RULE,
    ),
    _shape(f"{T}.policy.rateLimit.per", 1, DURATION + "1"),
    _rule(f"{T}.policy.rateLimit.per", "0s", ZERO),
    _shape(f"{T}.policy.rateLimit.requests", 0, "expected a whole number from 1 to 1000000, got 0"),
    _shape(f"{T}.policy.rateLimit.mode", "Off", 'expected one of Enabled, Disabled, got "Off"' + SWITCH),
    _shape(f"{T}.policy.ordering.afterDeath", "Pass", f'expected one of {AFTER}, got "Pass"; did you mean "PassOver"?'),
    _shape(f"{T}.policy.ordering.keyAttribute", "Subject", ATTRIBUTE + '"Subject"'),
    _rule(f"{T}.policy.ordering.keyAttribute", "data", NO_ATTRIBUTE),
    _rule(f"{T}.policy.ordering", {"afterDeath": "PassOver"}, ONE_KEY),
    _rule(f"{T}.policy.ordering", {"keyAttribute": "subject", "keyExpression": "event.id"}, ONE_KEY),
    _shape(f"{T}.policy.hedge.maxExtra", 4, "expected a whole number from 1 to 3, got 4"),
    _shape(f"{T}.policy.hedge.delay", 5, DURATION + "5"),
    _rule(f"{T}.policy.hedge.delay", "0s", ZERO),
    _rule(
        f"{T}.policy",
        {"hedge": {"delay": "50ms"}, "ordering": {"keyAttribute": "subject"}},
        "hedge does not go with ordering: a try that was cancelled may still arrive, after the next one of its key",
        ".hedge",
    ),
    _rule(
        f"{T}.policy",
        {"hedge": {"delay": "50ms"}, "retry": {"budget": {"mode": "Disabled"}}},
        "hedge needs retry.budget: it bounds what hedges add while the target is slow for everybody",
        ".hedge",
    ),
    _rule(
        f"{T}.policy",
        {"hedge": {"delay": "5s"}, "timeouts": {"attempt": "5s"}},
        "hedge.delay must be shorter than timeouts.attempt, after which all tries are over",
        ".hedge.delay",
    ),
    _rule(
        T,
        {"name": "a", "url": "http://a.example", "policy": {"hedge": {"delay": "1s"}}, "compensate": UNDO},
        "hedge does not go with compensate: a try that was cancelled may still be carried out after the undoing",
        ".policy.hedge",
    ),
    Bad("a key that is no string", f"{T}.policy.ordering.keyExpression", "1", KEY_AT, "must give a string", By.FILES),
    _shape(f"{T}.policy.batch.maxEvents", 1001, "expected a whole number from 1 to 1000, got 1001"),
    _rule(f"{T}.policy.batch.maxBytes", "9Mi", "must not be more than 8Mi"),
    _shape(f"{T}.policy.batch.maxWait", 1, DURATION + "1"),
    _shape(f"{T}.policy.batch.mode", "Off", 'expected one of Enabled, Disabled, got "Off"' + SWITCH),
    Bad(
        "batches in order",
        f"{T}.policy",
        {"batch": {}, "ordering": {"keyAttribute": "subject"}},
        f"{T}.policy.batch",
        "batch does not go with ordering: deliveries of one key go one at a time",
        By.RULE,
    ),
    Bad(
        "batches with hedges",
        f"{T}.policy",
        {"batch": {}, "hedge": {"delay": "1s"}},
        f"{T}.policy.batch",
        "batch does not go with hedge: this version sends a second try of single deliveries only",
        By.RULE,
    ),
    *(
        Bad(
            f"a batch of what is of one event: {field}",
            T,
            {"name": "a", "url": "https://a.example.com/", "policy": {"batch": {}}} | more,
            f"{T}.{field}",
            OF_ONE_EVENT,
            By.RULE,
        )
        for field, more in (
            ("request.method", {"request": {"method": "DELETE"}}),
            ("request.mode", {"request": {"mode": "Structured"}}),
            ("request.pathExpression", {"request": {"pathExpression": "['a']"}}),
            ("request.bodyExpression", {"request": {"bodyExpression": "data"}}),
            ("request.forwardHeaders", {"request": {"forwardHeaders": ["x-a"]}}),
            (
                "request.headers[0].valueExpression",
                {"request": {"headers": [{"name": "x-a", "valueExpression": "event.id"}]}},
            ),
            (
                "request.query[0].valueExpression",
                {"request": {"query": [{"name": "a", "valueExpression": "event.id"}]}},
            ),
            ("fallback", {"fallback": {"type": "Static", "static": {"status": 200}}}),
            ("cache", {"cache": {"ttl": "1s", "keyExpression": "event.id"}}),
            ("compensate", {"compensate": {"url": "https://a.example.com/undo"}}),
        )
    ),
    _shape(f"{BREAKER}.mode", "Forced", f'expected one of {MODES}, got "Forced"; did you mean "ForcedOpen"?'),
    _shape(f"{T}.delay", 5, DURATION + "5"),
    _shape(f"{T}.when", 5, "expected an expression in CEL that gives true or false, got 5"),
    _shape(f"{T}.when", "", 'expected an expression in CEL that gives true or false, got ""'),
    Bad("a name not known", f"{T}.when", "evnt.id == '7'", f"{T}.when", WHEN_NAME, By.FILES),
    Bad("a string for a filter", f"{T}.when", "event.type", f"{T}.when", WHEN_TYPE, By.FILES),
    Bad("a success tried again", f"{RETRY}.on", [200], f"{RETRY}.on[0]", ANSWER + "200"),
    Bad("no fault", f"{RETRY}.on", ["Timout"], f"{RETRY}.on[0]", ANSWER + '"Timout"; did you mean "Timeout"?'),
    Bad(
        "a fault is no success",
        f"{RETRY}.successOn",
        ["Timeout"],
        f"{RETRY}.successOn[0]",
        'expected a status from 300 to 599 such as 429, a class such as "5xx", got "Timeout"',
    ),
    _shape(f"{RETRY}.on", "5xx", "expected a list, got a string"),
    _shape(
        f"{T}.policy.queue.onFull",
        "Drop",
        'expected one of Reject, DeadLetter, got "Drop"; known here: Reject, DeadLetter',
    ),
    _shape(f"{T}.policy.bulkhead.maxConcurrent", 0, "expected a whole number from 1 to 4096, got 0"),
    _shape("spec.defaults.policy.timeouts.atempt", "5s", 'unknown field; did you mean "attempt"?'),
    # fields that are wrong together
    _rule(
        f"{T}.policy.timeouts", {"attempt": "5s", "total": "1s"}, "attempt must not be longer than total", ".attempt"
    ),
    _rule(
        f"{RETRY}.backoff",
        {"baseDelay": "5m", "maxDelay": "1s"},
        "baseDelay must not be longer than maxDelay",
        ".baseDelay",
    ),
    _rule(
        f"{RETRY}.backoff", {"type": "Linear", "multiplier": 2}, "multiplier goes with type Exponential", ".multiplier"
    ),
    _rule(f"{RETRY}.backoff", {"schedule": ["1s"]}, "schedule and preset go with type Schedule", ".schedule"),
    _rule(f"{RETRY}.backoff", {"type": "Schedule"}, "type Schedule needs exactly one of schedule and preset", ".type"),
    _rule(
        f"{RETRY}.backoff",
        {"type": "Schedule", "preset": "StandardWebhooks", "maxDelay": "1h"},
        "baseDelay and maxDelay do not go with type Schedule, which names each wait",
        ".maxDelay",
    ),
    _rule(
        f"{RETRY}",
        {"maxAttempts": 3, "backoff": {"type": "Schedule", "schedule": ["1s"]}},
        "maxAttempts does not go with a backoff of type Schedule: the length of the schedule says how many attempts"
        " there are",
        ".maxAttempts",
    ),
    _rule(f"{T}.policy.bulkhead.adaptive", {"min": 9, "max": 3}, "min must not be more than max", ".min"),
    _rule(f"{T}.policy.bulkhead.adaptive", {"min": 9, "initial": 3}, "min must not be more than initial", ".min"),
    _rule(f"{T}.policy.bulkhead.adaptive", {"initial": 9, "max": 3}, "initial must not be more than max", ".initial"),
    _rule(
        f"{T}.policy.bulkhead",
        {"maxConcurrent": 5, "adaptive": {"max": 6}},
        "min, initial and max of adaptive must not be more than maxConcurrent",
        ".adaptive",
    ),
    _rule(
        f"{BREAKER}",
        {"openDuration": "5m", "maxOpenDuration": "1s"},
        "openDuration must not be longer than maxOpenDuration",
        ".openDuration",
    ),
    _rule(
        f"{BREAKER}",
        {"minimumCalls": 30, "window": {"type": "Count", "size": 20}},
        "minimumCalls must not be more than window.size: the rate would never be taken",
        ".minimumCalls",
    ),
    _rule(f"{BREAKER}.window", {"type": "Count", "duration": "1s"}, "duration goes with type Time", ".duration"),
    _rule(f"{BREAKER}.window", {"size": 20}, "size goes with type Count", ".size"),
    _rule(
        f"{BREAKER}.halfOpen",
        {"maxCalls": 1, "successThreshold": 2},
        "successThreshold must not be more than maxCalls: the circuit could never close",
        ".successThreshold",
    ),
]
