"""What random histories write into objects: mostly good, now and then what a schema or the API refuses."""

from __future__ import annotations

from random import Random
from typing import Any

from eventmesh.cluster.api.structural import clone
from tests.peers.api_oracle.kinds import GROUP
from tests.peers.api_oracle.pools import BAD, GOOD

Value = dict[str, Any]


class Values:
    """The values of the objects of one kind, drawn from `random`."""

    def __init__(self, random: Random, namespace: str, plural: str, kind: str) -> None:
        self._random = random
        self._namespace = namespace
        self._plural = plural
        self._kind = kind

    def object(self, named: Value, version: str) -> Value:
        """Return an object to create; now and then one that is refused, or one without a part."""
        metadata = {**named, **self.metadata()}
        if self._plural == "gadgets" or self._random.random() < 0.5:
            metadata["labels"] = {**metadata.get("labels", {}), "history": self._namespace}
        body: Value = {
            "apiVersion": f"{GROUP}/{version}",
            "kind": self._kind,
            "metadata": metadata,
            "spec": self.spec(),
        }
        match self._random.randrange(20):
            case 0:
                body["status"] = self.status()
            case 1:
                del body["spec"]
            case 2:
                body["extra"] = 1
            case 3:
                body |= {"kind": "Gizmo", "spec": {"color": "red"}}
            case 4:
                metadata["name"] = "Not_A_Name"
            case 5:
                metadata["namespace"] = "elsewhere"
            case 6:
                metadata["unheard"] = "of"
            case _:
                pass
        return body

    def metadata(self, *, nulls: bool = False) -> Value:
        """Return some metadata; now and then labels that are none."""
        choices: Value = {
            "labels": self._random.choice([{"tier": "web"}, {"tier": "db"}, {"x": "1", "tier": "web"}, {}]),
            "annotations": self._random.choice([{"note": "one"}, {"note": "two", "more": ""}]),
            "finalizers": self._random.choice(
                [["oracle.eventmesh.io/hold"], ["oracle.eventmesh.io/hold", "oracle.eventmesh.io/too"], []]
            ),
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "name": "owner",
                    "uid": "99999999-8888-7777-6666-555555555555",
                }
            ],
        }
        odds = {"labels": 0.6, "annotations": 0.3, "finalizers": 0.15, "ownerReferences": 0.05}
        chosen = {name: value for name, value in choices.items() if self._random.random() < odds[name]}
        if nulls and self._random.random() < 0.2:
            chosen[self._random.choice(["labels", "annotations", "finalizers"])] = None
        if self._random.random() < 0.04:
            chosen["labels"] = self._random.choice([{"bad key!": "x"}, {"tier": "not ok!"}, {"tier": 7}])
        return chosen

    def spec(self) -> Value:
        """Return a spec with what every one needs."""
        return {"color": self._random.choice(["red", "green", "blue"]), **self.sparse()}

    def sparse(self, *, nulls: bool = False, all_good: bool = False) -> Value:
        """Return a few fields of a spec: mostly good, now and then one that the schema refuses."""
        names = self._random.sample(sorted(GOOD), self._random.randint(1, 4))
        spec = {name: self._random.choice(GOOD[name]) for name in names}
        if nulls and self._random.random() < 0.3:
            spec[self._random.choice(sorted(GOOD))] = None
        if not all_good and self._random.random() < 0.12:
            name = self._random.choice(sorted(BAD))
            spec[name] = self._random.choice(BAD[name])
        copied: Value = clone(spec)
        return copied

    def status(self) -> Value:
        """Return what a controller might say."""
        choices: Value = {
            "phase": self._random.choice(["Up", "Down"]),
            "replicas": self._random.randint(0, 3),
            "selector": "app=x",
            "conditions": self._random.choice(
                [
                    [{"type": "Ready", "status": "True"}],
                    [{"type": "Ready", "status": "False", "reason": "Why"}, {"type": "Seen", "status": "True"}],
                ]
            ),
            "unknown": 1,
        }
        odds = {"phase": 0.6, "replicas": 0.4, "selector": 0.2, "conditions": 0.5, "unknown": 0.05}
        return {name: value for name, value in choices.items() if self._random.random() < odds[name]}
