"""The bootstraps that one local mesh hands to its data planes, each with the certificate it begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eventmesh.cluster import addresses
from eventmesh.cluster.addresses import Addresses
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.cluster.first_certificate import with_identity
from eventmesh.cluster.runtime.commands import write_bootstrap
from eventmesh.kube.api import Object
from eventmesh.kube.injection import account_of
from eventmesh.kube.objects import labels_of
from eventmesh.xds.control.objects import MtlsMode
from eventmesh.xds.identity.issuer import Identities, Renewed
from eventmesh.xds.identity.spiffe import SpiffeId


class Bootstraps:
    """Makes bootstraps, and keeps those of processes that may be started again from theirs at any time."""

    def __init__(
        self,
        where: Addresses,
        identities: Identities,
        mode: Callable[[str], MtlsMode],
        filters: Callable[[str, Mapping[str, str]], list[Object]],
    ) -> None:
        """`mode` and `filters` return what the inbound side of a namespace's workloads takes, and through which filters
        it comes to one with some labels."""
        self._where = where
        self._identities = identities
        self._mode = mode
        self._filters = filters
        self._kept: dict[SpiffeId, tuple[Path, str, str]] = {}
        identities.listen(self._renewed, self._kept.__contains__)

    def of_pod(self, pod: Object, address: str) -> Object:
        """Return the bootstrap of a pod's sidecar; raises UnavailableError when it cannot be certified."""
        metadata = pod["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        node = f"sidecar~{address}~{name}.{namespace}"
        admin = f"{address}:{addresses.GATEWAY_ADMIN_PORT}"
        labels = dict(labels_of(pod))
        made = bootstrap("sidecar", node, admin, self._where.ads_secured, namespace=namespace, pod=name, labels=labels)
        # What policies say holds from the first request on, which comes before control has been heard.
        filters = self._filters(namespace, labels)
        return self._identified(made, self._identities.of(namespace, account_of(pod)), filters)

    def keep(self, file: Path, role: str, admin: str) -> None:
        """Write the bootstrap of the mesh's own data plane of that role now, and after each renewal."""
        parts = self._identities.parts
        identity = parts.gateway if role == "gateway" else parts.activator
        self._kept[identity] = (file, role, admin)
        self._write(identity)

    def _write(self, identity: SpiffeId) -> None:
        file, role, admin = self._kept[identity]
        made = bootstrap(role, f"{role}~{admin}", admin, self._where.ads_secured)
        write_bootstrap(file, self._identified(made, identity))

    def _renewed(self, renewed: Renewed) -> None:
        for identity in self._kept:
            if renewed.roots or identity in renewed.identities:
                self._write(identity)

    def _identified(self, made: Object, identity: SpiffeId, filters: Sequence[Object] = ()) -> Object:
        identities = self._identities
        issued, bundle = identities.current(identity), identities.bundle()
        inbound = None if identity == identities.parts.gateway else self._mode(identity.namespace)
        return with_identity(made, issued, bundle, identities.parts.control, inbound, filters)
