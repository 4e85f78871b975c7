"""What one replica says of its data planes, as JSON in an annotation of its Lease. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control.replicas.versions import Versions

ANNOTATION: Final = "eventmesh.io/data-planes"

MAX_NAMED: Final = 10
"""Data planes that are named of those that are waited for; a condition names no more either."""

MAX_NAME_CHARS: Final = 256
"""Of a node's id, with its words of refusal."""

MAX_REFUSED: Final = 20
"""Refused objects that are told. With more of them a replica acknowledges nothing new until it has fewer."""

MAX_MESSAGE_CHARS: Final = 512
"""Of a data plane's words; the replica's own log and status have more."""

MAX_BYTES: Final = 256 * 1024
"""Of a word that is read: what the API has for all annotations of an object. The longest one takes less, although JSON
writes a character of some scripts in twelve bytes."""


@frozen
class Refused:
    """An object that a data plane does not take."""

    kind: str
    key: Key
    generation: int
    """Which form of it: its `metadata.generation`."""
    message: str


@frozen
class Word:
    """How far the gateways and activators of one replica are."""

    clients: int
    """How many are connected; without any the rest is empty, and nobody waits for this replica."""
    versions: Versions = field(default_factory=dict)
    """What all of them have acknowledged."""
    waiting: tuple[str, ...] = ()
    """Who has not acknowledged what was published last."""
    refused: tuple[Refused, ...] = ()

    def covers(self, needs: Versions) -> bool:
        """Tell whether nothing of `needs` is to be waited for."""
        return not self.clients or all(self.versions.get(kind, 0) >= version for kind, version in needs.items())

    def refusal(self, kind: str, key: Key, generation: int) -> str | None:
        """Return why this form of an object is not taken; None when it is."""
        wanted = (kind, key, generation)
        return next((one.message for one in self.refused if (one.kind, one.key, one.generation) == wanted), None)

    def to_json(self) -> str:
        """Return it as it is told, within the limits above."""
        return json.dumps(
            {
                "clients": self.clients,
                "versions": dict(sorted(self.versions.items())),
                "waiting": [name[:MAX_NAME_CHARS] for name in self.waiting[:MAX_NAMED]],
                "refused": [
                    {
                        "kind": one.kind,
                        "namespace": one.key.namespace,
                        "name": one.key.name,
                        "generation": one.generation,
                        "message": one.message[:MAX_MESSAGE_CHARS],
                    }
                    for one in self.refused[:MAX_REFUSED]
                ],
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Word:
        """Return what another replica says; raises ValueError for what is no such word."""
        if len(text) > MAX_BYTES:
            raise ValueError(f"{len(text)} bytes; the limit is {MAX_BYTES}")
        try:
            return cls._read(json.loads(text))
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None

    @classmethod
    def _read(cls, tree: Mapping[str, Any]) -> Word:
        return cls(
            int(tree["clients"]),
            {str(kind): int(version) for kind, version in tree["versions"].items()},
            tuple(str(name) for name in tree["waiting"]),
            tuple(
                Refused(
                    str(one["kind"]),
                    Key(str(one["namespace"]), str(one["name"])),
                    int(one["generation"]),
                    str(one["message"]),
                )
                for one in tree["refused"]
            ),
        )


UNKNOWN: Final = Word(1)
"""Of a replica whose word cannot be read: it may have data planes, and they may have acknowledged nothing."""
