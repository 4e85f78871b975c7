"""Container images as other programs save them: an image layout, its tar, and what `docker save` writes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

Layer = Sequence[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]


def file(name: str, content: bytes = b"", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = mode, len(content)
    return entry, content


def directory(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def link(name: str, to: str, *, hard: bool = False) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.LNKTYPE if hard else tarfile.SYMTYPE, to
    return entry


def tar_of(layer: Layer) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for entry in layer:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                tar.addfile(entry[0], io.BytesIO(entry[1]))
    return data.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config_of(tars: Sequence[bytes], config: Mapping[str, Any], **more: Any) -> bytes:
    document = {
        "os": "linux",
        "architecture": ARCHITECTURE,
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
        **more,
    }
    return json.dumps(document).encode()


def layout(where: Path, layers: Sequence[Layer], config: Mapping[str, Any], **more: Any) -> Path:
    """Write an image layout into the directory `where`, its layers compressed."""
    tars = [tar_of(layer) for layer in layers]
    blobs = [gzip.compress(tar, mtime=0) for tar in tars]
    document = config_of(tars, config, **more)
    manifest = {
        "schemaVersion": 2,
        "config": {"digest": digest(document)},
        "layers": [{"digest": digest(blob)} for blob in blobs],
    }
    encoded = json.dumps(manifest).encode()
    index = {"schemaVersion": 2, "manifests": [{"digest": digest(encoded)}]}
    (where / "blobs" / "sha256").mkdir(parents=True)
    for blob in (*blobs, document, encoded):
        (where / "blobs" / "sha256" / digest(blob).removeprefix("sha256:")).write_bytes(blob)
    (where / "index.json").write_text(json.dumps(index))
    (where / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return where


def archive(where: Path, layers: Sequence[Layer], config: Mapping[str, Any]) -> Path:
    """Write the tar of an image layout, as `podman save --format oci-archive` does."""
    directory_of_it = layout(where.with_suffix(".d"), layers, config)
    with tarfile.open(where, "w") as tar:
        tar.add(directory_of_it, arcname=".")
    return where


def docker_save(where: Path, layers: Sequence[Layer], config: Mapping[str, Any], **more: Any) -> Path:
    """Write what `docker save` did before it wrote a layout too."""
    tars = [tar_of(layer) for layer in layers]
    document = config_of(tars, config, **more)
    names = [f"{number}/layer.tar" for number in range(len(tars))]
    manifest = [{"Config": "image.json", "RepoTags": ["shell:latest"], "Layers": names}]
    files = {
        "manifest.json": json.dumps(manifest).encode(),
        "image.json": document,
        **dict(zip(names, tars, strict=True)),
    }
    with tarfile.open(where, "w") as tar:
        for name, data in files.items():
            tar.addfile(*_entry(name, data))
    return where


def _entry(name: str, data: bytes) -> tuple[tarfile.TarInfo, io.BytesIO]:
    entry, content = file(name, data)
    return entry, io.BytesIO(content)


def shell() -> list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]:
    """Return the entries of a layer with programs of this machine, and the libraries that they need."""
    programs = ("/bin/sh", "/bin/ls", "/bin/cat", "/bin/sleep", "/usr/bin/id")
    libraries: dict[str, None] = {}
    for program in programs:
        told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        libraries |= dict.fromkeys(word for word in told.split() if word.startswith("/"))
    paths = [Path(program) for program in (*programs, *libraries)]
    return [
        file(f"bin/{path.name}" if str(path) in programs else str(path)[1:], path.read_bytes(), 0o755) for path in paths
    ]
