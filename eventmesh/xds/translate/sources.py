"""What several resources share: where a part of their configuration comes from."""

from __future__ import annotations

import os

from eventmesh.base.errors import ConfigError
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import enum_type

RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"

DEFAULT_FETCH_TIMEOUT_S = 15.0
"""How long a resource waits for those it names before it goes live without them (Envoy's initial_fetch_timeout)."""

MAX_DATA_BYTES = 1_048_576
"""Longest file that a configuration may name, 1 MiB: all public authorities there are fill a quarter of it."""


def read_config_source(owner: Message, name: str) -> float:
    """Return how many seconds to wait for the first answer from a `core.ConfigSource` that means ADS; 0 = for ever.

    Raises ConfigError when the source is anything but ADS (`self` means the source the owner came from: ADS).
    """
    source = owner.child(name)
    if source is None or not (source.has("ads") or source.has("self")):
        raise owner.error(name, "must be ads: {}; eventmesh takes resources from one aggregated stream")
    return source.seconds("initial_fetch_timeout", DEFAULT_FETCH_TIMEOUT_S)


def read_data(owner: Message, name: str) -> str:
    """Return the text of the `DataSource` `name`: given inline, by a file or by an environment variable.

    Raises ConfigError. A file is read now; that it changes later is noticed with the next configuration.
    """
    source = owner.child(name)
    if source is None:
        raise owner.error(name, "missing")
    if source.has("filename"):
        return _file(source)
    if source.has("environment_variable"):
        variable = source.text("environment_variable")
        if variable not in os.environ:
            raise source.error("environment_variable", f"{variable} is not set")
        return os.environ[variable]
    try:
        return source.text("inline_string") or source.raw("inline_bytes").decode()
    except UnicodeDecodeError:
        raise source.error("inline_bytes", "is not UTF-8; only text is supported") from None


def _file(source: Message) -> str:
    path = source.text("filename")
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_DATA_BYTES + 1)
        if len(data) > MAX_DATA_BYTES:
            raise source.error("filename", f"{path} is longer than the limit of {MAX_DATA_BYTES} bytes")
        return data.decode()
    except OSError as error:
        raise source.error("filename", f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(source.where("filename"), f"{path} is not UTF-8 at byte {error.start}") from None


def check_upgrades(owner: Message) -> None:
    """Raise ConfigError when `upgrade_configs` of `owner` asks for CONNECT; other upgrades are passed on always."""
    for upgrade in owner.children("upgrade_configs"):
        kind = upgrade.text("upgrade_type")
        if not kind or kind.upper().startswith("CONNECT"):
            raise upgrade.error("upgrade_type", f"{kind!r} is not supported; websocket and other upgrades are")


def read_status(owner: Message, field: str, default: int) -> int:
    """Return the code of a `type.HttpStatus`, of a final response; `default` when it is not set."""
    status = owner.child(field)
    if status is None:
        return default
    code = enum_type("StatusCode").by_name[status.text("code", "Empty")]
    if not 200 <= code < 600:
        raise status.error("code", f"{code} is not the status of a final response; accepted are 200 to 599")
    return code
