"""One rule of a role: what it allows, and which other rules it covers (`component-helpers/auth/rbac/validation`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.errors import quoted
from eventmesh.cluster.api.rbac.attributes import Attributes, OnPath, OnResource
from eventmesh.kube.api import Object

ALL: Final = "*"
MAX_PARTS: Final = 2_000
"""Single rights that a role is taken apart into when somebody grants it. `admin` has some 400; each is compared with
every rule of who grants, 0.1 s for so many, in which nobody else is served. A megabyte can say 10^9 of them."""


@frozen
class PolicyRule:
    """Verbs on resources of API groups, or on paths; empty `names`: on every object."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: Object) -> PolicyRule:
        """Return a rule as a role says it."""
        fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return cls(*(tuple(rule.get(field) or ()) for field in fields))

    def allows(self, wanted: Attributes) -> bool:
        """Return whether the rule alone allows it."""
        if not _has(self.verbs, wanted.verb):
            return False
        match wanted:
            case OnPath(path=path):
                return _has_url(self.urls, path)
            case OnResource(group=group, name=name):
                is_meant = _has(self.groups, group) and _has_resource(self.resources, wanted.path, wanted.subresource)
                return is_meant and (not self.names or name in self.names)

    def covers(self, part: PolicyRule) -> bool:
        """Return whether the rule allows all that `part` does."""
        return (
            all(_has(self.verbs, verb) for verb in part.verbs)
            and all(_has(self.groups, group) for group in part.groups)
            and all(_has_resource(self.resources, path, path.partition("/")[2]) for path in part.resources)
            and all(_has_url(self.urls, url) for url in part.urls)
            and (not self.names or (bool(part.names) and set(part.names) <= set(self.names)))
        )

    def count(self) -> int:
        """Return how many parts `parts` yields."""
        on_resources = len(self.groups) * len(self.resources) * max(1, len(self.names))
        return len(self.verbs) * (on_resources + len(self.urls))

    def parts(self) -> Iterator[PolicyRule]:
        """Yield the rule in rules of one verb on one thing each."""
        for group, resource, verb, name in product(self.groups, self.resources, self.verbs, self.names or ("",)):
            yield PolicyRule((verb,), (group,), (resource,), (name,) if name else ())
        for url, verb in product(self.urls, self.verbs):
            yield PolicyRule((verb,), urls=(url,))

    def __str__(self) -> str:
        fields = {
            "APIGroups": self.groups,
            "Resources": self.resources,
            "NonResourceURLs": self.urls,
            "ResourceNames": self.names,
            "Verbs": self.verbs,
        }
        said = (f"{name}:{quoted_list(values)}" for name, values in fields.items() if values)
        return "{" + ", ".join(said) + "}"


EVERYTHING: Final = (PolicyRule((ALL,), (ALL,), (ALL,)), PolicyRule((ALL,), urls=(ALL,)))
"""The rules of who may do everything."""


def quoted_list(values: Iterable[str]) -> str:
    """Return texts as Go's `%q` writes a list of them."""
    return f"[{' '.join(map(quoted, values))}]"


def uncovered(held: Sequence[PolicyRule], granted: Iterable[PolicyRule]) -> list[PolicyRule]:
    """Return the parts of `granted` that no rule of `held` covers; empty: who holds the ones may grant the others."""
    return [part for rule in granted for part in rule.parts() if not any(one.covers(part) for one in held)]


def compacted(parts: Iterable[PolicyRule]) -> list[PolicyRule]:
    """Return parts that differ in their verbs alone as one rule, and the rest as it is."""
    together: dict[PolicyRule, list[str]] = {}
    for part in parts:
        together.setdefault(replace(part, verbs=()), []).extend(part.verbs)
    return [replace(rule, verbs=tuple(dict.fromkeys(verbs))) for rule, verbs in together.items()]


def _has(values: Collection[str], value: str) -> bool:
    return ALL in values or value in values


def _has_resource(resources: Collection[str], path: str, subresource: str) -> bool:
    """Return whether `pods/log` is among them, as such, or by `*/log`."""
    return _has(resources, path) or (bool(subresource) and f"{ALL}/{subresource}" in resources)


def _has_url(urls: Collection[str], path: str) -> bool:
    return any(url in (ALL, path) or (url.endswith(ALL) and path.startswith(url.rstrip(ALL))) for url in urls)
