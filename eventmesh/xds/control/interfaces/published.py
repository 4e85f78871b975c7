"""All offers of the mesh together, as sidecars are told of them: a route table for each protocol that is called by
interface, and the listeners of those that are declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eventmesh.kube.objects import Key
from eventmesh.xds.control.interfaces.declarations import Declarations
from eventmesh.xds.control.interfaces.offers import BOLT, DUBBO, Offer, interface_table
from eventmesh.xds.control.interfaces.values import ProtocolDeclaration
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Scope


class PublishedOffers:
    """Offers by namespace, and the encoded tables that are made of all of them."""

    def __init__(self) -> None:
        self.lost: dict[Key, Mapping[str, Key]] = {}
        """Names of a ServiceInterface that somebody has claimed before it, and who."""
        self._declarations = Declarations()
        self._offers: dict[str, Mapping[str, tuple[Offer, ...]]] = {}
        self._lost: dict[str, Mapping[Key, Mapping[str, Key]]] = {}
        self._tables: dict[str, Resource] = {}
        self._join((BOLT, DUBBO))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the tables there are."""
        return (BOLT, DUBBO, *self._declarations.tables)

    def declare(self, declarations: Iterable[ProtocolDeclaration]) -> None:
        """Put these in place of all that was declared."""
        self._declarations = Declarations(declarations)
        self._tables = {name: table for name, table in self._tables.items() if name in self.names}
        self._join([name for name in self.names if name not in self._tables])

    def listeners(self, extensions: frozenset[str]) -> Mapping[str, Resource]:
        """Return the listeners that a node with these extensions is sent, by name."""
        return self._declarations.listeners(extensions)

    def put(
        self, namespace: str, offers: Mapping[str, tuple[Offer, ...]], lost: Mapping[Key, Mapping[str, Key]]
    ) -> None:
        """Put `offers`, by table, in place of what the namespace has offered; `lost` are the names that others have."""
        for key in self._lost.pop(namespace, ()):
            del self.lost[key]
        self.lost.update(lost)
        before = self._offers.pop(namespace, {})
        if offers:
            self._offers[namespace] = offers
        if lost:
            self._lost[namespace] = lost
        self._join([name for name in self.names if before.get(name) != offers.get(name)])

    def all(self) -> list[Offer]:
        """Return every offer."""
        return [offer for name in self.names for offer in self.of(name)]

    def of(self, table: str, scope: Scope | None = None) -> list[Offer]:
        """Return the offers in one table, as far as they are in `scope`; None: all of them."""
        found = (offer for name in sorted(self._offers) for offer in self._offers[name].get(table, ()))
        return [offer for offer in found if scope is None or scope.sees(offer.owner)]

    def clusters(self, scope: Scope | None = None) -> set[str]:
        """Return the clusters that the tables lead to."""
        return {offer.cluster for name in self.names for offer in self.of(name, scope)}

    def tables(self, scope: Scope | None = None) -> dict[str, Resource]:
        """Return every table, of the offers in `scope`; None: of all of them."""
        if scope is None:
            return {name: self._tables[name] for name in self.names}
        return {name: interface_table(name, self.of(name, scope)) for name in self.names}

    def _join(self, names: Iterable[str]) -> None:
        for name in names:
            self._tables[name] = interface_table(name, self.of(name))
