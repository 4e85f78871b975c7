"""Envoy's fractions into millionths."""

from __future__ import annotations

from eventmesh.model.share import MILLION
from eventmesh.xds.schema.tree import Message

_DENOMINATORS = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": MILLION}


def read_share(owner: Message, field: str, default: int = 0) -> int:
    """Return a `FractionalPercent` in millionths, at most all; `default` when it is not set."""
    fraction = owner.child(field)
    if fraction is None:
        return default
    whole = _DENOMINATORS[fraction.text("denominator", "HUNDRED")]
    return min(fraction.number("numerator") * (MILLION // whole), MILLION)


def read_runtime_share(owner: Message, field: str, default: int = 0) -> int:
    """Return the same of a `RuntimeFractionalPercent`."""
    runtime = owner.child(field)
    return read_share(runtime, "default_value") if runtime is not None else default
