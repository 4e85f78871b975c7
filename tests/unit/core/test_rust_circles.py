"""The check that holds files of the Rust core to one direction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools import rust_circles

ROOM = {"mod.rs": "mod one; mod two; mod three;\npub use two::Two;\npub struct Room;"}


def circle(crate: Path, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str]) -> set[str]:
    monkeypatch.setattr(rust_circles, "CRATE", crate)
    for name, text in {**ROOM, **files}.items():
        path = crate / "room" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return set(rust_circles.circle(crate / "room"))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("use crate::room::two::Two;", "use crate::room::one::One;"),
        ("use crate::room::{Room, Two};", "use super::one::{self, One};"),
        ("fn f() { crate::room::two::f() }", "fn f(of: super::one::One) {}"),
        ("use super::{three::{A, B}, Two as Other};", "use crate::{head::Head, room::one::One};"),
    ],
)
def test_two_files_that_name_each_other_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: str, two: str
) -> None:
    assert circle(tmp_path, monkeypatch, {"one.rs": one, "two.rs": two, "three.rs": ""}) == {"one", "two"}


def test_a_circle_by_way_of_a_third_and_of_a_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "one.rs": "use crate::room::two::Two;",
        "two/mod.rs": "mod part;",
        "two/part.rs": "use crate::room::three::Three;",
        "three.rs": "use crate::room::one::One;",
    }
    assert circle(tmp_path, monkeypatch, files) == {"one", "two", "three"}


def test_one_direction_tests_comments_and_the_room_itself_are_no_circle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "one.rs": "use crate::room::{Room, Two};\nuse crate::room::three::Three;",
        "two.rs": "// use crate::room::one::One;\n#[cfg(test)]\nmod tests {\n use super::super::one::One;\n}",
        "three.rs": "use super::Room;\nuse crate::elsewhere::one::One;",
    }
    assert circle(tmp_path, monkeypatch, files) == set()


def test_two_rooms_that_name_each_other_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rust_circles, "CRATE", tmp_path)
    files = {
        "lib.rs": "mod one; mod two; pub use two::Two;",
        "one/mod.rs": "mod part;",
        "one/part.rs": "use crate::Two;",
        "two.rs": "use crate::one::One;",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert set(rust_circles.circle(tmp_path)) == {"one", "two"}
    assert rust_circles.main() == 1


def test_the_core_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    assert rust_circles.main() == 0
