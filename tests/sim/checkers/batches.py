"""P19: a batch is no larger than its plan says, holds each event once, and where there is no batch each goes alone.

That nothing dies of a rejection that was meant for another one of its batch is told by its dead letter (P14).
"""

from fanout_crds.plan import Policy
from tests.sim.checkers.reading import Reading, is_graph, name, policy_at
from tests.sim.history import Sent


def check(reading: Reading) -> list[str]:
    """Every request, by the policies that may have made it."""
    wrong: list[str] = []
    for sent in reading.history.sent:
        if sent.leads:
            together = reading.history.sent[sent.n : sent.n + sent.shared]
            policies = policy_at(reading, sent, sent.at)
            if policies and not any(_allows(policy, sent) for policy in policies):
                wrong.append(
                    f"{name(sent)}: {sent.shared} events of {sent.size} bytes, {policies[-1].batch} is the plan"
                )
            if len({one.delivery for one in together}) < len(together):
                wrong.append(f"{name(sent)}: an event is in it twice")
            if sent.shared > 1 and any(is_graph(reading.posted[one.event].plan) for one in together):
                wrong.append(f"{name(sent)}: an event with a graph goes together with others")
    return wrong


def _allows(policy: Policy, sent: Sent) -> bool:
    if sent.shared == 1:
        return True
    rule = policy.batch
    return rule is not None and sent.shared <= rule.max_events and sent.size <= rule.max_bytes
