"""Where the roots of an authority of our own are kept, each under a number that says which came first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

from eventmesh.base.errors import UnavailableError
from eventmesh.base.secret_file import write_secret
from eventmesh.base.x509 import key_pem, make_authority
from eventmesh.xds.identity import rotation
from eventmesh.xds.identity.signer import Signer, paired, pem, read_chain, read_key

T = TypeVar("T")

_CERTIFICATE_FILE: Final = re.compile(r"root-(\d+)\.crt")


class RootStore(Protocol):
    """Keeps roots with their keys, longer than the process lives."""

    @property
    def is_ours(self) -> bool:
        """True when this process is to add and remove roots; else it reads what another one writes."""
        ...

    def read(self) -> Mapping[int, Signer]:
        """Return the roots by their numbers; raises UnavailableError for what cannot be read as such."""
        ...

    def add(self, number: int, root: Signer) -> None:
        """Keep one more."""
        ...

    def remove(self, number: int) -> None:
        """Forget one that nobody trusts any more."""
        ...


def make_root(number: int, now: datetime) -> Signer:
    """Return a new root."""
    key, certificate = make_authority(f"eventmesh root {number}", now, rotation.ROOT_LIFETIME)
    return Signer(key, certificate)


class RootFiles:
    """Roots in a directory, readable by its owner alone."""

    is_ours = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def read(self) -> dict[int, Signer]:
        """Return what the directory holds; raises UnavailableError naming the file that cannot be read."""
        found = (_CERTIFICATE_FILE.fullmatch(file.name) for file in self._directory.iterdir())
        return {number: self._read(number) for number in sorted(int(match[1]) for match in found if match)}

    def add(self, number: int, root: Signer) -> None:
        """Write one more, durably."""
        certificate_file, key_file = self._files(number)
        # The key first: a certificate without its key would be a root that nobody can sign by.
        write_secret(key_file, key_pem(root.key))
        write_secret(certificate_file, pem(root.certificate).encode())

    def remove(self, number: int) -> None:
        """Delete one."""
        for file in self._files(number):
            file.unlink(missing_ok=True)

    def _files(self, number: int) -> tuple[Path, Path]:
        return self._directory / f"root-{number}.crt", self._directory / f"root-{number}.key"

    def _read(self, number: int) -> Signer:
        certificate_file, key_file = self._files(number)
        key = self._parsed(key_file, read_key)
        return self._parsed(certificate_file, lambda data: paired(key, read_chain(data)[0]))

    def _parsed(self, file: Path, read: Callable[[bytes], T]) -> T:
        try:
            return read(file.read_bytes())
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        except ValueError as error:
            problem = str(error)
        raise UnavailableError(
            f"{file}: {problem}; restore it, or remove {self._directory} to begin with a new root (running workloads "
            "must then restart)"
        )
