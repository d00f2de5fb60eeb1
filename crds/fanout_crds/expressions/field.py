"""The kind of field that takes an expression: its schema, and the check that it compiles."""

from dataclasses import dataclass

from fanout_crds.expressions import limits, typed
from fanout_crds.expressions.expression import compile as compile_expression
from fanout_crds.expressions.scope import Scope
from fanout_crds.expressions.sentences import Unusable
from fanout_crds.faults import Faults, show
from fanout_crds.kinds import Schema


@dataclass(frozen=True)
class ExpressionText:
    """An expression as text. The API server sees a string; what it says is checked by the operator, and for files."""

    scope: Scope

    @property
    def what(self) -> str:
        """What the field holds, in words."""
        return f"an expression in CEL that gives {self.scope.gives}"

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": limits.TEXT}

    def read(self, value: object, path: str, faults: Faults) -> str | None:
        if not isinstance(value, str) or not value.strip():
            quotes = "" if value is None or isinstance(value, str) else "; put it in quotes"
            faults.add(path, f"expected {self.what}, got {show(value)}{quotes}")
            return None
        try:
            compile_expression(value, self.scope)
            typed.check(value, self.scope)
        except Unusable as wrong:
            faults.add(path, str(wrong))
            return None
        return value
