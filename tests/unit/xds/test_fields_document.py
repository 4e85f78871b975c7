"""The list of fields in the documentation is the one the readers use."""

from __future__ import annotations

from tools.xds_fields import TARGET, document


def test_the_document_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == document(), "run python -m tools.xds_fields"
