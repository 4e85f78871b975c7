"""Quantities."""

from __future__ import annotations

from decimal import Decimal

import pytest

from eventmesh.kube.quantity import MAX_CHARS, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("250m", "0.25"),
        ("12345n", "0.000012345"),
        ("1.5Gi", "1610612736"),
        (".5", "0.5"),
        ("-3k", "-3000"),
        ("2e3", "2000"),
        ("1E", "1000000000000000000"),
        (2, "2"),
    ],
)
def test_every_form_is_read(text: object, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", "1Gim", "--1", True, None, "1" * (MAX_CHARS + 1), "1e999"])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        parse_quantity(text)
