"""The roots of an authority of our own in a Secret, where all replicas of control find them; one of them writes.

Whoever comes first makes the first root: the API takes the Secret of one, and the others read that. From then on roots
are added and removed by whoever holds control's lease. One that could not be stored is let go: nobody was told of it
but as one more root to trust, and it would have signed hours later only.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.base.x509 import key_pem
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.resources import SECRET
from eventmesh.xds.identity.roots import make_root
from eventmesh.xds.identity.signer import Signer, paired, pem, read_chain, read_key
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

NAME: Final = "eventmesh-ca"
KEY: Final = Key(SYSTEM_NAMESPACE, NAME)

_CERTIFICATE: Final = re.compile(r"root-(\d+)\.crt")

_log = log.get("xds.identity")


class RootSecret:
    """Roots as the entries `root-N.crt` and `root-N.key` of a Secret."""

    def __init__(self, api: Api, stored: Object, leads: Callable[[], bool]) -> None:
        """`stored` is the Secret as it is now; `leads` tells whether this replica is to write it."""
        self._api = api
        self._stored = stored
        self._leads = leads
        self._roots = _read(stored)
        self._tasks = TaskGroup("xds.identity")
        # The second of two writes at once would meet the first one's.
        self._storing = asyncio.Lock()

    @classmethod
    async def open(cls, api: Api, clock: Clock, leads: Callable[[], bool]) -> RootSecret:
        """Return the roots of the mesh, its first one made and stored if there is none.

        Raises UnavailableError when the Secret can be neither read nor made, or holds something else.
        """
        try:
            return cls(api, await _get_or_create(api, clock), leads)
        except ApiError as error:
            raise UnavailableError(
                f"the roots of the mesh are kept in the Secret {KEY}, and the API says: {error.message}"
            ) from error

    @property
    def is_ours(self) -> bool:
        """Tell whether this replica holds the lease."""
        return self._leads()

    def read(self) -> Mapping[int, Signer]:
        """Return the roots as they are known here."""
        return self._roots

    def changed(self, old: Object | None, new: Object | None) -> bool:
        """Take in a Secret that has changed; return whether it was this one."""
        if key_of(new or old or {}) != KEY:
            return False
        if new is None:
            # Who deletes it wants new roots, which a running mesh cannot have at once: those in use go on.
            _log.error("the Secret of the roots was deleted; they are kept until control starts anew", secret=KEY)
            return False
        try:
            self._roots = _read(new)
        except UnavailableError as error:
            _log.error("the former roots are kept", reason=error)
            return False
        self._stored = new
        return True

    def add(self, number: int, root: Signer) -> None:
        """Keep one more, and store it."""
        self._roots = {**self._roots, number: root}
        self._tasks.spawn("store roots", self._store())

    def remove(self, number: int) -> None:
        """Forget one, here and in the Secret."""
        self._roots = {known: root for known, root in self._roots.items() if known != number}
        self._tasks.spawn("store roots", self._store())

    async def stop(self) -> None:
        """Give up what is being written."""
        await self._tasks.stop()

    async def _store(self) -> None:
        async with self._storing:
            try:
                self._stored = await self._api.replace(SECRET, {**self._stored, "data": _data(self._roots)})
            except (ApiError, UnavailableError) as error:
                _log.warning("roots not stored, those that are stay in force", secret=KEY, reason=error)
                self._roots = _read(self._stored)


async def _get_or_create(api: Api, clock: Clock) -> Object:
    try:
        return await api.get(SECRET, NAME, SYSTEM_NAMESPACE)
    except ApiError as error:
        if not error.not_found:
            raise
    made = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {"name": NAME, "namespace": SYSTEM_NAMESPACE},
        "type": "eventmesh.io/certificate-authority",
        "data": _data({1: make_root(1, clock.now())}),
    }
    try:
        return await api.create(SECRET, made, SYSTEM_NAMESPACE)
    except ApiError as error:
        if not error.already_exists:
            raise
    return await api.get(SECRET, NAME, SYSTEM_NAMESPACE)


def _data(roots: Mapping[int, Signer]) -> dict[str, str]:
    entries: dict[str, bytes] = {}
    for number, root in sorted(roots.items()):
        entries[f"root-{number}.crt"] = pem(root.certificate).encode()
        entries[f"root-{number}.key"] = key_pem(root.key)
    return {name: base64.b64encode(value).decode() for name, value in entries.items()}


def _read(secret: Object) -> dict[int, Signer]:
    data: Mapping[str, Any] = secret.get("data") or {}
    numbers = sorted(int(found[1]) for name in data if (found := _CERTIFICATE.fullmatch(name)))
    if not numbers:
        raise UnavailableError(f"the Secret {KEY} holds no root; delete it to begin with a new one")
    return {number: _root(data, number) for number in numbers}


def _root(data: Mapping[str, Any], number: int) -> Signer:
    entry = ""
    try:
        entry = f"root-{number}.key"
        key = read_key(base64.b64decode(data.get(entry) or "", validate=True))
        entry = f"root-{number}.crt"
        return paired(key, read_chain(base64.b64decode(data[entry], validate=True))[0])
    except (ValueError, TypeError, binascii.Error) as error:
        raise UnavailableError(
            f"the Secret {KEY}: {entry} {error}; restore it, or delete the Secret to begin with a new root (running "
            "workloads must then restart)"
        ) from None
