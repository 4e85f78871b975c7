"""Who is told when a data plane refuses something: the objects that it was made of, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from eventmesh.kube.api import Object
from eventmesh.kube.resources import KINGRESS, REVISION, SERVICE, TRAFFIC_POLICY
from eventmesh.xds.control.access.app import Access
from eventmesh.xds.control.acks import Nack
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.gateway_api.app import ROUTES, GatewayApi
from eventmesh.xds.control.ground import Ground
from eventmesh.xds.control.ingress_status import REFUSED
from eventmesh.xds.control.promises import Promising
from eventmesh.xds.control.replicas.word import Refused
from eventmesh.xds.control.statuses import Statuses
from eventmesh.xds.resource_types import ResourceType


class Blame:
    """Has the statuses of those written whom a refusal is about."""

    def __init__(
        self,
        ground: Ground,
        touch: Callable[[Effect], None],
        record: Callable[[Object, str, str], None],
        statuses: Statuses,
        gateway_api: GatewayApi,
        access: Access,
    ) -> None:
        """`touch` has things published anew, `record` writes an Event with a reason and a message."""
        self._informers = ground.informers
        self._builder = ground.builder
        self._in_force = ground.in_force
        self._clusters = ground.refusals
        self._touch = touch
        self._record = record
        self._ingresses = statuses.ingresses
        self._policies = statuses.policies
        self._gateway_api = gateway_api
        self._access = access
        self._told: Mapping[str, Promising] = {
            KINGRESS.group_resource: statuses.ingresses,
            TRAFFIC_POLICY.group_resource: statuses.policies,
            **{ROUTES[kind].group_resource: part for kind, part in gateway_api.routes.items()},
        }

    def refused(self, nack: Nack) -> None:
        """Take in a refusal by a client of ours."""
        match nack.refusal.type:
            case ResourceType.ROUTE | ResourceType.VIRTUAL_HOST:
                self._refused_routes(nack.refusal.generation, f"{nack.node}: {nack.refusal.message}")
            case ResourceType.CLUSTER | ResourceType.ENDPOINT:
                for cluster in self._clusters.refused(nack):
                    for key in self._builder.referrers(cluster):
                        self._ingresses.controller.enqueue(key)
                    self._tell_of_cluster(cluster, f"{nack.node}: {nack.refusal.message}")
            case ResourceType.LISTENER | ResourceType.EXTENSION:
                self._access.refused(nack)
            case _:
                return  # Certificates are control's own: no object is to blame, and the log has the words.

    def refused_elsewhere(self, refused: Iterable[Refused]) -> None:
        """Take in what clients of another replica refuse, or refuse no longer."""
        for one in refused:
            part = self._told.get(one.kind)
            if part is not None:
                part.controller.enqueue(one.key)

    def _refused_routes(self, generation: int, message: str) -> None:
        blamed = self._in_force.refused(generation, message)
        for key in blamed.ingresses:
            self._ingresses.controller.enqueue(key)
        for key in blamed.policies:
            self._policies.controller.enqueue(key)
        for kind, keys in blamed.routes.items():
            self._gateway_api.refused(kind, keys)
        if blamed.ingresses or blamed.policies or any(blamed.routes.values()):
            self._touch(Effect.EVERYTHING)

    def _tell_of_cluster(self, cluster: str, message: str) -> None:
        """Tell the Service or the Revision that a refused cluster is made of."""
        namespace, _, rest = cluster.partition("/")
        name, _, port = rest.partition(":")
        obj = self._informers.of(SERVICE if port else REVISION).get(name, namespace)
        if obj is not None:
            self._record(obj, REFUSED, message)
