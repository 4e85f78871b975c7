"""Equal field sets held once: `managedFields` of a thousand objects of a kind say nearly the same.

They are two fifths of all JSON that a mesh of many functions keeps, and as Python's dicts many times that.
"""

from __future__ import annotations

from typing import Final

from eventmesh.cluster.api.fieldset import FieldSet
from eventmesh.kube.api import Object

MAX_SETS: Final = 100_000
"""Different sets remembered, some 30 MiB; a thousand revisions have 25,000. Beyond that sharing begins anew: the ids of
owners, which are in the sets, come and go for as long as the mesh runs."""

_NOTHING: Final[FieldSet] = {}


class SharedSets:
    """Hands out one set for all that are equal to it. Sets are never changed, so nobody notices."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | int, ...], FieldSet] = {}
        """By each element and the identity of what is below it, which is kept here too and so cannot go."""

    def take(self, obj: Object) -> None:
        """Let `obj` hold shared sets in its `managedFields`."""
        for entry in obj["metadata"].get("managedFields") or ():
            if fields := entry.get("fieldsV1"):
                entry["fieldsV1"] = self.shared(fields)
        if len(self._known) > MAX_SETS:
            self._known.clear()

    def shared(self, fields: FieldSet) -> FieldSet:
        """Return the one set that stands for all equal to `fields`."""
        if not fields:
            return _NOTHING
        parts = {element: self.shared(below) for element, below in fields.items()}
        key = tuple([word for element, below in parts.items() for word in (element, id(below))])
        return self._known.setdefault(key, parts)
