from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from eventmesh.cluster.runtime import scratch
from eventmesh.cluster.runtime.scratch import scratch_mounts
from eventmesh.cluster.runtime.wire import Mount


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory that stands for `/tmp`; the second place is a link to it."""
    found = tmp_path / "tmp"
    found.mkdir()
    (tmp_path / "link").symlink_to(found)
    monkeypatch.setattr(scratch, "PLACES", (str(found), str(tmp_path / "link")))
    return found


def own(directory: Path, place: Path) -> Path:
    return directory / str(place).strip("/").replace("/", "-")


def test_a_place_that_two_names_lead_to_is_shown_once_for_anybody_to_write(tmp_path: Path, place: Path) -> None:
    (shown,) = scratch_mounts(tmp_path / "own", (), (), fresh=True)
    assert shown == Mount(str(own(tmp_path / "own", place)), str(place), read_only=False)
    assert stat.S_IMODE(os.stat(shown.source).st_mode) == 0o1777


def test_what_a_container_needs_of_such_a_place_stays_and_cannot_be_written(tmp_path: Path, place: Path) -> None:
    environment, program = place / "env", place / "env" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.touch()
    (place / "ca.pem").touch()
    needed = (program, environment, place / "ca.pem", place / "gone", tmp_path)
    _, *kept = scratch_mounts(tmp_path / "own", (), needed, fresh=True)
    assert kept == [Mount(str(path), str(path), read_only=True) for path in (place / "ca.pem", environment)]
    made = own(tmp_path / "own", place)
    assert (made / "env").is_dir() and (made / "ca.pem").is_file()
    assert not list((made / "env").iterdir()), "a place to be shown at, and no copy"


def test_what_is_shown_in_such_a_place_finds_a_point_to_be_shown_at(tmp_path: Path, place: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "word").touch()
    shown = (
        Mount(str(tmp_path / "volume"), f"{place}/deep/../deep/cache", read_only=False),
        Mount(str(tmp_path / "word"), f"{place}/words/one", read_only=True),
        Mount(str(tmp_path / "volume"), "/elsewhere", read_only=False),
    )
    scratch_mounts(tmp_path / "own", shown, (), fresh=True)
    made = own(tmp_path / "own", place)
    assert (made / "deep" / "cache").is_dir() and (made / "words" / "one").is_file()
    assert sorted(path.name for path in made.iterdir()) == ["deep", "words"]


def test_a_volume_at_the_place_itself_is_what_the_container_sees_there(tmp_path: Path, place: Path) -> None:
    for target in (str(place), str(tmp_path / "link")):
        assert scratch_mounts(tmp_path / "own", (Mount("/volume", target, read_only=False),), (), fresh=True) == ()


def test_a_run_finds_nothing_of_the_one_before_and_what_is_run_beside_it_everything(
    tmp_path: Path, place: Path
) -> None:
    first = scratch_mounts(tmp_path / "own", (), (), fresh=True)
    mine = Path(first[0].source, "mine")
    mine.touch()
    assert scratch_mounts(tmp_path / "own", (), (), fresh=False) == first and mine.exists()
    assert scratch_mounts(tmp_path / "own", (), (), fresh=True) == first and not mine.exists()


def test_nothing_is_made_where_a_running_program_may_have_put_a_link(tmp_path: Path, place: Path) -> None:
    (first,) = scratch_mounts(tmp_path / "own", (), (), fresh=True)
    (tmp_path / "outside").mkdir()
    Path(first.source, "deep").symlink_to(tmp_path / "outside")
    shown = (Mount(str(tmp_path), f"{place}/deep/cache", read_only=True),)
    scratch_mounts(tmp_path / "own", shown, (), fresh=False)
    scratch_mounts(tmp_path / "own", shown, (), fresh=True)
    assert not list((tmp_path / "outside").iterdir())
