"""The switches of Eventing: the ConfigMap `config-features` of `knative-eventing`, as far as it has an effect here.

Names and values are Knative's (knative/eventing: pkg/apis/feature); an absent ConfigMap means the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, key_of
from eventmesh.kube.resources import CONFIG_MAP

CONFIG: Final = Key("knative-eventing", "config-features")

AUTHENTICATION: Final = "authentication-oidc"
AUTHORIZATION: Final = "default-authorization-mode"
AUTO_CREATE: Final = "eventtype-auto-create"
TRANSPORT: Final = "transport-encryption"
CROSS_NAMESPACE: Final = "cross-namespace-event-links"

_NEVER: Final = ("kreference-group", "kreference-mapping")
"""Switches of Knative's that turn nothing on here."""

_ALWAYS: Final = ("delivery-timeout", "delivery-retryafter", "new-apiserversource-filters")
"""Switches of Knative's that turn nothing off here."""

_SHOWN: Final = 64
"""Characters of a wrong value that are repeated in conditions and in the log."""

_log = log.get("kube.eventing_features")


class DefaultAuthorization(Enum):
    """Who may send to what no EventPolicy speaks of."""

    ALLOW_ALL = "allow-all"
    DENY_ALL = "deny-all"
    ALLOW_SAME_NAMESPACE = "allow-same-namespace"


class TransportEncryption(Enum):
    """How events may come to whatever takes them in."""

    DISABLED = "disabled"
    """By http."""
    PERMISSIVE = "permissive"
    """By http and by https; addresses name both, https first."""
    STRICT = "strict"
    """By https, or by the mesh's own mTLS; in clear text not at all."""


@frozen
class Features:
    """The switches as they stand."""

    authentication: bool = False
    """Senders prove who they are, and are proved who they send to (OIDC); EventPolicies hold."""
    authorization: DefaultAuthorization = DefaultAuthorization.ALLOW_SAME_NAMESPACE
    auto_create: bool = False
    """EventTypes are made of what is seen."""
    transport: TransportEncryption = TransportEncryption.DISABLED
    cross_namespace: bool = False
    """Triggers may be of brokers of other namespaces, if those who write them may `knsubscribe` there."""
    without_effect: tuple[str, ...] = ()
    """`key: value` of each switch that asks for what is not done here."""


def parse_features(data: Mapping[str, str]) -> Features:
    """Return what the data of the ConfigMap says. An authorisation that is none admits nobody, and is logged."""
    said = data.get(AUTHORIZATION, DefaultAuthorization.ALLOW_SAME_NAMESPACE.value).strip().lower()
    try:
        authorization = DefaultAuthorization(said)
    except ValueError:
        # A slip of the pen must not open what somebody wanted to close.
        known = ", ".join(mode.value for mode in DefaultAuthorization)
        _log.error("no such authorisation, nobody is admitted", key=AUTHORIZATION, value=said, known=known)
        authorization = DefaultAuthorization.DENY_ALL
    return Features(
        _enabled(data, AUTHENTICATION),
        authorization,
        _enabled(data, AUTO_CREATE),
        _transport(data),
        _enabled(data, CROSS_NAMESPACE),
        _without_effect(data),
    )


def _transport(data: Mapping[str, str]) -> TransportEncryption:
    """Return how events may come; a value that is none leaves them where they were, as in Knative, and is named."""
    try:
        return TransportEncryption(_said(data, TRANSPORT))
    except ValueError:
        return TransportEncryption.DISABLED


def _without_effect(data: Mapping[str, str]) -> tuple[str, ...]:
    in_vain = [name for name in _NEVER if data.get(name, "").strip().lower() not in ("", "disabled")]
    in_vain += [name for name in _ALWAYS if data.get(name, "").strip().lower() == "disabled"]
    without = [f"{name}: {data[name].strip()}" for name in in_vain]
    known = [mode.value for mode in TransportEncryption]
    if _said(data, TRANSPORT) not in known:
        without.append(f"{TRANSPORT}: {data[TRANSPORT].strip()[:_SHOWN]} (it may be {', '.join(known)})")
    return tuple(without)


def _enabled(data: Mapping[str, str], name: str) -> bool:
    return data.get(name, "").strip().lower() == "enabled"


def _said(data: Mapping[str, str], name: str) -> str:
    return data.get(name, "").strip().lower() or "disabled"


class FeatureStore:
    """The switches, kept current from an informer that has synced before they are asked for."""

    def __init__(self, config_maps: Informer) -> None:
        self.informer = config_maps
        self.current = Features()
        self._listeners: list[Callable[[], None]] = []
        config_maps.add_handler(self._changed)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        self._listeners.append(changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if key_of(new or old or {}) != CONFIG:
            return
        features = parse_features((new or {}).get("data") or {})
        if features == self.current:
            return
        self.current = features
        if features.without_effect:
            _log.warning("switches without effect", config=CONFIG, switches=", ".join(features.without_effect))
        for changed in self._listeners:
            changed()


def features_informer(api: Api, clock: Clock) -> Informer:
    """Return an informer of this one ConfigMap, for a process that has no business with others."""
    return Informer(api, CONFIG_MAP, clock, namespace=CONFIG.namespace, field_selector=f"metadata.name={CONFIG.name}")
