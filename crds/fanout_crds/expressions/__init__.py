"""Expressions in manifests: the Common Expression Language (CEL), as users of Kubernetes know it.

A field that takes an expression says with a `Scope` what is at hand there and what the expression must give; `compile`
reads it once, when a plan is checked or comes into force, and refuses in words what cannot work. Both planes ask here,
so that what `fanout validate` and the operator accept is what a dispatcher runs. docs/expressions.md tells users.
"""

from fanout_crds.expressions.expression import Activation as Activation
from fanout_crds.expressions.expression import Beyond as Beyond
from fanout_crds.expressions.expression import Expression as Expression
from fanout_crds.expressions.expression import Failed as Failed
from fanout_crds.expressions.expression import activate as activate
from fanout_crds.expressions.expression import compile as compile  # noqa: A004 - the word
from fanout_crds.expressions.field import ExpressionText as ExpressionText
from fanout_crds.expressions.naming import misnamed as misnamed
from fanout_crds.expressions.reading import Parts as Parts
from fanout_crds.expressions.reading import Reads as Reads
from fanout_crds.expressions.reading import together as together
from fanout_crds.expressions.scope import ANSWER_BODY as ANSWER_BODY
from fanout_crds.expressions.scope import ANSWER_STATUS as ANSWER_STATUS
from fanout_crds.expressions.scope import ANSWER_VALUE as ANSWER_VALUE
from fanout_crds.expressions.scope import BODY as BODY
from fanout_crds.expressions.scope import KEY as KEY
from fanout_crds.expressions.scope import PATH as PATH
from fanout_crds.expressions.scope import QUESTION as QUESTION
from fanout_crds.expressions.scope import VALUE as VALUE
from fanout_crds.expressions.scope import WHEN as WHEN
from fanout_crds.expressions.scope import Scope as Scope
from fanout_crds.expressions.sentences import Unusable as Unusable
