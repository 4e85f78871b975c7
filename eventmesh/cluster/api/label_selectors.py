"""What is wrong with a `metav1.LabelSelector`, by field (`apimachinery/pkg/apis/meta/v1/validation`)."""

from __future__ import annotations

from collections.abc import Iterator

from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.kube.api import Object
from eventmesh.kube.selectors import Operator


def selector_violations(path: str, selector: Object) -> Iterator[Cause]:
    """Yield why `selector`, of the types that its schema wants and found at `path`, cannot be read."""
    for at, expression in enumerate(selector.get("matchExpressions") or ()):
        yield from _expression_violations(f"{path}.matchExpressions[{at}]", expression)


def _expression_violations(path: str, expression: Object) -> Iterator[Cause]:
    operator, values = expression.get("operator") or "", expression.get("values") or []
    if not expression.get("key"):
        yield Cause(CauseType.INVALID, f"{path}.key", "name part must be non-empty", "")
    match operator:
        case Operator.IN.value | Operator.NOT_IN.value:
            if not values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                yield Cause(CauseType.REQUIRED, f"{path}.values", detail)
        case Operator.EXISTS.value | Operator.DOES_NOT_EXIST.value:
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield Cause(CauseType.FORBIDDEN, f"{path}.values", detail)
        case _:
            yield Cause(CauseType.INVALID, f"{path}.operator", "not a valid selector operator", operator)
