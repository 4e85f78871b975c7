"""Archives of container images: read in every form, unpacked inside their root, refused in words where wrong."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import stat
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError, UsageError
from eventmesh.cluster.runtime import archives, layers
from eventmesh.cluster.runtime.images import Image, ImageStore, UnknownImageError
from tests.component.container_archives import Layer, archive, directory, docker_save, file, layout, link, tar_of

RUN: dict[str, Any] = {
    "Entrypoint": ["/app"],
    "Cmd": ["--serve"],
    "Env": ["MODE=demo", "EMPTY="],
    "WorkingDir": "/srv/x",
}
Save = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "data")


def added(store: ImageStore, tmp_path: Path, *given: Layer, save: Save = archive, **config: Any) -> Image:
    return store.add("it", save(tmp_path / "image.tar", given, {**RUN, **config}))


def root_of(image: Image) -> Path:
    assert image.root is not None
    return image.root


@pytest.mark.parametrize("save", [archive, layout, docker_save])
def test_every_form_of_archive_gives_the_same_image(store: ImageStore, tmp_path: Path, save: Save) -> None:
    below: Layer = [directory("etc"), file("etc/a", b"one"), file("app", b"#!", 0o755)]
    image = added(store, tmp_path, below, [file("etc/b", b"two")], save=save)
    assert (image.command, image.args, image.workdir) == (("/app",), ("--serve",), "/srv/x")
    assert (image.env, image.user) == ({"MODE": "demo", "EMPTY": ""}, None)
    root = root_of(image)
    assert ((root / "etc/a").read_bytes(), (root / "etc/b").read_bytes()) == (b"one", b"two")
    assert os.access(root / "app", os.X_OK)
    assert (root / "srv/x").is_dir()
    assert store.find(image.reference) == image
    assert store.names() == ["it"]


def test_a_program_without_entrypoint_is_its_command(store: ImageStore, tmp_path: Path) -> None:
    image = added(store, tmp_path, [], Entrypoint=None, Cmd=["sh", "-c", "true"], WorkingDir="")
    assert (image.command, image.args, image.workdir) == (("sh",), ("-c", "true"), "/")


def test_layers_take_away_what_lay_below(store: ImageStore, tmp_path: Path) -> None:
    image = added(
        store,
        tmp_path,
        [file("kept"), file("gone"), file("whole/a"), file("whole/b"), link("was-link", "kept"), file("dir/below")],
        [
            file(".wh.gone"),
            file("whole/new"),
            file("whole/.wh..wh..opq"),
            file("was-link", b"file"),
            file("dir", b"file"),
        ],
    )
    root = root_of(image)
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert found == ["dir", "kept", "was-link", "whole/new"]
    assert (root / "was-link").read_bytes() == b"file"


def test_links_are_followed_inside_the_root_alone(store: ImageStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    image = added(
        store,
        tmp_path,
        [link("lib", "usr/lib"), link("out", str(outside)), link("up", "../../../../../.."), file("usr/lib/a")],
        [file("lib/b"), file("out/planted"), file("up/planted"), file("out/.wh.precious"), link("proc", str(outside))],
        [link("hard", "lib/a", hard=True), link("stolen", "out/precious")],
    )
    root = root_of(image)
    assert (root / "usr/lib/b").is_file()
    assert (root / "hard").stat().st_ino == (root / "usr/lib/a").stat().st_ino
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_text() == "mine"
    assert not (root / "proc").is_symlink()
    planted = root / str(outside)[1:] / "planted"
    assert planted.is_file()


@pytest.mark.parametrize("entry", [file("../evil"), file("a/../../evil"), link("evil", "../../etc/passwd", hard=True)])
def test_an_entry_that_leads_out_is_refused(store: ImageStore, tmp_path: Path, entry: Any) -> None:
    with pytest.raises(ConfigError):
        added(store, tmp_path, [entry])
    assert store.names() == []


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh..."])
def test_a_whiteout_of_no_file_takes_nothing_away(store: ImageStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="takes away no file of its directory"):
        added(store, tmp_path, [file("a/b")], [file(name)])


def test_an_opaque_mark_hides_what_lies_deeper_too(store: ImageStore, tmp_path: Path) -> None:
    below: Layer = [file("whole/sub/old"), file("whole/other/old"), file("beside/old")]
    image = added(store, tmp_path, below, [file("whole/sub/new"), file("whole/.wh..wh..opq")])
    root = root_of(image)
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert found == ["beside/old", "whole/sub/new"]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_layer_whose_compressed_bytes_are_damaged_is_refused(
    store: ImageStore, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    data = bytearray(compress(tar_of([file("a", os.urandom(50_000))])))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    saved = docker_save(tmp_path / "image.tar", [[file("a")]], RUN)
    with tarfile.open(saved, "a") as tar:
        entry, _ = file("0/layer.tar", bytes(data))
        tar.addfile(entry, io.BytesIO(data))
    with pytest.raises(ConfigError, match=r"0/layer\.tar: (cannot be unpacked|unpacks to)"):
        store.add("it", saved)


def test_links_without_end_are_refused(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"more than {layers.MAX_LINKS} links"):
        added(store, tmp_path, [link("a", "b"), link("b", "a"), file("a/x")])


def test_devices_and_privileged_bits_do_not_come_along(store: ImageStore, tmp_path: Path) -> None:
    device = tarfile.TarInfo("dev/mem")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 1
    image = added(store, tmp_path, [device, file("su", b"#!", 0o6755)])
    assert not (root_of(image) / "dev/mem").exists()
    assert stat.S_IMODE((root_of(image) / "su").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("asked", "user", "group"),
    [
        ("web", 33, 44),
        ("33", 33, 44),
        ("web:staff", 33, 50),
        ("7:8", 7, 8),
        ("65532", 65_532, 65_532),
        ("", None, None),
        ("odd", 34, 34),
    ],
)
def test_the_user_is_the_images_own(
    store: ImageStore, tmp_path: Path, asked: str, user: int | None, group: int | None
) -> None:
    people = [
        file("etc/passwd", b"root:x:0:0::/:\nweb:x:33:44::/:\nodd:x:34:9999999999::/:\n"),
        file("etc/group", b"staff:x:50:\n"),
    ]
    image = added(store, tmp_path, people, User=asked)
    assert (image.user, image.group) == (user, group)


@pytest.mark.parametrize("people", [[], [link("etc/passwd", "/etc/passwd")], [link("etc", "/etc")]])
def test_a_user_that_the_image_does_not_know_is_refused(
    store: ImageStore, tmp_path: Path, people: Sequence[tarfile.TarInfo]
) -> None:
    with pytest.raises(ConfigError, match="'root' is not in the image's /etc/passwd"):
        added(store, tmp_path, people, User="root")


@pytest.mark.parametrize("number", ["4294967296", "9" * 5_000])
def test_a_user_whose_number_no_kernel_takes_is_refused(store: ImageStore, tmp_path: Path, number: str) -> None:
    people = [file("etc/passwd", f"web:x:{number}:44::/:\n".encode())]
    for asked in ("web", number):
        with pytest.raises(ConfigError, match="is not in the image's /etc/passwd"):
            added(store, tmp_path, people, save=docker_save, User=asked)


def test_an_image_that_says_nothing_to_run_is_refused(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to run"):
        added(store, tmp_path, [], Entrypoint=[], Cmd=None)


def test_damaged_blobs_are_named(store: ImageStore, tmp_path: Path) -> None:
    where = layout(tmp_path / "image", [[file("a", b"content")]], RUN)
    for blob in (where / "blobs/sha256").iterdir():
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ConfigError, match=f"{blob.name}.*(damaged|digest)"):
            store.add("it", where)
        blob.write_bytes(content)
    store.add("it", where)


def test_a_blob_that_is_missing_is_named(store: ImageStore, tmp_path: Path) -> None:
    where = layout(tmp_path / "image", [[file("a", b"content")]], RUN)
    for blob in (where / "blobs/sha256").iterdir():
        content = blob.read_bytes()
        blob.unlink()
        with pytest.raises(ConfigError, match=f"{blob.name}: cannot be read"):
            store.add("it", where)
        with tarfile.open(tmp_path / "image.tar", "w") as tar:
            tar.add(where, arcname=".")
        with pytest.raises(ConfigError, match=f"{blob.name}: is no file of the archive"):
            store.add("it", tmp_path / "image.tar")
        blob.write_bytes(content)


@pytest.mark.parametrize("index", ["{}", '{"manifests": [{}]}', '{"manifests": 5}', "[]", "[" * 100_000, "{"])
def test_an_index_that_says_nothing_is_refused(store: ImageStore, tmp_path: Path, index: str) -> None:
    where = layout(tmp_path / "image", [], RUN)
    (where / "index.json").write_text(index)
    with pytest.raises(ConfigError, match="cannot be read as a container image"):
        store.add("it", where)


def test_a_compressed_archive_that_was_cut_off_is_refused(store: ImageStore, tmp_path: Path) -> None:
    whole = gzip.compress(docker_save(tmp_path / "image.tar", [[file("a", os.urandom(9_000))]], RUN).read_bytes())
    for length in (5, len(whole) // 2):
        (tmp_path / "cut.tar.gz").write_bytes(whole[:length])
        with pytest.raises(ConfigError, match="no tar of a container image|cannot be read"):
            store.add("it", tmp_path / "cut.tar.gz")


def test_what_tells_how_an_image_was_built_is_passed_over(store: ImageStore, tmp_path: Path) -> None:
    where = layout(tmp_path / "image", [], RUN)
    index = json.loads((where / "index.json").read_text())
    (image,) = index["manifests"]
    image["annotations"] = {"org.opencontainers.image.ref.name": "attestation-service"}
    built = {**image, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    (where / "index.json").write_text(json.dumps({"manifests": [built, image]}))
    assert store.add("it", where).command == ("/app",)


def test_a_layer_that_is_not_what_the_image_names_is_refused(store: ImageStore, tmp_path: Path) -> None:
    saved = docker_save(tmp_path / "image.tar", [[file("a")]], RUN)
    with tarfile.open(saved, "a") as tar:
        other = tar_of([file("b")])
        entry, _ = file("0/layer.tar", other)
        tar.addfile(entry, io.BytesIO(other))
    with pytest.raises(ConfigError, match="unpacks to sha256:"):
        store.add("it", saved)


def test_an_image_for_another_machine_is_refused_by_name(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is for linux/z80; this machine is linux/"):
        store.add("it", docker_save(tmp_path / "image.tar", [], RUN, architecture="z80"))


def test_what_is_no_image_is_told(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ConfigError, match="no tar of a container image"):
        store.add("it", tmp_path / "text")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ConfigError, match=r"has neither index\.json nor manifest\.json"):
        store.add("it", tmp_path / "empty.tar")
    with pytest.raises(UsageError, match="neither a directory nor the archive"):
        store.add("it", tmp_path / "absent")


def test_more_than_may_be_unpacked_is_refused(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "MAX_FILES", 3)
    with pytest.raises(ConfigError, match="more than 3 files"):
        added(store, tmp_path, [file(str(number)) for number in range(4)])
    monkeypatch.setattr(layers, "MAX_FILES", 10)
    monkeypatch.setattr(layers, "MAX_BYTES", 3)
    with pytest.raises(ConfigError, match="or 3 bytes"):
        added(store, tmp_path / "..", [file("a", b"four")])


def test_an_archive_of_very_many_files_is_refused(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    with pytest.raises(ConfigError, match="has more than 2 files"):
        added(store, tmp_path, [file("a")], save=docker_save)


def test_documents_and_layers_beyond_the_limits_are_refused(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = docker_save(tmp_path / "image.tar", [[file("a")], [file("b")]], RUN)
    monkeypatch.setattr(archives, "MAX_LAYERS", 1)
    with pytest.raises(ConfigError, match="at most 1 are taken"):
        store.add("it", saved)
    monkeypatch.setattr(archives, "MAX_DOCUMENT_BYTES", 10)
    with pytest.raises(ConfigError, match="longer than 10 bytes"):
        store.add("it", saved)


def test_an_image_of_a_registry_is_refused_with_the_way_to_have_it(store: ImageStore) -> None:
    with pytest.raises(
        UnknownImageError, match=r"nothing is pulled from a registry here; save the image \(`docker save"
    ):
        store.find("docker.io/library/nginx:1.27")


def test_a_directory_cannot_pass_for_a_container_image(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake/main.py").write_text("")
    (tmp_path / "fake/container.json").write_text('{"command": ["/bin/sh"]}')
    with pytest.raises(ConfigError, match="choose another"):
        store.add("it", tmp_path / "fake")
