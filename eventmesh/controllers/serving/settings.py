"""The settings of Serving as values: what the ConfigMaps of the system namespace say, and Knative's defaults.

`config_maps` reads them, `settings_store` keeps them true while the ConfigMaps change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.base.frozen import frozen
from eventmesh.controllers.serving.names import INGRESS_CLASS_EVENTMESH
from eventmesh.kube.knative import CLUSTER_DOMAIN, SERVING_NAMESPACE
from eventmesh.kube.observability import TracingSettings

SYSTEM_NAMESPACE = SERVING_NAMESPACE


@frozen
class LocalSettings:
    """What the process that runs the controllers knows and no ConfigMap says."""

    default_domain: str = f"svc.{CLUSTER_DOMAIN}"
    """The domain when config-domain is empty; Knative's own default makes every route cluster-local."""
    external_port: int = 80
    """The port of the public gateway; it appears in URLs when it is not HTTP's own."""
    external_tls_port: int = 443
    """Its port for TLS."""
    sidecar_image: str = "eventmesh.dev/sidecar"
    """The image of the container `queue-proxy`, when config-deployment names none."""
    claims_domains: bool = False
    """Whether a DomainMapping claims its domain by itself when config-network does not say. On a cluster an
    administrator gives domains to namespaces; a person's own mesh has nobody else to ask."""


@frozen
class RevisionDefaults:
    """`config-defaults`."""

    timeout_s: int = 300
    max_timeout_s: int = 600
    response_start_timeout_s: int = 300
    idle_timeout_s: int = 0
    container_concurrency: int = 0
    max_container_concurrency: int = 1000
    allow_zero_concurrency: bool = True
    enable_service_links: bool | None = False
    """None leaves it to Kubernetes."""
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """`requests` and `limits` given to a user container that names none."""
    container_name: str = "user-container"
    """Template of the name of a container without one."""
    init_container_name: str = "init-container"


@frozen
class NetworkSettings:
    """`config-network`."""

    ingress_class: str = INGRESS_CLASS_EVENTMESH
    domain_template: str = "{{.Name}}.{{.Namespace}}.{{.Domain}}"
    tag_template: str = "{{.Tag}}-{{.Name}}"
    default_scheme: str = "http"
    http_protocol: str = "enabled"
    """`enabled`, or `redirected`: public hosts answer with a redirect to https."""
    rollout_duration_s: int = 0
    claims_domains: bool | None = None
    """autocreate-cluster-domain-claims; None when it is not said."""


@frozen
class DeploymentSettings:
    """`config-deployment`."""

    sidecar_image: str = ""
    progress_deadline_s: float = 600.0
    unresolved_registries: frozenset[str] = frozenset({"kind.local", "ko.local", "dev.local"})
    sidecar_resources: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"requests": {"cpu": "25m"}})
    """`requests` and `limits` of the container `queue-proxy`."""


@frozen
class RetentionSettings:
    """`config-gc`: which revisions are kept though no route leads to them. None = never a reason to delete."""

    since_created_s: float | None = 48 * 3600.0
    since_active_s: float | None = 15 * 3600.0
    minimum: int = 20
    """So many of a configuration are kept however old they are."""
    maximum: int | None = 1000
    """No more than so many are kept however young they are."""

    @property
    def is_off(self) -> bool:
        """Return whether no revision is ever deleted."""
        return self.since_created_s is None and self.since_active_s is None and self.maximum is None


TAG_HEADER_ROUTING = "tag-header-based-routing"
"""The feature by which a request names a tag of a route in the header Knative-Serving-Tag."""


FEATURES_WITH_EFFECT = frozenset(
    (
        "multi-container", "multi-container-probing", TAG_HEADER_ROUTING, "kubernetes.podspec-affinity",
        "kubernetes.podspec-topologyspreadconstraints", "kubernetes.podspec-hostaliases",
        "kubernetes.podspec-nodeselector", "kubernetes.podspec-runtimeclassname", "kubernetes.podspec-tolerations",
        "kubernetes.podspec-securitycontext", "kubernetes.podspec-shareprocessnamespace",
        "kubernetes.podspec-hostipc", "kubernetes.podspec-hostpid", "kubernetes.podspec-hostnetwork",
        "kubernetes.podspec-priorityclassname", "kubernetes.podspec-schedulername",
        "kubernetes.podspec-init-containers", "kubernetes.podspec-dnspolicy", "kubernetes.podspec-dnsconfig",
        "kubernetes.podspec-volumes-emptydir", "kubernetes.podspec-persistent-volume-claim",
        "kubernetes.podspec-volumes-hostpath", "kubernetes.podspec-volumes-csi", "kubernetes.podspec-volumes-image",
        "kubernetes.podspec-fieldref",
    )
)  # fmt: skip
"""Features that open or change something here; Serving knows more."""


@frozen
class Features:
    """`config-features`."""

    enabled: frozenset[str] = frozenset({"multi-container", "kubernetes.podspec-volumes-emptydir"})
    """In force for everybody."""
    allowed: frozenset[str] = frozenset()
    """In force where an object asks for it."""

    def __contains__(self, feature: str) -> bool:
        """Return whether an object may use `feature`."""
        return feature in self.enabled or feature in self.allowed


@frozen
class Domain:
    """One line of `config-domain`: the domain of routes whose labels match."""

    name: str
    selector: Mapping[str, str] = field(default_factory=dict)


@frozen
class ServingSettings:
    """Everything that is set for the whole cluster."""

    local: LocalSettings = field(default_factory=LocalSettings)
    defaults: RevisionDefaults = field(default_factory=RevisionDefaults)
    autoscaler: AutoscalerConfig = field(default_factory=AutoscalerConfig)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    deployment: DeploymentSettings = field(default_factory=DeploymentSettings)
    features: Features = field(default_factory=Features)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    domains: tuple[Domain, ...] = ()
    tracing: TracingSettings | None = None
    """Carried out by control, which reads the same map; here it is checked and told of."""

    @property
    def claims_domains(self) -> bool:
        """Return whether a DomainMapping claims its domain by itself."""
        said = self.network.claims_domains
        return self.local.claims_domains if said is None else said

    def domain_of(self, labels: Mapping[str, str]) -> str:
        """Return the domain of a route: the most specific selector wins, then the first name."""
        matching = [d for d in self.domains if all(labels.get(key) == value for key, value in d.selector.items())]
        if not matching:
            return self.local.default_domain
        return min(matching, key=lambda domain: (-len(domain.selector), domain.name)).name
