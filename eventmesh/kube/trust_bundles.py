"""Whom deliveries believe beside the authorities of an address: ConfigMaps of `knative-eventing` with a label.

As in Knative (knative/eventing: pkg/eventingtls/trust_bundle.go), each entry of such a ConfigMap holds certificates.
One that does not is named and left out; all others hold.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import key_of
from eventmesh.kube.resources import CONFIG_MAP
from eventmesh.kube.server_certificates import NAMESPACE
from eventmesh.kube.subscriber_addresses import are_certificates

LABEL: Final = "networking.knative.dev/trust-bundle"
SELECTOR: Final = f"{LABEL}=true"

MAX_BYTES: Final = 1_048_576
"""Of all bundles together: what one ConfigMap may hold, and five times what machines trust. Every cluster under https
has a copy of it in the engine."""

_log = log.get("kube.trust_bundles")


def entries(config_map: Object) -> Iterator[tuple[str, str]]:
    """Yield name and text of each entry, in their order; one that is no text is empty."""
    texts = dict(config_map.get("data") or {})
    for name, encoded in (config_map.get("binaryData") or {}).items():
        try:
            texts[name] = base64.b64decode(encoded, validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            texts[name] = ""
    yield from sorted(texts.items())


class TrustBundles:
    """The bundles, kept current from an informer that has synced before they are asked for."""

    def __init__(self, config_maps: Informer) -> None:
        self.informer = config_maps
        self.current = ""
        """The certificates of all bundles (PEM)."""
        self._listeners: list[Callable[[], None]] = []
        config_maps.add_handler(self._changed)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        self._listeners.append(changed)

    def _changed(self, _old: Object | None, new: Object | None) -> None:
        bundles = self._joined(key_of(new) if new is not None else None)
        if bundles == self.current:
            return
        self.current = bundles
        for changed in self._listeners:
            changed()

    def _joined(self, changed: object) -> str:
        """Return all certificates; what is wrong is told of the ConfigMap that has just changed, and of no other."""
        texts: list[str] = []
        for config_map in sorted(self.informer, key=key_of):
            for name, text in entries(config_map):
                problem = ""
                if not are_certificates(text):
                    problem = "holds no certificates in PEM"
                elif sum(map(len, texts)) + len(text) > MAX_BYTES:
                    problem = f"is beyond the {MAX_BYTES} bytes of all trust bundles together"
                if not problem:
                    texts.append(text if text.endswith("\n") else f"{text}\n")
                elif key_of(config_map) == changed:
                    _log.error("trust bundle left out", config_map=changed, entry=name, reason=problem)
        return "".join(texts)


def bundles_informer(api: Api, clock: Clock) -> Informer:
    """Return an informer of the bundles, for a process that has no business with other ConfigMaps."""
    return Informer(api, CONFIG_MAP, clock, namespace=NAMESPACE, label_selector=SELECTOR)
