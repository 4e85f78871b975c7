"""Process images in a real directory."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from eventmesh.base.errors import ConfigError, UnavailableError, UsageError
from eventmesh.cluster.runtime import images
from eventmesh.cluster.runtime.images import ImageStore, UnknownImageError
from tests.small_disk import needs_root, small_disk


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "data")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "function.py").write_text("print('one')\n")
    return directory


def write_manifest(source: Path, manifest: object) -> None:
    (source / "image.json").write_text(json.dumps(manifest))


def test_a_directory_with_a_function_runs_it_with_this_interpreter(store: ImageStore, source: Path) -> None:
    store.add("hello", source)
    image = store.find("dev.local/hello")
    assert image.command == (sys.executable, "function.py")
    assert (image.directory / "function.py").read_text() == "print('one')\n"


def test_a_manifest_tells_command_arguments_environment_and_place(store: ImageStore, source: Path) -> None:
    (source / "bin").mkdir()
    write_manifest(source, {"command": ["./server"], "args": ["-v"], "env": {"MODE": "demo"}, "workdir": "bin"})
    image = store.add("hello", source)
    assert (image.command, image.args, image.env, image.workdir) == (("./server",), ("-v",), {"MODE": "demo"}, "bin")


def test_the_same_content_has_the_same_digest_and_other_content_another(store: ImageStore, source: Path) -> None:
    first = store.add("hello", source)
    assert store.add("again", source).digest == first.digest
    (source / "function.py").write_text("print('two')\n")
    assert store.add("hello", source).digest != first.digest


@needs_root
def test_an_image_for_which_there_is_no_room_leaves_the_one_before(tmp_path: Path, source: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        store = ImageStore(disk.directory)
        first = store.add("hello", source)
        (source / "more.py").write_text("# much more\n" * 10_000)
        disk.fill()
        with pytest.raises(UnavailableError, match=f"image 'hello' cannot be kept in {disk.directory}.*No space left"):
            store.add("hello", source)
        assert store.find("dev.local/hello").digest == first.digest
        assert (first.directory / "function.py").read_text() == "print('one')\n"
        disk.make_room()
        assert store.add("hello", source).digest == store.find("dev.local/hello").digest != first.digest


def test_an_executable_bit_is_content(store: ImageStore, source: Path) -> None:
    first = store.add("hello", source)
    os.chmod(source / "function.py", 0o755)
    assert store.add("hello", source).digest != first.digest


def test_an_old_version_is_found_by_its_digest_until_nothing_uses_it(store: ImageStore, source: Path) -> None:
    old = store.add("hello", source)
    (source / "function.py").write_text("print('two')\n")
    new = store.add("hello", source)
    assert store.find("dev.local/hello").digest == new.digest
    assert store.prune(frozenset({old.digest})) == []
    assert (store.find(old.reference).directory / "function.py").read_text() == "print('one')\n"
    assert store.prune(frozenset()) == [old.reference]
    with pytest.raises(UnknownImageError):
        store.find(old.reference)
    assert store.find("dev.local/hello") == new


def test_later_changes_of_the_source_do_not_reach_an_added_image(store: ImageStore, source: Path) -> None:
    image = store.add("hello", source)
    (source / "function.py").write_text("print('two')\n")
    assert (image.directory / "function.py").read_text() == "print('one')\n"


def test_caches_of_the_interpreter_are_no_content(store: ImageStore, source: Path) -> None:
    first = store.add("hello", source)
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "function.pyc").write_bytes(b"x")
    assert store.add("hello", source).digest == first.digest
    assert not (first.directory / "__pycache__" / "function.pyc").exists()


def test_an_unknown_image_names_those_that_exist(store: ImageStore, source: Path) -> None:
    store.add("hello", source)
    store.add("team/orders", source)
    with pytest.raises(
        UnknownImageError, match="unknown image 'dev.local/nope': known are dev.local/hello, dev.local/team/orders"
    ):
        store.find("dev.local/nope")


@pytest.mark.parametrize(
    "reference",
    [
        "docker.io/library/nginx",
        "hello",
        "dev.local/",
        "dev.local/hello:v2",
        "dev.local/hello@sha256:12",
        "dev.local/../x",
    ],
)
def test_references_that_cannot_be_local_images_are_refused_with_their_name(store: ImageStore, reference: str) -> None:
    with pytest.raises(UnknownImageError) as refusal:
        store.find(reference)
    assert repr(reference) in str(refusal.value)


@pytest.mark.parametrize("name", ["", "Hello", "a//b", "../x", "a b", "-a", "a@b"])
def test_names_that_are_no_image_names_are_refused(store: ImageStore, source: Path, name: str) -> None:
    with pytest.raises(UsageError):
        store.add(name, source)


def test_a_directory_with_nothing_to_run_is_refused(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="nothing to run"):
        store.add("hello", tmp_path / "empty")


def test_a_missing_directory_is_refused(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing"):
        store.add("hello", tmp_path / "missing")


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        ([], ""),
        ({}, "command"),
        ({"command": "x"}, "command"),
        ({"command": ["x"], "args": [1]}, "args"),
        ({"command": ["x"], "env": {"A": 1}}, "env"),
        ({"command": ["x"], "workdir": "nowhere"}, "workdir"),
        ({"command": ["x"], "user": "nobody"}, "user"),
        ({"command": ["x"], "user": True}, "user"),
        ({"command": ["x"], "user": -1}, "user"),
        ({"command": ["x"], "user": 2**31}, "user"),
        ({"command": ["x"], "entrypoint": ["y"]}, "entrypoint"),
    ],
)
def test_a_wrong_manifest_names_its_field(store: ImageStore, source: Path, manifest: object, field: str) -> None:
    write_manifest(source, manifest)
    with pytest.raises(ConfigError) as refusal:
        store.add("hello", source)
    assert refusal.value.path.endswith(field)


def test_too_many_files_are_refused_before_anything_is_copied(
    store: ImageStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_FILES", 1)
    (source / "second.py").touch()
    with pytest.raises(UsageError, match="more than 1 files"):
        store.add("hello", source)
    assert store.names() == []


def versions_of_hello(store: ImageStore, source: Path) -> tuple[str, str]:
    older = store.add("hello", source).digest
    (source / "more.py").touch()
    return older, store.add("hello", source).digest


def test_an_image_is_removed_with_all_its_versions(store: ImageStore, source: Path) -> None:
    older, newer = versions_of_hello(store, source)
    assert store.remove("hello", frozenset()) == [newer, older]
    assert store.names() == []


def test_one_version_is_removed_and_the_name_goes_on_to_mean_the_newest(store: ImageStore, source: Path) -> None:
    older, newer = versions_of_hello(store, source)
    with pytest.raises(UsageError, match="is the newest version"):
        store.remove(f"hello@{newer}", frozenset())
    assert store.remove(f"dev.local/hello@{older}", frozenset({newer})) == [older]
    assert store.versions("hello") == [newer]


def test_what_a_revision_uses_is_not_removed(store: ImageStore, source: Path) -> None:
    older, _ = versions_of_hello(store, source)
    with pytest.raises(UsageError, match=f"dev.local/hello@{older} is in use"):
        store.remove("hello", frozenset({older}))
    assert len(store.versions("hello")) == 2


def test_what_is_not_there_cannot_be_removed(store: ImageStore) -> None:
    with pytest.raises(UnknownImageError, match="dev.local/nothing"):
        store.remove("nothing", frozenset())


def test_digests_in_use_are_those_of_revisions_and_pods() -> None:
    revision = {"spec": {}, "status": {"containerStatuses": [{"imageDigest": "dev.local/a@sha256:1"}]}}
    pod = {"spec": {"containers": [{"image": "dev.local/b@sha256:2"}, {"image": "dev.local/c"}]}}
    assert list(images.digests_in([revision, pod])) == ["sha256:1", "sha256:2"]
