"""CESQL, the CloudEvents SQL expression language, version 1.0.0 (cloudevents/spec: cesql/spec.md).

`compile_cesql(text)` parses once and returns an `Expression`; evaluating one never raises: it gives a value and
the errors met, in the fail-fast mode of section 4.1. The rooms, bottom up: `errors`, `values` (the three types and
their casts), `like` (patterns), `functions` (built-in and user-defined), `operators` (closures), `parser` (the grammar,
the only one that loads lark), `expression`. What the specification leaves open is decided in docs/adr/0015.
"""

from eventmesh.cloudevents.cesql.errors import CesqlError, ErrorKind, EvaluationError, Failure
from eventmesh.cloudevents.cesql.expression import Expression, Result, compile_cesql
from eventmesh.cloudevents.cesql.functions import BUILT_IN, Function, FunctionTable

__all__ = [
    "BUILT_IN",
    "CesqlError",
    "ErrorKind",
    "EvaluationError",
    "Expression",
    "Failure",
    "Function",
    "FunctionTable",
    "Result",
    "compile_cesql",
]
