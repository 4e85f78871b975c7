"""Virtual hosts on demand (VHDS): a client is told of the one that serves a host once a request has named that host.

A client asks by `<route table>/<host as the request wrote it>` and is given a virtual host of that one domain, so that
two ways of writing one host never stand in each other's way. What can be asked for cannot be listed, a wildcard domain
serves any number of hosts: a set of virtual hosts answers questions and yields nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from weakref import WeakValueDictionary

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, Vhds, VirtualHost

from eventmesh.xds.control import resources
from eventmesh.xds.control.answering import Answering
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import ads
from eventmesh.xds.control.hosts import Entry
from eventmesh.xds.control.ingress import Fragment
from eventmesh.xds.control.protobuf import VARINT, delimited, fields, tag, varint
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.shards import Sharded
from eventmesh.xds.resource_types import ResourceType

MAX_LABELS: Final = 128
"""Of one host: names in the DNS have 127 at most. A host of a thousand dots is looked for in so many ways, no more."""

_FIRST_FETCH: Final = timedelta(milliseconds=1)
"""A listener waits so long for virtual hosts before it serves. None come before one is asked for, and Envoy (1.40) does
not take an empty response for an answer: with its own default it would wait 15 s."""

_NAME, _DOMAINS = 1, 2
"""Fields of `envoy.config.route.v3.VirtualHost`."""


@dataclass(frozen=True)
class HostResource(Resource):
    """A virtual host for one host that was asked for."""

    clusters: tuple[str, ...] = field(repr=False, compare=False)
    """Where it leads: its client is sent these before."""
    origin: Fragment = field(repr=False, compare=False)
    """What it was made of."""


class HostsOnDemand(Answering):
    """What there is to ask for; `differing` tells two of them apart by domains (`<route table>/<domain>`)."""

    __slots__ = ("_entries", "_known", "always")

    def __init__(
        self, entries: Sharded[Entry], always: frozenset[str], known: WeakValueDictionary[str, HostResource]
    ) -> None:
        """`always` are the clusters that a client needs before it has asked for any host."""
        self._entries = entries
        self._known = known
        """What some client holds: one object for all, in whatever version of the mesh it was made."""
        self.always = always

    def __getitem__(self, name: str) -> HostResource:
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def find(self, name: str) -> HostResource | None:
        """Return the virtual host that serves what a client calls `name`; None when nobody has that host."""
        entry = next((found for key in _keys(name) if (found := self._entries.get(key)) is not None), None)
        if entry is None:
            return None
        known = self._known.get(name)
        if known is None or known.origin is not entry.host:
            known = self._known[name] = _for_one_host(name, entry)
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def differing(self, before: HostsOnDemand) -> frozenset[str]:
        """Return the domains that are new, changed or gone since `before`."""
        return self._entries.differing(before._entries)

    def touched(self, names: Iterable[str], keys: Set[str]) -> frozenset[str]:
        """Return those of `names` which may be served otherwise when these domains have changed."""
        return frozenset(name for name in names if not keys.isdisjoint(_keys(name)))

    def clusters(self, names: Iterable[str]) -> frozenset[str]:
        """Return the clusters that a client needs which asks for `names`."""
        return self.always.union(*(found.clusters for name in names if (found := self.find(name)) is not None))


class HostIndex:
    """All that can be asked for, as namespaces and others contribute it."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Entry]] = {}
        """What each contributor has put, by `<route table>/<domain>`."""
        self._entries: Sharded[Entry] = Sharded()
        self._known: WeakValueDictionary[str, HostResource] = WeakValueDictionary()

    def put(self, contributor: str, entries: Mapping[str, Iterable[Entry]]) -> None:
        """Put virtual hosts, by route table, in place of those that `contributor` has put."""
        before = self._of.get(contributor, {})
        after = {
            # What is built anew without a change stays the object that it was: by that it is found again.
            key: known if (known := before.get(key)) == entry else entry
            for key, entry in _by_domain(entries)
        }
        put = {key: entry for key, entry in after.items() if self._entries.get(key) is not entry}
        # A domain may have changed hands, and its new owner have come first.
        gone = [key for key in before.keys() - after.keys() if self._entries.get(key) is before[key]]
        if after:
            self._of[contributor] = after
        else:
            self._of.pop(contributor, None)
        self._entries = self._entries.replaced(put, gone)

    def hosts(self, always: frozenset[str]) -> HostsOnDemand:
        """Return what there is to ask for now; `always` as for `HostsOnDemand`."""
        return HostsOnDemand(self._entries, always, self._known)


def table(name: str, hosts: bytes) -> Resource:
    """Return the route table `name` that holds the encoded virtual hosts `hosts`, and asks for all others."""
    # Ports are not left out when hosts are matched: who has written one has asked for a host of its own.
    message = made(RouteConfiguration, name=name, vhds=made(Vhds, config_source=ads(_FIRST_FETCH)))
    return resources.from_bytes(ResourceType.ROUTE, name, encode(message) + hosts)


def _by_domain(entries: Mapping[str, Iterable[Entry]]) -> Iterator[tuple[str, Entry]]:
    for table, found in entries.items():
        for entry in found:
            yield from ((f"{table}/{domain}", entry) for domain in entry.host.domains)


def _keys(name: str) -> Iterator[str]:
    """Yield the keys under which what serves `name` may stand, the first one first."""
    route_table, _, host = name.partition("/")
    bare, colon, port = host.rpartition(":")
    labels = (bare if colon and port.isdigit() else host).lower().split(".")
    yield f"{route_table}/{'.'.join(labels)}"
    for at in range(1, min(len(labels), MAX_LABELS)):
        yield f"{route_table}/*.{'.'.join(labels[at:])}"
    yield f"{route_table}/*"


def _for_one_host(name: str, entry: Entry) -> HostResource:
    """Return the virtual host of `entry` for the one host that was asked for, under the name that was asked for."""
    _, _, host = name.partition("/")
    head = encode(made(VirtualHost, name=name, domains=[host]))
    rest = b"".join(
        delimited(number, bytes(value)) if not isinstance(value, int) else tag(number, VARINT) + varint(value)
        for _, whole in fields(memoryview(entry.host.field))
        if not isinstance(whole, int)
        for number, value in fields(whole)
        if number not in (_NAME, _DOMAINS)
    )
    version = resources.part(head + rest).digest.hex()
    return HostResource(ResourceType.VIRTUAL_HOST, name, version, (head, rest), entry.clusters, entry.host)
