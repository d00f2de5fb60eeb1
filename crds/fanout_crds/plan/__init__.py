"""The plan: a route compiled and resolved, as the operator hands it to a dispatcher.

Everything a dispatcher needs is in here, with every default filled in: times in seconds, sizes in bytes, statuses as
inclusive ranges. Secrets are not: a target names a *handle*, and the credentials travel beside the plan, so that a plan
may be logged, kept in the journal and shown to people.

The format is versioned. A field that came later has a default, by which a plan without it is carried out as before, and
a dispatcher of the version before carries out a plan without the fields it does not know, unless the plan says that it
`needs` them; what cannot be said that way is a new format. A dispatcher reads this format and the one before. A format,
a need or a word that it does not know, such as the type of a backoff, is refused for that route only. A revision is
random, never a hash: a hash of a plan would let a reader test guesses of what is secret.
"""

from fanout_crds.plan.door import AcceptRate as AcceptRate
from fanout_crds.plan.door import Idempotency as Idempotency
from fanout_crds.plan.door import Respond as Respond
from fanout_crds.plan.features import KNOWN as KNOWN
from fanout_crds.plan.features import needs as needs
from fanout_crds.plan.outbox import PostgresOutbox as PostgresOutbox
from fanout_crds.plan.policy import Adaptive as Adaptive
from fanout_crds.plan.policy import Backoff as Backoff
from fanout_crds.plan.policy import Batch as Batch
from fanout_crds.plan.policy import Budget as Budget
from fanout_crds.plan.policy import Bulkhead as Bulkhead
from fanout_crds.plan.policy import CircuitBreaker as CircuitBreaker
from fanout_crds.plan.policy import DeadLetters as DeadLetters
from fanout_crds.plan.policy import HalfOpen as HalfOpen
from fanout_crds.plan.policy import Hedge as Hedge
from fanout_crds.plan.policy import Ordering as Ordering
from fanout_crds.plan.policy import Policy as Policy
from fanout_crds.plan.policy import Queue as Queue
from fanout_crds.plan.policy import RateLimit as RateLimit
from fanout_crds.plan.policy import Retry as Retry
from fanout_crds.plan.policy import StatusRange as StatusRange
from fanout_crds.plan.policy import Timeouts as Timeouts
from fanout_crds.plan.policy import Window as Window
from fanout_crds.plan.route import Behind as Behind
from fanout_crds.plan.route import BehindRole as BehindRole
from fanout_crds.plan.route import Plan as Plan
from fanout_crds.plan.target import Cache as Cache
from fanout_crds.plan.target import Mapping as Mapping
from fanout_crds.plan.target import Static as Static
from fanout_crds.plan.target import Target as Target
from fanout_crds.plan.target import Value as Value
from fanout_crds.plan.wire import FORMAT as FORMAT
from fanout_crds.plan.wire import READABLE as READABLE
from fanout_crds.plan.wire import Credentials as Credentials
from fanout_crds.plan.wire import UnknownFeature as UnknownFeature
from fanout_crds.plan.wire import UnknownFormat as UnknownFormat
from fanout_crds.plan.wire import decode as decode
from fanout_crds.plan.wire import encode as encode
