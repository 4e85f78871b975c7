"""Random histories of custom resources: what clients may do to a few objects, in good requests and bad, by a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.peers.api_oracle.answers import APPLY
from tests.peers.api_oracle.kinds import GROUP
from tests.peers.api_oracle.pools import FIELD_SELECTORS, LABEL_SELECTORS, UNREADABLE
from tests.peers.api_oracle.sides import JSON, Step
from tests.peers.api_oracle.values import Value, Values

STEPS = 24
MANAGERS = ("alice", "bob", "carol")
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata{};v=v1;g=meta.k8s.io"
STORED = "v1"
"""The version that every status is written in."""
FIRST, LAST = "the-first", "the-last"


def history(seed: int, namespace: str) -> list[Step]:
    """Return the steps of one history, which has `namespace` for itself; the last ones watch all others again."""
    return _Author(Random(seed), namespace).write()


class _Author:
    def __init__(self, random: Random, namespace: str) -> None:
        self.random = random
        self.namespace = namespace
        self.plural, self.kind = random.choice(
            [("widgets", "Widget")] * 5 + [("gadgets", "Gadget"), ("looses", "Loose")]
        )
        self.values = Values(random, namespace, self.plural, self.kind)
        self.prefix = "" if self.plural != "gadgets" else f"{namespace}-"
        self.handles = [self.prefix + letter for letter in "abc"]
        self.generated = 0
        self.reader = Random(namespace)
        """Draws what only reads, so that what is written stays what a seed has always written."""

    def write(self) -> list[Step]:
        steps = [self._marker(FIRST), *(self._create(handle) for handle in self.handles[: self.random.randint(1, 3)])]
        kinds: list[tuple[int, Callable[[], Step]]] = [
            (3, lambda: self._create(self._handle())),
            (4, self._replace),
            (5, self._merge),
            (5, self._json_patch),
            # Who has scaled is lost again upstream when the next one applies: either one or the other.
            (8, self._apply) if self.random.random() < 0.8 else (4, self._scale),
            (5, self._status),
            (3, self._delete),
            (1, self._delete_collection),
            (2, self._get),
            (4, self._list),
            (1, self._strategic),
        ]
        weights = [weight for weight, _ in kinds]
        for _ in range(STEPS):
            [(_, write)] = self.random.choices(kinds, weights)
            steps.append(write())
        return [*steps, self._unreadable(), *self._ending()]

    # -- where

    def _handle(self) -> str:
        return self.random.choice(self.handles)

    def _collection(self, version: str = "v1") -> str:
        if self.plural == "gadgets":
            return f"/apis/{GROUP}/v1/gadgets"
        return f"/apis/{GROUP}/{version}/namespaces/{self.namespace}/{self.plural}"

    def _version(self) -> str:
        return "v1beta1" if self.plural == "widgets" and self.random.random() < 0.15 else "v1"

    def _query(self, **more: str) -> dict[str, str]:
        chosen = {
            "fieldManager": (0.6, self.random.choice(MANAGERS)),
            "fieldValidation": (0.4, self.random.choice(["Strict", "Warn", "Ignore"])),
            "dryRun": (0.1, "All"),
        }
        return {name: value for name, (odds, value) in chosen.items() if self.random.random() < odds} | more

    # -- verbs

    def _create(self, handle: str) -> Step:
        version = self._version()
        # A prefix of its own for each: what is made up behind it must not decide the order of a list.
        self.generated += 1
        named = {"generateName": f"{handle}{self.generated}-"} if self.random.random() < 0.15 else {"name": handle}
        body = self.values.object(named, version)
        accept = self.random.choice([JSON] * 8 + [TABLE, PARTIAL.format("")])
        return Step("POST", self._collection(version), self._query(), body, accept=accept, remember=handle)

    def _place(self, handle: str, version: str = "v1") -> str:
        return f"{self._collection(version)}/{self._name(handle)}"

    def _name(self, handle: str) -> str:
        return f"<name:{handle}>"

    def _replace(self) -> Step:
        handle, version = self._handle(), self._version()
        identity: Value = {
            "apiVersion": f"{GROUP}/{version}",
            "kind": self.kind,
            "metadata": {"name": self._name(handle)},
        }
        change: Value = {**identity, "spec": self.values.spec()}
        match self.random.randrange(10):
            case 0:
                change["metadata"] |= {"resourceVersion": f"<first:{handle}>"}
            case 1:
                change["metadata"] |= {"resourceVersion": None}
            case 2:
                change["metadata"] |= {"uid": "11111111-2222-3333-4444-555555555555"}
            case 3:
                change = identity
            case 4 | 5:
                change["metadata"] |= self.values.metadata()
            case 6 if version == STORED:
                # In another version upstream takes the field from its owner, and does not change it.
                change["status"] = self.values.status()
            case _:
                pass
        return Step("PUT", self._place(handle, version), self._query(), change, over=handle, remember=handle)

    def _merge(self) -> Step:
        handle, version = self._handle(), self._version()
        patch: Value = {"spec": self.values.sparse(nulls=True)}
        if self.random.random() < 0.4:
            patch["metadata"] = self.values.metadata(nulls=True)
        if self.random.random() < 0.1 and version == STORED:
            patch["status"] = self.values.status()
        return Step("PATCH", self._place(handle, version), self._query(), patch, MERGE, remember=handle)

    def _json_patch(self) -> Step:
        handle = self._handle()
        operations = [self._operation() for _ in range(self.random.randint(1, 3))]
        return Step("PATCH", self._place(handle), self._query(), operations, JSON_PATCH, remember=handle)

    def _operation(self) -> Value:
        name, value = self.random.choice(list(self.values.spec().items()))
        where = self.random.choice(
            [f"/spec/{name}"] * 6 + ["/spec/tags/-", "/spec/parts/0", "/metadata/labels/x", "/spec/steps/1"]
        )
        match self.random.choice(["add", "add", "replace", "remove", "test", "copy", "move"]):
            case "remove":
                return {"op": "remove", "path": where}
            case "copy":
                # From a field that is there for sure: from nothing upstream copies null.
                return {"op": "copy", "from": "/kind", "path": self.random.choice(["/spec/note", where])}
            case "move":
                return {"op": "move", "from": where, "path": self.random.choice(["/spec/note", "/spec/free"])}
            case op:
                return {"op": op, "path": where, "value": value}

    def _apply(self) -> Step:
        handle, version = self._handle(), self._version()
        query = self._query(fieldManager=self.random.choice(MANAGERS))
        if self.random.random() < 0.35:
            query["force"] = "true"
        named = {"name": self._name(handle)} if self.random.random() < 0.9 else {}
        config: Value = {
            "apiVersion": f"{GROUP}/{version}",
            "kind": self.kind,
            "metadata": named,
            # A map that the applier has had something in, and leaves empty, becomes null upstream.
            "spec": {name: value for name, value in self.values.sparse().items() if value != {} and name != "nested"},
        }
        if self.random.random() < 0.3:
            # No labels are stored by upstream as a map, so that the next write changes something, whatever it says.
            config["metadata"] |= {name: value for name, value in self.values.metadata().items() if value != {}}
        return Step("PATCH", self._place(handle, version), query, config, APPLY, remember=handle)

    def _strategic(self) -> Step:
        return Step("PATCH", self._place(self.handles[0]), {}, {"spec": {"color": "red"}}, STRATEGIC)

    def _status(self) -> Step:
        handle, place = self._handle(), "/status"
        status: Value = {"status": self.values.status()}
        identity: Value = {"apiVersion": f"{GROUP}/v1", "kind": self.kind, "metadata": {"name": self._name(handle)}}
        match self.random.randrange(4):
            case 0:
                return Step(
                    "PUT",
                    self._place(handle) + place,
                    self._query(),
                    {**identity, **status},
                    over=handle,
                    remember=handle,
                )
            case 1:
                extra = (
                    {"spec": self.values.sparse(all_good=True), "metadata": self.values.metadata()}
                    if self.random.random() < 0.3
                    else {}
                )
                return Step(
                    "PATCH", self._place(handle) + place, self._query(), {**status, **extra}, MERGE, remember=handle
                )
            case 2:
                query = self._query(fieldManager=self.random.choice(MANAGERS))
                if self.random.random() < 0.4:
                    query["force"] = "true"
                config = {**identity, **status}
                return Step("PATCH", self._place(handle) + place, query, config, APPLY, remember=handle)
            case _:
                operation = {"op": "add", "path": "/status", "value": self.values.status()}
                return Step(
                    "PATCH", self._place(handle) + place, self._query(), [operation], JSON_PATCH, remember=handle
                )

    def _scale(self) -> Step:
        handle = self._handle()
        place, replicas = self._place(handle) + "/scale", self.random.choice([0, 2, 5, -1])
        scale: Value = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": replicas}}
        match self.random.randrange(4):
            case 0:
                return Step("GET", place)
            case 1:
                version = self.random.choice(
                    [{}, {"resourceVersion": f"<rv:{handle}>"}, {"resourceVersion": f"<first:{handle}>"}]
                )
                named = {"name": self._name(handle), "namespace": self.namespace, **version}
                return Step("PUT", place, self._query(), {**scale, "metadata": named})
            case 2:
                return Step("PATCH", place, self._query(), {"spec": {"replicas": replicas}}, MERGE)
            case _:
                return Step("PATCH", place, self._query(fieldManager="scaler", force="true"), scale, APPLY)

    def _delete(self) -> Step:
        handle = self._handle()
        options: Value = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if self.random.random() < 0.6:
            options["propagationPolicy"] = self.random.choice(["Background", "Foreground", "Orphan", "Sideways"])
        match self.random.randrange(8):
            case 0:
                options["preconditions"] = {"uid": f"<uid:{handle}>"}
            case 1:
                options["preconditions"] = {"resourceVersion": f"<first:{handle}>"}
            case 2:
                options["preconditions"] = {"uid": "11111111-2222-3333-4444-555555555555"}
            case 3:
                options["gracePeriodSeconds"] = self.random.choice([0, 10, -1])
            case 4:
                options["dryRun"] = ["All"]
            case _:
                pass
        return Step("DELETE", self._place(handle), {}, options, remember=handle)

    def _delete_collection(self) -> Step:
        selector = self.random.choice(["tier=web", "tier!=web", "tier in (web, db)"])
        query = {"labelSelector": selector, "fieldSelector": f"metadata.name={self.handles[0]}"}
        return Step("DELETE", self._collection(), query)

    def _get(self) -> Step:
        accept = self.random.choice([JSON, TABLE, PARTIAL.format("")])
        query = {"includeObject": self.random.choice(["None", "Metadata", "Object"])} if accept == TABLE else {}
        return Step("GET", self._place(self._handle(), self._version()), query, accept=accept)

    def _list(self) -> Step:
        query: dict[str, str] = {}
        if self.random.random() < 0.5:
            query["labelSelector"] = self.random.choice(LABEL_SELECTORS)
        if self.random.random() < 0.4:
            query["fieldSelector"] = self.random.choice(FIELD_SELECTORS)
        if not query and self.random.random() < 0.6:
            # With a selector the oracle may give a token that leads to nothing: it has more, though none that is meant.
            query["limit"] = self.random.choice(["1", "2", "500"])
        if self.random.random() < 0.2:
            query["continue"] = "<token:>"
        if "fieldSelector" not in query and self.random.random() < 0.2:
            # Only as of one version: from its cache the oracle may give an older list, or a newer one.
            match = self.random.choice(["Exact", "Exact", "Other", "NotOlderThan"])
            version = f"<rv:{self._handle()}>" if match == "Exact" else ""
            query |= {"resourceVersionMatch": match, "resourceVersion": version}
        if self.plural == "gadgets":
            # The kind has no namespaces: other histories' objects are in the same list.
            query["labelSelector"] = f"history={self.namespace}"
            query.pop("limit", None)
        accept = self.random.choice([JSON, JSON, TABLE, PARTIAL.format("List")])
        return Step("GET", self._collection(self._version()), query, accept=accept)

    def _unreadable(self) -> Step:
        """A list or a watch that cannot be meant so."""
        query = self.reader.choice(UNREADABLE)
        return Step("GET", self._collection(), {"labelSelector": f"history={self.namespace}", **query})

    def _marker(self, name: str) -> Step:
        labels = {"history": self.namespace, "tier": "web"}
        metadata = {"name": self.prefix + name, "labels": labels}
        body = {"apiVersion": f"{GROUP}/v1", "kind": self.kind, "metadata": metadata, "spec": {"color": "red"}}
        return Step("POST", self._collection(), {}, body, remember=name)

    def _ending(self) -> list[Step]:
        """Watch from the first version on, which sees everything again, and from a list, which says where that ends."""
        selector = {
            "labelSelector": self.random.choice([f"history={self.namespace}", f"history={self.namespace},tier=web"])
        }
        return [
            self._marker(LAST),
            Step(
                "GET",
                self._collection(),
                {"watch": "1", "resourceVersion": f"<rv:{FIRST}>", "timeoutSeconds": "30", **selector},
                accept=self.random.choice([JSON, JSON, TABLE]),
                until=LAST,
            ),
            # What turns red comes, and what is red no longer goes: an event of another kind than the change itself.
            Step(
                "GET",
                self._collection(),
                {
                    "watch": "1",
                    "resourceVersion": f"<rv:{FIRST}>",
                    "timeoutSeconds": "30",
                    "allowWatchBookmarks": "true",
                    **selector,
                    **({"fieldSelector": "spec.color=red"} if self.plural == "widgets" else {}),
                },
                accept=self.reader.choice([JSON, TABLE, PARTIAL.format("")]),
                until=LAST,
            ),
            Step(
                "GET",
                self._collection(),
                {
                    "watch": "1",
                    "sendInitialEvents": "true",
                    "resourceVersionMatch": "NotOlderThan",
                    "allowWatchBookmarks": "true",
                    "timeoutSeconds": "30",
                    **selector,
                },
                until="initial-events-end",
            ),
        ]
