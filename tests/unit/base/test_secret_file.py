from __future__ import annotations

from pathlib import Path

from eventmesh.base.secret_file import write_secret


def test_a_secret_is_its_owners_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write_secret(file, b"first")
    reader = file.open("rb")
    write_secret(file, b"second")
    with reader:
        assert reader.read() == b"first"
    assert file.read_bytes() == b"second"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]
