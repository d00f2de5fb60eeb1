"""From a route to a plan: references, addresses, credentials, sizes."""

import datetime
import typing

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fanout_crds import plan
from fanout_crds.compile import (
    Compiled,
    Installation,
    Outside,
    PlanTooLarge,
    References,
    Refs,
    SecretKey,
    ServiceKey,
    Unresolved,
    references,
)
from fanout_crds.compile import compile as compile_route
from fanout_crds.faults import Invalid
from fanout_crds.references import value
from fanout_crds.route import FanoutRoute, parse
from fanout_crds.shape import AnswerHeader, Shape
from tests.unit.crds.corpus import Json, changed, good

PAYMENT = {"name": "payment", "service": {"name": "payment", "namespace": "pay", "port": "http", "path": "/charges"}}
TOKEN = {"bearer": {"secretRef": {"name": "crm", "key": "token"}}}
CRM = {"name": "crm", "url": "https://crm.example", "authentication": TOKEN}
PINNED = CRM | {"tls": {"caSecret": {"name": "crm", "key": "ca.crt"}}}
SHOWN = {"clientCertificate": {"secretRef": {"name": "us"}}}
CERTIFIED = {"name": "crm", "url": "https://crm.example", "authentication": SHOWN}
CERTIFICATE_KEY = SecretKey("shop", "us", "tls.crt")
PRIVATE_KEY = SecretKey("shop", "us", "tls.key")
TOKEN_KEY = SecretKey("shop", "crm", "token")
CA_KEY = SecretKey("shop", "crm", "ca.crt")
PAYMENT_KEY = ServiceKey("pay", "payment", "http")


def route(*targets: Json, **spec: Json) -> FanoutRoute:
    return parse(good() | {"spec": {"targets": list(targets)} | spec})


def compiled(made: FanoutRoute, refs: Refs | None = None) -> Compiled:
    return compile_route(made, Installation(), refs or Refs(), "r1")


def test_a_plan_says_everything_about_its_route() -> None:
    document = changed(good(), "metadata.uid", "u-1")
    document = changed(document, "metadata.generation", 7)
    document = changed(document, "spec.accept.maxBodySize", "64Ki")
    document = changed(document, "spec.listen.path", "/shop/orders")

    made = compiled(parse(document)).plan

    assert (made.format, made.revision, made.key, made.uid, made.generation) == (1, "r1", "shop/order-placed", "u-1", 7)
    assert (made.path, made.max_body_size, made.durability, made.suspend) == ("/shop/orders", 65536, "Journal", False)


def test_without_saying_so_a_body_may_have_a_mebibyte() -> None:
    assert compiled(parse(good())).plan.max_body_size == 2**20


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, plan.Idempotency(ttl=86400.0, max_keys=1_000_000)),
        ({"ttl": "1h", "maxKeys": 5}, plan.Idempotency(ttl=3600.0, max_keys=5)),
        ({"keyExpression": "data.id"}, plan.Idempotency(ttl=86400.0, max_keys=1_000_000, key_expression="data.id")),
    ],
)
def test_keys_are_kept_where_a_route_asks_for_it(said: Json, meant: plan.Idempotency) -> None:
    assert compiled(parse(changed(good(), "spec.accept.idempotency", said))).plan.idempotency == meant
    assert compiled(parse(good())).plan.idempotency is None


def test_the_expression_that_gives_the_key_is_one_of_the_plans() -> None:
    made = compiled(parse(changed(good(), "spec.accept.idempotency", {"keyExpression": "data.id"}))).plan

    assert [(path, text) for path, text, _ in made.expressions()] == [
        ("spec.accept.idempotency.keyExpression", "data.id")
    ]


@pytest.mark.parametrize(("mode", "structured"), [("Binary", None), ("Structured", True)])
def test_a_target_may_take_its_events_in_structured_mode(mode: str, structured: bool | None) -> None:
    (target,) = compiled(parse(changed(good(), "spec.targets[0].request", {"mode": mode}))).plan.targets

    assert (target.mapping and target.mapping.structured) == structured


def test_a_compensation_knows_whom_it_undoes_and_a_callback_undoes_nobody() -> None:
    undo = {"url": "https://billing.example.com/refunds"}
    spec = changed(good(), "spec.targets[0].compensate", undo)
    made = compiled(parse(changed(spec, "spec.finally", [{"name": "audit"} | undo]))).plan

    assert {one.name: one.compensates for one in made.everybody} == {
        "billing": "",
        "billing.compensate": "billing",
        "audit.finally": "",
    }


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"requests": 5}, plan.AcceptRate(requests=5, per=1.0, burst=5, key="Route")),
        (
            {"requests": 5, "per": "1m", "burst": 9, "key": {"type": "Header", "header": "X-Tenant"}},
            plan.AcceptRate(requests=5, per=60.0, burst=9, key="Header", header="x-tenant"),
        ),
    ],
)
def test_a_limit_of_what_comes_in_lets_as_many_at_once_as_in_its_time(said: Json, meant: plan.AcceptRate) -> None:
    assert compiled(parse(changed(good(), "spec.accept.rateLimit", said))).plan.rate == meant
    assert compiled(parse(good())).plan.rate is None


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://a.example", "https://a.example/"),
        ("https://a.example?x=1", "https://a.example/?x=1"),
        ("https://a.example/x?y=/z", "https://a.example/x?y=/z"),
        ("http://[::1]:80", "http://[::1]:80/"),
    ],
)
def test_a_url_without_path_means_the_root(url: str, meant: str) -> None:
    target = compiled(route({"name": "a", "url": url})).plan.targets[0]

    assert (target.url, target.private, target.held) == (meant, False, None)


def test_a_service_becomes_its_address_and_may_be_private() -> None:
    refs = Refs(services={PAYMENT_KEY: "http://payment.pay.svc:8080"})

    target = compiled(route(PAYMENT), refs).plan.targets[0]

    assert (target.url, target.private, target.held) == ("http://payment.pay.svc:8080/charges", True, None)


def test_a_service_that_leads_outside_may_not_be_private() -> None:
    refs = Refs(services={PAYMENT_KEY: Outside("http://pay.example.com:80")})

    target = compiled(route(PAYMENT), refs).plan.targets[0]

    assert (target.url, target.private, target.held) == ("http://pay.example.com:80/charges", False, None)


def test_credentials_that_fit_into_no_secret_are_refused_with_their_size() -> None:
    refs = Refs(secrets={TOKEN_KEY: b"t", CA_KEY: b"x" * (1 << 20)})

    with pytest.raises(PlanTooLarge, match="their credentials have 1048577 bytes, 1048576 fit"):
        compiled(route(PINNED), refs)


def test_a_service_without_path_is_asked_at_its_root_and_lives_at_home() -> None:
    made = route({"name": "a", "service": {"name": "a", "port": 8080}})
    refs = Refs(services={ServiceKey("shop", "a", "8080"): "http://a.shop.svc:8080/"})

    assert compiled(made, refs).plan.targets[0].url == "http://a.shop.svc:8080/"


def test_a_service_with_tls_is_asked_over_https() -> None:
    tls = {"tls": {"caSecret": {"name": "crm", "key": "ca.crt"}}}
    refs = Refs(services={PAYMENT_KEY: "http://payment.pay.svc:8443"}, secrets={CA_KEY: b"PEM"})

    assert compiled(route(PAYMENT | tls), refs).plan.targets[0].url == "https://payment.pay.svc:8443/charges"


def test_what_a_route_needs_is_named_before_it_is_compiled() -> None:
    needs = references(route(PAYMENT, PINNED))

    assert needs == References(services=frozenset({PAYMENT_KEY}), secrets=frozenset({TOKEN_KEY, CA_KEY}))


def test_credentials_travel_beside_the_plan_by_handle() -> None:
    done = compiled(route(PINNED), Refs(secrets={TOKEN_KEY: b"hunter2\n", CA_KEY: b"PEM\n"}))

    target = done.plan.targets[0]

    assert (target.bearer, target.ca, target.held) == ("crm.bearer", "crm.ca", None)
    assert done.credentials == {"crm.bearer": b"hunter2", "crm.ca": b"PEM\n"}
    assert b"hunter2" not in plan.encode(done.plan)
    assert "hunter2" not in repr(done)


def test_a_reference_that_does_not_resolve_holds_its_target_and_no_other() -> None:
    why = Unresolved("PortNotFound", "Service pay/payment has no port http")
    done = compiled(route(PAYMENT, {"name": "b", "url": "http://b.example"}), Refs(services={PAYMENT_KEY: why}))

    held, runs = done.plan.targets

    assert (held.url, held.held, held.held_message) == ("", "PortNotFound", why.message)
    assert (runs.url, runs.held) == ("http://b.example/", None)
    assert done.unresolved == (("payment", why),)


def test_a_reference_nobody_looked_up_is_unresolved() -> None:
    done = compiled(route(PAYMENT, PINNED))

    assert [(target, why.reason) for target, why in done.unresolved] == [
        ("payment", "ServiceNotFound"),
        ("crm", "SecretNotFound"),
        ("crm", "SecretNotFound"),
    ]
    assert (done.plan.targets[1].bearer, done.plan.targets[1].ca, done.credentials) == (None, None, {})


NOT_ITS_KEY: typing.Final = (
    "Secret shop/us[tls.key] is not the key of the first certificate beside it (the leaf comes before its CA)"
)


class Papers(typing.NamedTuple):
    """Two certificates, the key of the first, and that key under a password; and what people mix up."""

    certificate: bytes
    key: bytes
    locked: bytes
    other: bytes
    backwards: bytes  # the first certificate behind the one that signed it
    rsa: bytes  # a key of another kind
    short: bytes  # a certificate …
    key_of_short: bytes  # … with 1024 bits


@pytest.fixture(scope="module")
def papers() -> Papers:
    authority = trustme.CA()
    ours, other = authority.issue_cert("us@shop.example"), authority.issue_cert("us@shop.example")
    key = ours.private_key_pem.bytes()
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")
    )
    leaf = ours.cert_chain_pems[0].bytes()
    rsa = authority.issue_cert("us@shop.example", key_type=trustme.KeyType.RSA).private_key_pem.bytes()
    backwards = authority.cert_pem.bytes() + leaf
    return Papers(leaf, key, locked, other.cert_chain_pems[0].bytes(), backwards, rsa, *short())


def short() -> tuple[bytes, bytes]:
    """A certificate that signs itself with a key of 1024 bits, and the key."""
    key = generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "us")])
    begun = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begun)
        .not_valid_after(begun + datetime.timedelta(days=3650))
        .sign(key, SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), plain


def shown(certificate: bytes, key: bytes) -> Compiled:
    return compiled(route(CERTIFIED), Refs(secrets={CERTIFICATE_KEY: certificate, PRIVATE_KEY: key}))


def test_a_client_certificate_and_its_key_are_one_credential(papers: Papers) -> None:
    done = shown(papers.certificate, papers.key)

    target = done.plan.targets[0]

    assert references(route(CERTIFIED)).secrets == {CERTIFICATE_KEY, PRIVATE_KEY}
    assert (target.client_certificate, target.held) == ("crm.clientCertificate", None)
    assert done.plan.handles == done.credentials.keys()
    assert done.credentials == {"crm.clientCertificate": papers.certificate + papers.key}
    assert papers.key not in plan.encode(done.plan)


def test_a_client_certificate_may_be_of_another_namespace_and_stand_beside_a_token() -> None:
    both = {"clientCertificate": {"secretRef": {"name": "us", "namespace": "pki"}}} | TOKEN

    needs = references(route(CRM | {"authentication": both}))

    assert needs.secrets == {TOKEN_KEY, SecretKey("pki", "us", "tls.crt"), SecretKey("pki", "us", "tls.key")}


def test_a_service_that_is_shown_a_certificate_is_asked_over_https(papers: Papers) -> None:
    refs = Refs(
        services={PAYMENT_KEY: "http://payment.pay.svc:8443"},
        secrets={CERTIFICATE_KEY: papers.certificate, PRIVATE_KEY: papers.key},
    )

    target = compiled(route(PAYMENT | {"authentication": SHOWN}), refs).plan.targets[0]

    assert target.url == "https://payment.pay.svc:8443/charges"


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        ("key", "key", "Secret shop/us[tls.crt] holds no certificate that can be read (expected PEM)"),
        (
            "certificate",
            "certificate",
            "Secret shop/us[tls.key] holds no key that can be read (expected PEM, not encrypted)",
        ),
        (
            "certificate",
            "locked",
            "Secret shop/us[tls.key] holds no key that can be read (expected PEM, not encrypted)",
        ),
        ("other", "key", NOT_ITS_KEY),
        ("backwards", "key", NOT_ITS_KEY),
        ("certificate", "rsa", NOT_ITS_KEY),
        ("short", "key_of_short", "Secret shop/us[tls.key] is too short to be believed (RSA: 2048 bits at least)"),
    ],
)
def test_what_is_no_certificate_with_its_key_holds_the_target_in_words(
    papers: Papers, certificate: str, key: str, says: str
) -> None:
    done = shown(getattr(papers, certificate), getattr(papers, key))

    target = done.plan.targets[0]

    assert (target.held, target.held_message, target.client_certificate) == ("SecretUnusable", says, None)
    assert done.credentials == {}


def test_a_certificate_in_another_script_is_none_that_can_be_read(papers: Papers) -> None:
    assert shown("ü".encode(), papers.key).plan.targets[0].held == "SecretUnusable"


@pytest.mark.parametrize("lost", [CERTIFICATE_KEY, PRIVATE_KEY])
def test_half_of_a_client_certificate_is_none_and_says_what_is_missing(papers: Papers, lost: SecretKey) -> None:
    why = Unresolved("SecretKeyNotFound", f"Secret shop/us has no value for {lost.key}")
    secrets: dict[SecretKey, bytes | Unresolved] = {CERTIFICATE_KEY: papers.certificate, PRIVATE_KEY: papers.key}

    done = compiled(route(CERTIFIED), Refs(secrets=secrets | {lost: why}))

    assert done.unresolved == (("crm", why),)
    assert done.credentials == {}


@pytest.mark.parametrize("value", [b"", b"  \n", b"two words", b"a\r\nHost: b", b"caf\xc3\xa9", b"\x00"])
def test_a_token_that_cannot_stand_in_a_header_holds_its_target_and_is_not_repeated(value: bytes) -> None:
    done = compiled(route(CRM), Refs(secrets={TOKEN_KEY: value}))

    assert done.plan.targets[0].held == "SecretUnusable"
    assert done.unresolved[0][1].message == (
        "Secret shop/crm[token] does not hold one line of visible ASCII, as a token must"
    )


def test_headers_go_as_they_stand_and_forwarded_names_in_lower_case() -> None:
    request = {"headers": [{"name": "X-Shop", "value": "7"}], "forwardHeaders": ["X-GitHub-*", "X-Trace"]}

    target = compiled(route({"name": "a", "url": "http://a.example", "request": request})).plan.targets[0]

    assert target.headers == (("X-Shop", "7"),)
    assert target.forward_headers == ("x-github-*", "x-trace")


def test_a_delay_is_in_the_plan_in_seconds() -> None:
    plain = {"name": "a", "url": "http://a.example"}
    made = compiled(route(plain, plain | {"name": "b", "delay": "1m30s"}, plain | {"name": "c", "delay": "0s"})).plan

    assert [target.delay for target in made.targets] == [0, 90, 0]


def test_a_delay_as_long_as_the_whole_delivery_may_take_is_refused() -> None:
    target = {"name": "a", "url": "http://a.example", "delay": "30s"}

    with pytest.raises(Invalid) as refused:
        compiled(route(target, durability="Memory"))
    compiled(route(target | {"policy": {"timeouts": {"total": "0s"}}}, durability="Memory"))

    assert str(refused.value) == (
        "spec.targets[0].delay: must be shorter than the policy's timeouts.total, 30s, which runs from acceptance on"
    )


@pytest.mark.parametrize(("delay", "timeout"), [("10s", None), ("3s", "2s"), ("2s", "2s")])
def test_a_target_that_a_caller_waits_for_is_asked_before_his_time_is_up(delay: str, timeout: str | None) -> None:
    late = {"name": "a", "url": "http://a.example", "delay": delay}
    soon = {"name": "b", "url": "http://b.example"}
    waits = {"mode": "Settled"} | ({"timeout": timeout} if timeout else {})

    with pytest.raises(Invalid) as refused:
        compiled(route(late, soon, respond=waits))
    compiled(route(late, soon, respond=waits | {"waitFor": ["b"]}))
    compiled(route(late | {"delay": "1500ms"}, soon, respond=waits))

    assert str(refused.value) == (
        f"spec.targets[0].delay: must be shorter than respond.timeout, {timeout or '10s'}, since the caller waits for"
        " a: shorten it, or have him wait for others only (respond.waitFor)"
    )


def test_a_plan_that_fits_nowhere_is_refused() -> None:
    headers = [{"name": f"x-{number}", "value": "v" * 2048} for number in range(16)]
    targets = [{"name": f"t{n}", "url": "http://a.example", "request": {"headers": headers}} for n in range(64)]

    with pytest.raises(PlanTooLarge, match=r"spec.targets: the compiled plan has \d+ bytes, 900000 fit"):
        compiled(route(*targets))


def test_a_reference_is_written_as_people_write_it() -> None:
    assert ServiceKey.of("shop/payment:8080") == ServiceKey("shop", "payment", "8080")
    assert str(ServiceKey.of("shop/payment:http")) == "shop/payment:http"
    with pytest.raises(ValueError, match=r'expected a Service such as "shop/payment:http" .* got "payment"'):
        ServiceKey.of("payment")


def test_of_a_secret_with_many_keys_a_sentence_tells_the_first() -> None:
    said = value(SecretKey("shop", "s", "token"), {f"k{number}": b"v" for number in range(10)})

    assert isinstance(said, Unresolved)
    assert said.message == 'Secret shop/s has no key "token" (it has: k0, k1, k2, k3, k4, k5, k6, k7 and 2 more)'


def test_answers_never_show_what_they_hold() -> None:
    assert "hunter2" not in repr(Refs(secrets={TOKEN_KEY: b"hunter2"}))


def test_a_caller_waits_by_default_for_the_targets_without_which_there_is_no_answer() -> None:
    may_die = {"onDead": "Continue", "url": "http://a.example"}
    settled = {"mode": "Settled"}
    some = compiled(route({"name": "a", "url": "http://a.example"}, {"name": "b", **may_die}, respond=settled)).plan
    none = compiled(route({"name": "a", **may_die}, {"name": "b", **may_die}, respond=settled)).plan

    assert some.respond is not None
    assert none.respond is not None
    assert (some.respond.wait_for, some.respond.quorum) == (("a",), 1)
    assert none.respond.wait_for == ("a", "b")


def test_a_fallback_is_a_position_behind_its_target_or_an_answer_of_it() -> None:
    plain, other = {"url": "http://a.example"}, {"url": "http://b.example", "policy": {"retry": {"maxAttempts": 2}}}
    static = {"status": 203, "headers": [{"name": "cache-control", "value": "no-store"}], "body": "[]"}
    made = compiled(
        route(
            {"name": "a", **plain, "fallback": {"type": "Target", "target": other}},
            {"name": "b", **plain, "fallback": {"type": "Static", "static": static}},
            respond={"mode": "Settled", "maxBodySize": "1Ki"},
        )
    ).plan

    (behind,) = made.behind
    assert (behind.role, behind.of, behind.target.name) == ("Fallback", "a", "a.fallback")
    assert (behind.target.capture, behind.target.policy.retry.max_attempts) == (1 << 10, 2)
    assert behind.target.policy.timeouts.total == 0.0
    assert made.targets[1].static == plan.Static(
        status=203, headers=(("content-type", "application/json"), ("cache-control", "no-store")), body="[]"
    )


def test_an_expression_of_a_fallback_is_named_by_where_it_stands() -> None:
    request = {"url": "http://b.example", "request": {"bodyExpression": "data.x"}}
    made = compiled(
        route({"name": "a", "url": "http://a.example", "fallback": {"type": "Target", "target": request}})
    ).plan

    assert [path for path, _, _ in made.expressions()] == ["spec.targets[0].fallback.target.request.bodyExpression"]


def test_a_caller_waits_for_every_target_of_a_settled_route_unless_it_says_otherwise() -> None:
    names = [{"name": name, "url": "http://a.example"} for name in "abc"]
    plain = compiled(route(*names)).plan
    whole = compiled(route(*names, respond={"mode": "Settled"})).plan
    said = {"mode": "Settled", "waitFor": ["c", "a"], "quorum": 1, "timeout": "2s", "onTimeout": "Partial"}
    some = compiled(route(*names, respond=said | {"maxBodySize": "1Ki"})).plan

    assert plain.respond is None
    assert whole.respond == plan.Respond(wait_for=("a", "b", "c"), quorum=3, timeout=10.0, partial=False)
    assert some.respond == plan.Respond(wait_for=("c", "a"), quorum=1, timeout=2.0, partial=True)
    assert [[one.capture for one in made.targets] for made in (plain, whole, some)] == [
        [0, 0, 0],
        [256 << 10] * 3,
        [1 << 10, 0, 1 << 10],
    ]


def test_the_shape_of_an_answer_is_in_the_plan_with_its_expressions() -> None:
    one = {"name": "a", "url": "http://a.example"}
    headers = [{"name": "X-A", "value": "1"}, {"name": "x-b", "valueExpression": "targets.a.status"}]
    said = {"mode": "Settled", "headers": headers, "statusExpression": "201", "bodyExpression": "targets.a.body"}
    made = compiled(route(one, respond=said)).plan

    assert made.respond is not None
    assert made.respond.shape == Shape(
        status_expression="201",
        headers=(AnswerHeader(name="X-A", value="1"), AnswerHeader(name="x-b", value_expression="targets.a.status")),
        body_expression="targets.a.body",
    )
    assert [(path, text) for path, text, _ in made.expressions()] == [
        ("spec.respond.statusExpression", "201"),
        ("spec.respond.headers[1].valueExpression", "targets.a.status"),
        ("spec.respond.bodyExpression", "targets.a.body"),
    ]
    assert plan.decode(plan.encode(made)) == made


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("targets.biling.body", 'no target is named biling; did you mean "billing"?'),
        ("targets['mail'].body", "the caller does not wait for mail: name it in respond.waitFor too"),
        ("targets.billing.bdy", 'targets.billing has no bdy; did you mean "body"?'),
        (
            "targets.billing.headers['content-typ']",
            'of the headers of targets.billing content-typ is not kept; did you mean "content-type"?',
        ),
    ],
)
def test_an_answer_is_made_of_what_there_is(text: str, says: str) -> None:
    names = [{"name": name, "url": "http://a.example"} for name in ("billing", "mail")]
    respond = {"mode": "Settled", "waitFor": ["billing"], "bodyExpression": text}
    with pytest.raises(Invalid) as refused:
        compiled(route(*names, respond=respond))

    assert [str(one) for one in refused.value.faults] == [f"spec.respond.bodyExpression: {says}"]


CACHE = {"keyExpression": "data.sku", "ttl": "90s"}
ASKED = {"name": "a", "url": "http://a.example", "cache": CACHE}


def test_a_cache_stands_in_the_plan_with_its_expression() -> None:
    made = compiled(route(ASKED, respond={"mode": "Settled"})).plan

    assert made.targets[0].cache == plan.Cache(key_expression="data.sku", ttl=90.0)
    assert [(path, text) for path, text, _ in made.expressions()] == [
        ("spec.targets[0].cache.keyExpression", "data.sku")
    ]
    assert plan.decode(plan.encode(made)) == made


def test_a_cache_whose_answers_nobody_looks_at_is_refused() -> None:
    other = {"name": "b", "url": "http://b.example"}

    with pytest.raises(Invalid) as refused:
        compiled(route(ASKED, other, respond={"mode": "Settled", "waitFor": ["b"]}))

    assert str(refused.value) == (
        "spec.targets[0].cache: nobody looks at what a answers: name it in respond.waitFor, or leave it out"
    )


def test_a_key_reads_no_answer_that_need_not_be_there() -> None:
    first, second = CRM | {"name": "a"}, ASKED | {"name": "b", "cache": CACHE | {"keyExpression": "targets.a.body"}}
    compiled(route(first, second | {"dependsOn": ["a"]}, respond={"mode": "Settled"}))

    with pytest.raises(Invalid) as refused:
        compiled(route(first, second, respond={"mode": "Settled"}))

    assert str(refused.value) == (
        "spec.targets[1].cache.keyExpression: targets.a: its answer need not be there by then:"
        " add a to spec.targets[1].dependsOn"
    )


def test_a_cache_does_not_go_with_an_order_that_is_inherited() -> None:
    ordering = {"policy": {"ordering": {"keyAttribute": "subject"}}}

    with pytest.raises(Invalid) as refused:
        compiled(route(ASKED, respond={"mode": "Settled"}, defaults=ordering))

    assert str(refused.value) == (
        "spec.targets[0].cache: does not go with policy.ordering: what is kept in order is told, not asked for"
    )


def test_a_request_that_is_made_of_the_event_is_a_mapping_in_the_plan_and_one_that_is_not_is_none() -> None:
    request = {
        "method": "PUT",
        "pathExpression": "['orders', data.id]",
        "query": [{"name": "a", "value": "1"}, {"name": "b", "valueExpression": "event.id"}],
        "headers": [{"name": "x-shop", "value": "7"}, {"name": "x-total", "valueExpression": "data.total"}],
        "bodyExpression": "data",
    }
    both = route({"name": "a", "url": "http://a.example", "request": request}, CRM | {"request": {"method": "POST"}})

    mapped, plain = compiled(both).plan.targets

    assert mapped.mapping == plan.Mapping(
        method="PUT",
        path="['orders', data.id]",
        query=(plan.Value(name="a", value="1"), plan.Value(name="b", expression="event.id")),
        headers=(plan.Value(name="x-total", expression="data.total"),),
        body="data",
    )
    assert mapped.headers == (("x-shop", "7"),)
    assert plain.mapping is None


def test_a_plan_tells_its_expressions_with_the_paths_to_their_fields() -> None:
    request = {"headers": [{"name": "x-a", "valueExpression": "data.a"}], "bodyExpression": "data"}
    made = compiled(route({"name": "a", "url": "http://a.example", "when": "data.ok", "request": request})).plan

    assert [(path, text) for path, text, _ in made.expressions()] == [
        ("spec.targets[0].when", "data.ok"),
        ("spec.targets[0].request.headers[x-a].valueExpression", "data.a"),
        ("spec.targets[0].request.bodyExpression", "data"),
    ]


def test_filters_and_mappings_survive_the_way_to_a_dispatcher() -> None:
    request = {"method": "DELETE", "query": [{"name": "b", "valueExpression": "event.id"}]}
    made = compiled(route({"name": "a", "url": "http://a.example", "when": "data.ok", "request": request})).plan

    assert plan.decode(plan.encode(made)) == made


OUTBOX = {"urlSecret": {"name": "shop-db", "key": "uri"}, "caSecret": {"name": "shop-db", "key": "ca.crt"}}
URL_KEY, DB_CA_KEY = SecretKey("shop", "shop-db", "uri"), SecretKey("shop", "shop-db", "ca.crt")
DB_KEY = ServiceKey("data", "db", "5432")
DB = {"name": "db", "namespace": "data", "port": 5432}
SECRETS = {URL_KEY: b"postgresql://me:hunter2@db/shop", DB_CA_KEY: b"pem"}


def test_an_outbox_is_complete_and_its_url_travels_beside_the_plan() -> None:
    made = compiled(route(CRM, sources={"postgresOutbox": OUTBOX}), Refs(secrets=SECRETS))

    outbox = made.plan.postgres_outbox
    assert outbox is not None
    assert (outbox.url, outbox.ca, outbox.held) == ("sources.postgresOutbox.url", "sources.postgresOutbox.ca", None)
    assert (outbox.table, outbox.columns.state, outbox.after_taking) == ("outbox", "fanout", "Delete")
    assert (outbox.batch_size, outbox.poll_interval, outbox.channel) == (100, 1.0, None)
    assert (outbox.address, outbox.private) == (None, False)
    assert made.credentials["sources.postgresOutbox.url"] == SECRETS[URL_KEY]
    assert b"hunter2" not in plan.encode(made.plan)
    assert plan.decode(plan.encode(made.plan)) == made.plan


def test_an_outbox_behind_a_service_is_at_its_address() -> None:
    said = route(CRM, sources={"postgresOutbox": OUTBOX | {"service": DB}})
    inside = Refs(secrets=SECRETS, services={DB_KEY: "http://db.data.svc:5432"})
    outside = Refs(secrets=SECRETS, services={DB_KEY: Outside("http://db.example.com:6543")})

    there, elsewhere = compiled(said, inside).plan.postgres_outbox, compiled(said, outside).plan.postgres_outbox

    assert references(said).services == {DB_KEY}
    assert references(said).secrets == {URL_KEY, DB_CA_KEY, TOKEN_KEY}
    assert there is not None
    assert elsewhere is not None
    assert (there.address, there.private) == (("db.data.svc", 5432), True)
    assert (elsewhere.address, elsewhere.private) == (("db.example.com", 6543), False)


def test_an_outbox_whose_reference_does_not_resolve_is_held_and_the_targets_are_not() -> None:
    made = compiled(
        route({"name": "a", "url": "http://a.example"}, sources={"postgresOutbox": OUTBOX | {"service": DB}})
    )

    outbox = made.plan.postgres_outbox
    assert outbox is not None
    assert (outbox.held, outbox.url, outbox.address) == ("ServiceNotFound", None, None)
    assert [name for name, _ in made.unresolved] == ["sources.postgresOutbox"] * 3
    assert made.plan.targets[0].held is None


def test_a_hedge_that_a_saga_inherits_is_refused_where_it_meets_a_compensation() -> None:
    undone = CRM | {"authentication": None, "compensate": {"url": "https://undo.example"}}
    manifest = route(undone, defaults={"policy": {"hedge": {"delay": "1s"}}})

    with pytest.raises(Invalid) as refused:
        compiled(manifest)

    assert [str(fault) for fault in refused.value.faults] == [
        "spec.targets[0].policy.hedge: hedge does not go with compensate: a try that was cancelled may still be carried"
        " out after the undoing, once what it inherits is merged in"
    ]


def test_an_inherited_max_queue_is_for_those_whom_callers_wait_for_from_the_start() -> None:
    names = ("asked", "later", "unheard")
    targets: list[Json] = [{"name": name, "url": f"https://{name}.example"} for name in names]
    targets[1] |= {"dependsOn": ["asked"]}
    settled = {"mode": "Settled", "waitFor": ["asked", "later"]}
    queued = {"policy": {"bulkhead": {"maxQueue": 0}}}

    made = compiled(route(*targets, respond=settled, defaults=queued)).plan

    assert [target.policy.bulkhead.max_queue for target in made.targets] == [0, None, None]
