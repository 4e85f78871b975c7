"""The table of policies by protocol is the one that is written, and the tests it names are there."""

from __future__ import annotations

from tools.policy_table import TARGET, document, missing


def test_the_document_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == document(), "run python -m tools.policy_table"


def test_every_test_the_table_names_exists() -> None:
    assert list(missing()) == []
