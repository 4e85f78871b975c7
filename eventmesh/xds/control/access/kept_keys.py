"""The last good key sets, in a ConfigMap of the mesh's own namespace: what control that begins again goes by while an
issuer is away. They are public keys; who may change that namespace's objects may change the mesh's own key, too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.core import check_keys
from eventmesh.kube.api import Api, ApiError
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIG_MAP
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

_log = log.get("xds.keys")

CONFIG_MAP_KEY: Final = Key(SYSTEM_NAMESPACE, "eventmesh-key-sets")

MAX_KEPT_BYTES: Final = 524_288
"""Of all sets together: half of what one ConfigMap may hold. Hundreds of real ones fit; what does not is not kept."""


class KeptKeys:
    """Keeps the ConfigMap true, while its controller runs."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, good: Callable[[], Mapping[str, str]]) -> None:
        """`good` returns the key sets there are now, by address."""
        self._api = api
        self._maps = informers.of(CONFIG_MAP)
        self._good = good
        self.controller = Controller("key-sets", self._maps, self.reconcile, clock)

    def read(self) -> Mapping[str, str]:
        """Return what was kept, by address, as far as tokens can be verified by it."""
        stored = self._maps.get(CONFIG_MAP_KEY.name, CONFIG_MAP_KEY.namespace)
        return unpacked((stored or {}).get("data") or {})

    def changed(self) -> None:
        """Have the ConfigMap written anew."""
        self.controller.enqueue(CONFIG_MAP_KEY)

    async def reconcile(self, key: Key) -> None:
        """Write the ConfigMap, if it differs; a cluster without the mesh's own namespace keeps nothing."""
        if key != CONFIG_MAP_KEY:
            return
        stored, data = self._maps.get(key.name, key.namespace), packed(self._good())
        if stored is not None and (stored.get("data") or {}) != data:
            await self._api.replace(CONFIG_MAP, {**stored, "data": data})
        elif stored is None and data:
            made = {"metadata": {"name": key.name, "labels": {"app.kubernetes.io/name": "eventmesh"}}, "data": data}
            try:
                await self._api.create(CONFIG_MAP, made, key.namespace)
            except ApiError as error:
                if not error.not_found:
                    raise


def packed(sets: Mapping[str, str]) -> dict[str, str]:
    """Return key sets as the `data` of the ConfigMap, whose keys cannot be addresses."""
    data: dict[str, str] = {}
    room = MAX_KEPT_BYTES
    for address, text in sorted(sets.items()):
        value = json.dumps({"address": address, "keys": text})
        if len(value) > room:
            continue  # A large one keeps nobody else out.
        room -= len(value)
        data[hashlib.sha256(address.encode()).hexdigest()] = value
    if len(data) < len(sets):
        _log.warning("more key sets than can be kept", kept=len(data), there_are=len(sets))
    return data


def unpacked(data: Mapping[str, str]) -> dict[str, str]:
    """Return the key sets in the `data` of the ConfigMap; what is none is passed over."""
    found = {}
    for value in data.values():
        try:
            row = json.loads(value)
            address, text = row["address"], row["keys"]
            check_keys(text)
        except (KeyError, TypeError, ValueError):
            _log.warning("a kept key set cannot be read", config_map=CONFIG_MAP_KEY)
            continue
        found[str(address)] = str(text)
    return found
