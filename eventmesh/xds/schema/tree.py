"""A message as it was read: the fields that were set, typed, with the path its author would write.

Both readers give equal trees for equal configuration; the path takes no part in the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeVar

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.xds.schema.types import MessageType

Json = bool | float | str | None | list["Json"] | dict[str, "Json"]
"""What `google.protobuf.Struct` can hold."""

T = TypeVar("T")


@frozen
class Message:
    """One message. A getter returns the protobuf default (or `default`) for a field that is not set.

    A getter raises KeyError for a name that the type lacks and TypeError for the wrong getter: both are bugs
    of the caller, never of the configuration.
    """

    schema: MessageType
    fields: Mapping[str, object]
    path: str = field(compare=False, default="")

    def has(self, name: str) -> bool:
        """Tell whether the field was set."""
        return self.schema.by_name[name].name in self.fields

    def text(self, name: str, default: str = "") -> str:
        """Return a string, or the label of an enum (whose unset value is `default`)."""
        return self._get(name, str, default)

    def number(self, name: str, default: int = 0) -> int:
        """Return an integer."""
        return self._get(name, int, default)

    def decimal(self, name: str, default: float = 0.0) -> float:
        """Return a floating-point number."""
        return self._get(name, float, default)

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the integers of a repeated field."""
        return self._get(name, tuple, ())

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean."""
        return self._get(name, bool, default)

    def seconds(self, name: str, default: float) -> float:
        """Return a duration in seconds; raise ConfigError when it is negative."""
        value = self._get(name, float, default)
        if value < 0:
            raise self.error(name, f"{value}s is negative; durations start at 0s")
        return value

    def wait_s(self, name: str, default: float, longest: float) -> float:
        """Return how long somebody is to wait; raise ConfigError unless it is above 0 and at most `longest` seconds."""
        value = self.seconds(name, default)
        if not 0 < value <= longest:
            raise self.error(name, f"{value}s is out of range; accepted are more than 0s, up to {longest}s")
        return value

    def raw(self, name: str) -> bytes:
        """Return bytes."""
        return self._get(name, bytes, b"")

    def child(self, name: str) -> Message | None:
        """Return a message, None when it was not set."""
        value = self.fields.get(self.schema.by_name[name].name)
        return value if isinstance(value, Message) else None

    def children(self, name: str) -> tuple[Message, ...]:
        """Return the messages of a repeated field."""
        return self._get(name, tuple, ())

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the strings of a repeated field."""
        return self._get(name, tuple, ())

    def messages_by_key(self, name: str) -> Mapping[str, Message]:
        """Return a map of messages."""
        return self._get(name, dict, {})

    def structs_by_key(self, name: str) -> Mapping[str, Mapping[str, Json]]:
        """Return a map of structs."""
        return self._get(name, dict, {})

    def texts_by_key(self, name: str) -> Mapping[str, str]:
        """Return a map of strings."""
        return self._get(name, dict, {})

    def struct(self, name: str) -> Mapping[str, Json]:
        """Return a struct."""
        return self._get(name, dict, {})

    def where(self, name: str) -> str:
        """Return the path of one field of this message."""
        return f"{self.path}.{name}" if self.path else name

    def error(self, name: str, problem: str) -> ConfigError:
        """Return the error that says what is wrong with the field `name` (empty: with this message)."""
        return ConfigError(self.where(name) if name else self.path, problem)

    def _get(self, name: str, kind: type[T], default: T) -> T:
        value = self.fields.get(self.schema.by_name[name].name, default)
        if not isinstance(value, kind):
            raise TypeError(f"{self.schema.name}.{name} holds {type(value).__name__}, not {kind.__name__}")
        return value


def verdict_refused(path: str, type_name: str) -> ConfigError:
    """Return the error for a field that is set and would not do what its author expects."""
    return ConfigError(path, f"eventmesh does not support this field of {type_name}; remove it")
