"""What several resources share: where a part of their configuration comes from, and what carries their bytes."""

from __future__ import annotations

from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.resources import DEFAULT_FETCH_TIMEOUT_S

RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"


def read_config_source(owner: Message, name: str) -> float:
    """Return how many seconds to wait for the first answer from a `core.ConfigSource` that means ADS; 0 = for ever.

    Raises ConfigError when the source is anything but ADS (`self` means the source the owner came from: ADS).
    """
    source = owner.child(name)
    if source is None or not (source.has("ads") or source.has("self")):
        raise owner.error(name, "must be ads: {}; eventmesh takes resources from one aggregated stream")
    return source.seconds("initial_fetch_timeout", DEFAULT_FETCH_TIMEOUT_S)


def check_plain_transport(owner: Message) -> None:
    """Raise ConfigError when the `transport_socket` of `owner` is anything but plain bytes."""
    socket = owner.child("transport_socket")
    config = socket.child("typed_config") if socket else None
    if config is not None and config.schema.name != RAW_BUFFER:
        raise owner.error("transport_socket.typed_config", f"{config.schema.name} is not supported; {RAW_BUFFER} is")


def check_upgrades(owner: Message) -> None:
    """Raise ConfigError when `upgrade_configs` of `owner` asks for CONNECT; other upgrades are passed on always."""
    for upgrade in owner.children("upgrade_configs"):
        kind = upgrade.text("upgrade_type")
        if not kind or kind.upper().startswith("CONNECT"):
            raise upgrade.error("upgrade_type", f"{kind!r} is not supported; websocket and other upgrades are")
