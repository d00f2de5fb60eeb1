"""What a manifest may ask to be forwarded is, and nothing else: the API, the data port and the sender agree."""

import string

from hypothesis import example, given
from hypothesis import strategies as st

from fanout_crds import headers
from fanout_crds.faults import Faults
from fanout_crds.texts import ForwardHeader
from fanout_dispatcher.engine.route import forwarding, reads
from fanout_dispatcher.ingress.cloudevents import Reader
from fanout_dispatcher.ingress.request import read
from fanout_dispatcher.transport.headers import Blocks
from fanout_dispatcher.transport.origin import parse
from fanout_dispatcher.transport.request import Template
from fanout_dispatcher.values.event import Event, Frozen
from tests.support.plans import a_plan, a_target
from tests.unit.dispatcher.ingress.stub import route
from tests.unit.dispatcher.transport.support import span_ids, target

URL = "http://payment.example/"
KNOWN = sorted(headers.FRAMING | headers.CREDENTIALS | headers.CARRIED | headers.OURS)
BINARY = [(b"ce-specversion", b"1.0"), (b"ce-id", b"7"), (b"ce-source", b"/shop"), (b"ce-type", b"order.placed")]
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
names = st.sampled_from([*KNOWN, "user-agent", "accept", "cookie3", "ceased", "fanout-attempt", "fanouts"])
names |= st.text(string.ascii_lowercase + string.digits + "!#$%&'+.^_`|~-", min_size=1, max_size=12)


def sent(name: str, *, forward: str) -> bool:
    """Whether a producer's header of this name reaches a target that forwards *forward*."""
    value = TRACE if name == "traceparent" else b"the-producers"
    trace = [(b"traceparent", TRACE)] if name == "tracestate" else []  # without it there is nothing whose state it is
    producers = [(b"host", b"x"), *BINARY, *trace, (name.encode(), value)]
    request = read(b"POST", b"/shop/orders", "1.1", producers, keep_alive=True)
    if request.refusal is not None:
        return False
    head, body = Reader(lambda: "1").read(request, route(forward=(forward,)))
    frozen = Frozen(number=1, route="shop/orders", generation=1, targets=("payment",), lanes=(1,))
    template = Template(target(URL, forward=(forward,)), parse(URL), token=None, blocks=Blocks(span_ids))
    made, _ = template.render(Event(seq=1, frozen=frozen, accepted=0.0, head=head, body=body), 1)
    return b"\r\n%b: %b" % (name.encode(), value[:35]) in made  # of a trace its id, up to the parent's


def legal(name: str) -> bool:
    faults = Faults()
    ForwardHeader.read(name, "forwardHeaders[0]", faults)
    return not faults


@given(name=names)
@example(name="content-encoding")
@example(name="set-cookie")
def test_a_header_that_a_manifest_may_name_is_forwarded_and_one_that_it_may_not_never_is(name: str) -> None:
    carried = name in headers.CARRIED

    assert sent(name, forward=name) == (legal(name) or carried)
    assert sent(name, forward="*") == (legal(name) or carried)


@given(name=names)
def test_the_rule_in_code_is_the_rule_of_the_api(name: str) -> None:
    assert headers.settable(name.encode()) == legal(name)


def test_a_header_that_an_expression_reads_is_kept_with_the_event_and_sent_to_nobody() -> None:
    plan = a_plan(a_target("a", when="headers['x-tenant'] == 'acme'"), a_target("b"))

    assert forwarding(plan, reads(plan))[0] == {b"x-tenant"}
