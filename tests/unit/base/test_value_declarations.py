"""The check that values are declared `@frozen`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import value_declarations


def found(text: str, where: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    (where / "module.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(value_declarations, "SOURCES", where)
    return value_declarations.main()


@pytest.mark.parametrize(
    "decorator",
    [
        "@dataclass(frozen=True, slots=True)",
        "@dataclasses.dataclass(slots=True, frozen=True)",
        "@dataclass(\n    frozen=True,\n    slots=True,\n    order=False,\n)",
    ],
)
def test_a_value_that_could_be_frozen_is_told_with_its_place(
    decorator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        found(
            f"def f():\n    {decorator.replace(chr(10), chr(10) + '    ')}\n    class Value: ...\n",
            tmp_path,
            monkeypatch,
        )
        == 1
    )
    assert "Value: declare it `@frozen`" in capsys.readouterr().out


@pytest.mark.parametrize(
    "decorator",
    ["@frozen", "@dataclass", "@dataclass(slots=True)", "@dataclass(frozen=True)"]
    + ["@dataclass(frozen=True, slots=True, order=True)"],
)
def test_what_changes_has_an_order_or_has_no_slots_is_a_dataclass(
    decorator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(f"{decorator}\nclass Value: ...\n", tmp_path, monkeypatch) == 0


def test_all_of_the_house_keeps_to_it() -> None:
    assert value_declarations.main() == 0
