"""Answers without what must differ between two servers: names of versions, uids, times; and what still differs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from eventmesh.cluster.api.structural import clone
from tests.peers.api_oracle.sides import Answer, Step

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GENERATED = re.compile(r"\b((?:h\d+-)?[abc]\d+-)[bcdfghjklmnpqrstvwxz2456789]{5}\b")
_VERSION = re.compile(r"(?<=in the precondition \()\d+(?=\))|(?<=in record \()\d+(?=\))")
_PRECONDITION = re.compile(r"StorageError: .* AdditionalErrorMsg: ")
_UNREADABLE = (
    "unable to parse requirement: ",
    "invalid selector: ",
    "invalid value for query parameter ",
    "invalid resource version: ",
    "strconv.ParseInt: ",
    "continue key is not valid: ",
    "invalid continue token: ",
    "specifying resource version is not allowed",
)
_RULE = re.compile(r"Invalid value: .*?: (?=compilation failed|cel expression)", re.DOTALL)
_SELF = re.compile(r"selfType\d+")
_PROSE = {"Name", "Age"}
"""Columns that every kind has: what they are is told in words of one's own."""
ABSENT = "absent, but the oracle has "
_EMPTIED = re.compile(rf"{ABSENT}(\{{'[^{{}}]*': )*None\}}*$")
"""Ends the line of a difference in which the oracle has null of a map, or maps around it."""
APPLY = "application/apply-patch+yaml"
_TIMES = {"creationTimestamp", "deletionTimestamp", "time", "lastTransitionTime"}


class Names:
    """Gives what one server calls its own way the name that it has in both: the first uid is `uid 1`, and so on."""

    def __init__(self) -> None:
        self._uids: dict[str, str] = {}
        self._versions: dict[str, str] = {}
        self._generated: dict[str, str] = {}
        self._dates: list[int] = []

    def answer(self, answer: Answer) -> dict[str, Any]:
        """Return the answer in the names of both."""
        return {
            "code": answer.code,
            "media": answer.media,
            "warnings": sorted(answer.warnings),
            "body": self._value(answer.body),
        }

    def _value(self, value: Any) -> Any:
        match value:
            case dict():
                return self._map(value)
            case list():
                return [self._value(item) for item in value]
            case str():
                return self._text(value)
            case _:
                return value

    def _map(self, value: dict[str, Any]) -> dict[str, Any]:
        if value.get("kind") == "Status" and value.get("status") == "Failure":
            value = clone(value)
            _reduce_failure(value)
        if "items" in value or value.get("kind") == "Table" or value.get("type") == "BOOKMARK":
            # The version of a list is that of the whole store, which on one side has more in it.
            value = _without_version(value)
        named = {key: self._field(key, item) for key, item in sorted(value.items())}
        if value.get("kind") == "Table":
            self._hide_ages(named)
        if "items" in value:
            named["items"] = named["items"] or []  # Go spells an empty list of metadata alone as null
        return named

    def _field(self, key: str, value: Any) -> Any:
        match key, value:
            case "resourceVersion", str() if value:
                return self._version(value)
            case _, str() if key in _TIMES:
                return "a time"
            case "continue", str() if value:
                return "a token"
            case "managedFields", list():
                # Who has scaled is lost again upstream when the next one writes.
                owners = [entry for entry in value if entry.get("subresource") != "scale"]
                return sorted(map(self._value, owners), key=_by_manager)
            case _:
                return self._value(value)

    def _hide_ages(self, table: dict[str, Any]) -> None:
        columns = table["columnDefinitions"]
        if columns is not None:  # in a watch only the first table has them
            self._dates = [number for number, column in enumerate(columns) if column["type"] == "date"]
        for column in columns or ():
            if column["name"] in _PROSE:
                column["description"] = "words"
        for row in table["rows"] or ():
            for number in self._dates:
                row["cells"][number] = "an age"

    def _version(self, version: str) -> str:
        return self._versions.setdefault(version, f"version {len(self._versions) + 1}")

    def _text(self, text: str) -> str:
        text = _VERSION.sub(lambda found: self._version(found[0]), text)
        text = _GENERATED.sub(
            lambda found: self._generated.setdefault(found[0], f"{found[1]}{len(self._generated) + 1}"), text
        )
        return _UID.sub(lambda found: self._uids.setdefault(found[0], f"uid {len(self._uids) + 1}"), text)


def _without_version(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("type") == "BOOKMARK":
        return {**value, "object": _without_version(value["object"])}
    return {**value, "metadata": {**value["metadata"], "resourceVersion": ""}}


def _reduce_failure(status: dict[str, Any]) -> None:
    """Leave of a refusal what clients go by: the refused fields, in any order, and not again in the message."""
    details = status.get("details") or {}
    causes = details.get("causes") or []
    if not details:
        status.pop("details", None)
    if [cause["field"] for cause in causes] == ["patch"]:
        causes[0]["message"] = "the patched object, which the oracle repeats here as a whole"
    if any(cause["field"] == "kind" for cause in causes):
        # The oracle goes on to the rules of the right kind, on an object without its defaults.
        causes = [cause for cause in causes if cause["field"] == "kind"]
    if causes:
        # The oracle says some of an update twice, and in any order.
        told = {(cause["field"], cause["message"]): cause for cause in causes}
        details["causes"] = [told[place] for place in sorted(told)]
        status["message"] = status["message"].partition(" is invalid: ")[0]
    if status["code"] == 415:
        status["message"] = "the media types that are taken"
    if status["message"].startswith(_UNREADABLE):
        status["message"] = "a query that cannot be read"
    status["message"] = _PRECONDITION.sub("", status["message"])


def _by_manager(entry: Any) -> tuple[str, ...]:
    """Return the order of owners; the servers' own is by time, and they are asked at different ones."""
    return tuple(str(entry.get(name)) for name in ("operation", "manager", "subresource", "apiVersion"))


def agreed(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Return whether both say the same, the oracle in a way of its own.

    It says 500 for applied objects that do not fit, and an object without anything in it for a dry deletion of one that
    only a finalizer of deletions has held.
    """
    if theirs["code"] == 500:
        return bool(400 <= ours["code"] < 500)
    is_empty = isinstance(theirs["body"], dict) and theirs["body"].keys() == {"apiVersion", "kind"}
    return bool(is_empty and ours["code"] == theirs["code"] == 200 and ours["body"].get("status") == "Success")


def parted(step: Step, ours: dict[str, Any], theirs: dict[str, Any], found: Sequence[str]) -> bool:
    """Return whether the oracle has left null of a map that an applier gave up, refuses what it has left so, or has let
    somebody apply a scale, which it does now and then.

    On purpose otherwise here (docs/adr/0050-an-oracle-for-custom-resources.md): what follows is of different objects.
    """
    if step.content_type != APPLY:
        return False
    if step.path.endswith("/scale"):
        return True
    if theirs["code"] != 422:
        return all(_EMPTIED.search(line) for line in found)
    told = ours["body"].get("details", {}).get("causes", [])
    more = [cause for cause in theirs["body"]["details"]["causes"] if cause not in told]
    said = {f"spec.{name}" for name in step.body.get("spec") or {}}
    return bool(more) and all('"null"' in cause["message"] and cause["field"] not in said for cause in more)


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Yield every place at which the two differ, and how."""
    match ours, theirs:
        case dict(), dict():
            for key in sorted(ours.keys() | theirs.keys()):
                if key not in ours:
                    yield f"{path}.{key}: {ABSENT}{theirs[key]!r}"
                elif key not in theirs:
                    yield f"{path}.{key}: {ours[key]!r}, but the oracle has nothing"
                else:
                    yield from differences(ours[key], theirs[key], f"{path}.{key}")
        case list(), list() if len(ours) == len(theirs):
            for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                yield from differences(one, other, f"{path}[{number}]")
        case str(), str() if path.endswith(".message") and ours.startswith((f"{theirs}: ", f"{theirs} (")):
            pass  # the same, and more: which value it was, or what to do
        case _ if ours != theirs or type(ours) is not type(theirs):
            yield f"{path}: {ours!r}, but the oracle has {theirs!r}"


def compile_causes(answer: Answer) -> set[tuple[str, str]]:
    """Return the field and the sentence of each cause of a refused CRD.

    Without the rule, which the oracle repeats in Go's form, without what it thinks the rule costs, and of what cannot
    be read only that.
    """
    causes = answer.body["details"]["causes"]
    # Of a CRD with one version the oracle names the schema by the place that it had in v1beta1.
    told = {
        (cause["field"].partition(".openAPIV3Schema")[2], _RULE.sub("", cause["message"], count=1)) for cause in causes
    }
    return {
        (field, _SELF.sub("self", message) if "Syntax error" not in message else "a syntax error")
        for field, message in told
        if "cost" not in message
    }
