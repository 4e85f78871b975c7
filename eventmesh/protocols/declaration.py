"""Declarations of private protocols: from a file or a struct to what the core runs.

What a declaration may say is known in one place, the core (`crates/core/src/framed`); here it is read and passed on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.core import Protocol
from eventmesh.model.listener import Declaration

MAX_DECLARATION_BYTES: Final = 65_536
"""Largest declaration. Real ones have 1 to 3 KB; the file is read whole."""


def read_declaration(file: PathLike[str] | str, path: str) -> Declaration:
    """Return the declaration in a YAML or JSON file. Raises ConfigError, with `path` when the file cannot be read."""
    # PyYAML takes 20 ms to load, and only a sidecar with a declaration in a file needs it.
    from eventmesh.base.yaml_file import parse_yaml

    name = fspath(file)
    try:
        with open(name, "rb") as opened:
            text = opened.read(MAX_DECLARATION_BYTES + 1)
        if len(text) > MAX_DECLARATION_BYTES:
            raise ConfigError(path, f"{name} is larger than {MAX_DECLARATION_BYTES} bytes")
        document = parse_yaml(text.decode(), name)
    except OSError as error:
        raise ConfigError(path, f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(path, f"{name} is not UTF-8") from None
    if not isinstance(document, dict):
        raise ConfigError(name, f"expected a declaration (a mapping), got {type(document).__name__}")
    return declared(document, name)


def declared(members: Mapping[str, object], path: str) -> Declaration:
    """Return a declaration given as plain values. Raises ConfigError naming the field below `path`."""
    try:
        text = json.dumps(_whole(members), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ConfigError(path, f"is more than YAML and JSON have in common: {error}") from None
    if len(text) > MAX_DECLARATION_BYTES:
        raise ConfigError(path, f"is larger than {MAX_DECLARATION_BYTES} bytes")
    try:
        protocol = Protocol(text)
    except ValueError as error:
        raise ConfigError(path, str(error)) from None
    return Declaration(protocol.name, text)


def _whole(value: object) -> object:
    """Return the value with numbers that `google.protobuf.Struct` made floats as the integers they were."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case Mapping():
            return {key: _whole(member) for key, member in value.items()}
        case list() | tuple():
            return [_whole(member) for member in value]
    return value
