"""JSON Schema for the data of events: compiled once, checked per event, with a bounded cost whatever the schema says.

References outside the schema, and schemas that contain themselves, are refused: the first would have this process fetch
what a stranger names, the second can cost time exponential in the depth of the data.
"""

from __future__ import annotations

import json
from typing import Any, Final

import jsonschema_rs

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.cloudevents.json_format import is_json

MAX_SCHEMA_BYTES: Final = 65_536
"""Longest schema: those of schemastore.org that describe one document have less, and it is kept in an object."""

MAX_STEPS: Final = 10_000
"""Subschemas that one value may be held against, references followed: each is a step per event."""

MAX_MESSAGE_CHARS: Final = 500
"""What is said of a violation: the validator quotes the value, which may be the whole event."""

MAX_DEPTH: Final = 64
"""Subschemas inside each other, references followed."""


class SchemaViolated(InvalidEvent):
    """The data of an event is not what its type promises."""

    def __init__(self, problem: str) -> None:
        super().__init__("", problem)


class DataSchema:
    """A compiled schema."""

    def __init__(self, text: str, path: str) -> None:
        """Raises ConfigError, naming `path`, for what is no JSON Schema or could cost too much."""
        if len(text.encode()) > MAX_SCHEMA_BYTES:
            raise ConfigError(path, f"has {len(text.encode())} bytes, more than {MAX_SCHEMA_BYTES}")
        try:
            schema = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(path, f"is not JSON: {error}") from None
        if not isinstance(schema, dict | bool):
            raise ConfigError(path, "is no JSON Schema: that is an object, true or false")
        _Walk(schema, path).steps(schema, ())
        try:
            # Regular expressions of the linear kind; no schema is fetched from anywhere.
            self._validator = jsonschema_rs.validator_for(
                schema, retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
            )
        except ValueError as error:
            said = str(error).partition("\n")[0]
            raise ConfigError(path, f"is no JSON Schema that can be checked: {said}") from None

    def check(self, event: Event) -> None:
        """Return when the data of `event` follows the schema; raises SchemaViolated naming the place."""
        content_type = event.text("datacontenttype")
        if content_type and not is_json(content_type):
            raise SchemaViolated(f"data: is {content_type}, and its type promises JSON")
        if event.data is None:
            raise SchemaViolated("data: is missing")
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError):
            raise SchemaViolated("data: is not JSON") from None
        try:
            self._validator.validate(data)
        except jsonschema_rs.ValidationError as error:
            where = "/".join(("data", *map(str, error.instance_path)))
            raise SchemaViolated(f"{where}: {_short(error.message)}") from None


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}..."


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the schema")


class _Walk:
    """Counts what a schema can cost."""

    def __init__(self, schema: Any, path: str) -> None:
        self._schema = schema
        self._path = path
        self._known: dict[str, int] = {}

    def steps(self, node: Any, within: tuple[str, ...], depth: int = 0) -> int:
        """Return how many subschemas `node` is made of, with `within` the references that led to it."""
        if depth > MAX_DEPTH:
            raise ConfigError(self._path, f"is nested more than {MAX_DEPTH} deep")
        if isinstance(node, list):
            return self._bounded(sum(self.steps(child, within, depth + 1) for child in node))
        if not isinstance(node, dict):
            return 0
        total = 1
        for name, child in node.items():
            if name in ("$dynamicRef", "$recursiveRef"):
                raise ConfigError(self._path, f"{name} is not supported: write $ref")
            if name == "$ref" and isinstance(child, str):
                total += self._referred(child, within, depth)
            elif name not in ("$defs", "definitions"):
                total += self.steps(child, within, depth + 1)
        return self._bounded(total)

    def _referred(self, reference: str, within: tuple[str, ...], depth: int) -> int:
        if reference in within:
            raise ConfigError(self._path, f"{reference} contains itself: recursive schemas are not checked")
        known = self._known.get(reference)
        if known is None:
            known = self.steps(self._target(reference), (*within, reference), depth + 1)
            self._known[reference] = known
        return known

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise ConfigError(self._path, f"$ref {reference}: only places within the schema, such as #/$defs/NAME")
        node = self._schema
        for part in reference.removeprefix("#/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, dict) else None
            if node is None:
                raise ConfigError(self._path, f"$ref {reference} leads nowhere")
        return node

    def _bounded(self, steps: int) -> int:
        if steps > MAX_STEPS:
            raise ConfigError(self._path, f"holds a value against more than {MAX_STEPS} subschemas")
        return steps
