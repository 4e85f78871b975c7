"""Who is told what: a sidecar hears of its own namespace and of the egress that declares, all others of everything.

A namespace declares its egress in the annotation `eventmesh.io/egress`, in the words of Istio's Sidecar resource:
`NAMESPACE/NAME` for one Service, `NAMESPACE/*` for all of a namespace, `*/*` for the whole mesh; several are separated
by commas. What a function calls beyond that still arrives: its sidecar hands it to the gateway's cluster-local
listener, which knows every host. Declaring an egress saves that hop. Pure.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key, annotations_of
from eventmesh.xds.control.messages import Node, Role
from eventmesh.xds.identity.spiffe import SCHEME, MeshParts, SpiffeId

EGRESS_ANNOTATION = "eventmesh.io/egress"

MAX_EGRESS = 256
"""Entries of one declaration. Whoever needs more means `*/*`; each is looked up for every host of its namespace."""

EVERYTHING = Key("*", "*")

FRAMED_PROXY = "eventmesh.framed_proxy"
EXTENSIONS = frozenset((FRAMED_PROXY,))
"""Filters of ours in listeners that control publishes, as nodes name them in `metadata.extensions`."""

ON_DEMAND = "on_demand"
"""In the metadata of an Envoy, as gateway or as sidecar: it has the filter `envoy.filters.http.on_demand`."""

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_ENTRY = re.compile(rf"({_LABEL})/({_LABEL}|\*)")


@frozen
class Audience:
    """Clients that are told the same."""

    role: Role
    namespace: str = ""
    """Of sidecars, where one that names none hears of the whole mesh, and of gRPC servers without a proxy."""
    extensions: frozenset[str] = frozenset()
    """Of sidecars: listeners of the mesh's own types that they understand; nobody is sent any other."""
    labels: frozenset[tuple[str, str]] = frozenset()
    """Of sidecars and gRPC servers: those of their pods, by which policies of access select them."""
    on_demand: bool = False
    """They ask for virtual hosts one by one, and are told of what these lead to and of nothing else."""
    identity: SpiffeId | None = None
    """What its certificate proves it to be; None: it has shown none, and is told of no identity either."""


class ForeignIdentityError(ValueError):
    """A client says that it is what its certificate does not prove; it is to be told nothing."""


def proven_identity(names: Sequence[str]) -> SpiffeId | None:
    """Return what the names in a client's certificate prove; None: it has shown none.

    Raises ForeignIdentityError for a certificate that does not bear exactly one SPIFFE id.
    """
    if not names:
        return None
    ids = [name for name in names if name.startswith(SCHEME)]
    if len(ids) != 1:
        raise ForeignIdentityError(f"the certificate bears {len(ids)} SPIFFE ids; a workload's bears one")
    try:
        return SpiffeId.parse(ids[0])
    except ValueError as error:
        raise ForeignIdentityError(str(error)) from None


def identified(node: Node, identity: SpiffeId, parts: MeshParts) -> Audience:
    """Return the audience of a client that has proved to be `identity`; raises ForeignIdentityError."""
    audience = dataclasses.replace(audience_of(node), identity=identity)
    own = {Role.GATEWAY: parts.gateway, Role.ENVOY: parts.gateway, Role.ACTIVATOR: parts.activator}
    if identity.trust_domain != parts.gateway.trust_domain:
        raise ForeignIdentityError(f"{identity} is of another trust domain than {parts.gateway.trust_domain}")
    wanted = own.get(audience.role)
    if wanted is not None and wanted != identity:
        raise ForeignIdentityError(
            f"node {node.id!r} says its role is {audience.role.value}, its certificate is that of {identity}"
        )
    says = audience.role is Role.SIDECAR or (audience.role is Role.GRPC and audience.namespace)
    if says and audience.namespace != identity.namespace:
        raise ForeignIdentityError(
            f"node {node.id!r} says it is in namespace {audience.namespace!r}, its certificate is that of {identity}"
        )
    return audience


def audience_of(node: Node) -> Audience:
    """Return the audience that a client belongs to by its own words alone."""
    namespace = node.metadata.get("namespace", "")
    if node.role is Role.SIDECAR and isinstance(namespace, str):
        named = node.metadata.get("extensions")
        known = (one for one in EXTENSIONS if isinstance(named, list | tuple) and one in named)
        return Audience(Role.SIDECAR, namespace, frozenset(known), _labels_of(node), _is_on_demand(node))
    if node.role is Role.GRPC and isinstance(namespace, str) and namespace:
        return Audience(Role.GRPC, namespace, labels=_labels_of(node))
    return Audience(node.role, on_demand=node.role is Role.ENVOY and _is_on_demand(node))


def _is_on_demand(node: Node) -> bool:
    # Our own data planes do not ask for virtual hosts: whatever they say of themselves, they are told of all.
    return node.metadata.get(ON_DEMAND) is True and node.is_envoy


def without_demand(node: Node) -> Node:
    """Return a node that is told of everything at once; what is asked for one by one has no other form than delta."""
    return dataclasses.replace(node, metadata={key: value for key, value in node.metadata.items() if key != ON_DEMAND})


def _labels_of(node: Node) -> frozenset[tuple[str, str]]:
    labels = node.metadata.get("labels")
    if not isinstance(labels, dict):
        return frozenset()
    texts = ((name, value) for name, value in labels.items() if isinstance(value, str))
    # Each template of a Deployment has a hash of its own, and no policy is about that.
    return frozenset((name, value) for name, value in texts if name != "pod-template-hash")


@frozen
class Scope:
    """A part of the mesh."""

    namespaces: frozenset[str] = frozenset()
    """Namespaces seen whole."""
    names: frozenset[Key] = frozenset()
    """Single Services seen of other namespaces."""
    everything: bool = False

    def sees(self, key: Key) -> bool:
        """True when the KIngress or Service `key` is part of it."""
        return self.everything or key.namespace in self.namespaces or key in self.names

    def looks_into(self, namespaces: Iterable[str]) -> bool:
        """True when a change in one of `namespaces` may be seen."""
        if self.everything:
            return True
        partly = {key.namespace for key in self.names}
        return any(name in self.namespaces or name in partly for name in namespaces)


WHOLE_MESH = Scope(everything=True)


def scope_of(namespace: str, egress: Iterable[Key]) -> Scope:
    """Return what the sidecars of a namespace with this egress see; without a namespace: the whole mesh."""
    entries = frozenset(egress)
    if not namespace or EVERYTHING in entries:
        return WHOLE_MESH
    whole = {key.namespace for key in entries if key.name == "*"} | {namespace}
    return Scope(frozenset(whole), frozenset(key for key in entries if key.namespace not in whole))


def parse_egress(namespace: Object) -> tuple[Key, ...]:
    """Return the egress that a Namespace declares; raises ValueError naming the annotation and the wrong entry."""
    words = [word.strip() for word in annotations_of(namespace).get(EGRESS_ANNOTATION, "").split(",")]
    words = sorted({word for word in words if word})
    if len(words) > MAX_EGRESS:
        raise ValueError(f"{EGRESS_ANNOTATION}: {len(words)} entries are more than {MAX_EGRESS}; write */* for all")
    return tuple(_entry(word) for word in words)


def _entry(word: str) -> Key:
    if word == "*/*":
        return EVERYTHING
    if _ENTRY.fullmatch(word) is None:
        raise ValueError(f"{EGRESS_ANNOTATION}: {word!r} is not NAMESPACE/NAME, NAMESPACE/* or */*")
    return Key(*word.split("/"))
