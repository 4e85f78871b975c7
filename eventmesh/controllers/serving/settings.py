"""The settings of Serving: ConfigMaps of the system namespace, parsed once per change.

A ConfigMap that does not parse keeps the settings in force that were there before.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import yaml

from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.autoscale.config import parse as parse_autoscaler
from eventmesh.base import log
from eventmesh.base.durations import parse_go
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.serving.names import INGRESS_CLASS_EVENTMESH
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.knative import CLUSTER_DOMAIN
from eventmesh.kube.resources import CONFIG_MAP

_log = log.get("controllers.serving.settings")

SYSTEM_NAMESPACE = "knative-serving"


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What the process that runs the controllers knows and no ConfigMap says."""

    default_domain: str = f"svc.{CLUSTER_DOMAIN}"
    """The domain when config-domain is empty; Knative's own default makes every route cluster-local."""
    external_port: int = 80
    """The port of the public gateway; it appears in URLs when it is not HTTP's own."""
    sidecar_image: str = "eventmesh.dev/sidecar"
    """The image of the container `queue-proxy`, when config-deployment names none."""


@dataclass(frozen=True, slots=True)
class RevisionDefaults:
    """`config-defaults`."""

    timeout_s: int = 300
    max_timeout_s: int = 600
    response_start_timeout_s: int = 300
    idle_timeout_s: int = 0
    container_concurrency: int = 0
    max_container_concurrency: int = 1000
    allow_zero_concurrency: bool = True
    enable_service_links: bool = False
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """`requests` and `limits` given to a user container that names none."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`config-network`."""

    ingress_class: str = INGRESS_CLASS_EVENTMESH
    domain_template: str = "{{.Name}}.{{.Namespace}}.{{.Domain}}"
    tag_template: str = "{{.Tag}}-{{.Name}}"
    default_scheme: str = "http"
    rollout_duration_s: int = 0


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """`config-deployment`."""

    sidecar_image: str = ""
    progress_deadline_s: float = 600.0
    unresolved_registries: frozenset[str] = frozenset({"kind.local", "ko.local", "dev.local"})


@dataclass(frozen=True, slots=True)
class Features:
    """`config-features`: names that are enabled or allowed."""

    enabled: frozenset[str] = frozenset({"multi-container", "kubernetes.podspec-volumes-emptydir"})

    def __contains__(self, feature: str) -> bool:
        return feature in self.enabled


@dataclass(frozen=True, slots=True)
class Domain:
    """One line of `config-domain`: the domain of routes whose labels match."""

    name: str
    selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """Everything that is set for the whole cluster."""

    local: LocalSettings = field(default_factory=LocalSettings)
    defaults: RevisionDefaults = field(default_factory=RevisionDefaults)
    autoscaler: AutoscalerConfig = field(default_factory=AutoscalerConfig)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    deployment: DeploymentSettings = field(default_factory=DeploymentSettings)
    features: Features = field(default_factory=Features)
    domains: tuple[Domain, ...] = ()

    def domain_of(self, labels: Mapping[str, str]) -> str:
        """Return the domain of a route: the most specific selector wins, then the first name."""
        matching = [d for d in self.domains if all(labels.get(key) == value for key, value in d.selector.items())]
        if not matching:
            return self.local.default_domain
        return min(matching, key=lambda domain: (-len(domain.selector), domain.name)).name


Data = Mapping[str, str]


def _integer(data: Data, source: str, key: str, default: int, low: int = 0) -> int:
    text = data.get(key)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        raise ConfigError(f"{source}.{key}", f"invalid value {text!r}: a whole number is expected") from None
    if number < low:
        raise ConfigError(f"{source}.{key}", f"{number} is out of range: at least {low}")
    return number


def _flag(data: Data, source: str, key: str, default: bool) -> bool:
    text = data.get(key)
    if text is None:
        return default
    if text.lower() not in ("true", "false"):
        raise ConfigError(f"{source}.{key}", f"invalid value {text!r}: true or false is expected")
    return text.lower() == "true"


def parse_defaults(data: Data) -> RevisionDefaults:
    """Return `config-defaults`; raises ConfigError naming the key."""
    source = "config-defaults"
    timeout_s = _integer(data, source, "revision-timeout-seconds", 300, 1)
    resources: dict[str, dict[str, str]] = {}
    for kind in ("cpu", "memory", "ephemeral-storage"):
        for bound in ("request", "limit"):
            quantity = data.get(f"revision-{kind}-{bound}")
            if quantity is not None:
                resources.setdefault(f"{bound}s", {})[kind] = quantity
    defaults = RevisionDefaults(
        timeout_s=timeout_s,
        max_timeout_s=_integer(data, source, "max-revision-timeout-seconds", 600, 1),
        response_start_timeout_s=_integer(data, source, "revision-response-start-timeout-seconds", timeout_s),
        idle_timeout_s=_integer(data, source, "revision-idle-timeout-seconds", 0),
        container_concurrency=_integer(data, source, "container-concurrency", 0),
        max_container_concurrency=_integer(data, source, "container-concurrency-max-limit", 1000, 1),
        allow_zero_concurrency=_flag(data, source, "allow-container-concurrency-zero", True),
        enable_service_links=_flag(data, source, "enable-service-links", False),
        resources=resources,
    )
    if defaults.timeout_s > defaults.max_timeout_s:
        raise ConfigError(
            f"{source}.revision-timeout-seconds",
            f"{defaults.timeout_s} is larger than max-revision-timeout-seconds {defaults.max_timeout_s}",
        )
    if defaults.container_concurrency > defaults.max_container_concurrency:
        raise ConfigError(
            f"{source}.container-concurrency",
            f"{defaults.container_concurrency} is larger than "
            f"container-concurrency-max-limit {defaults.max_container_concurrency}",
        )
    return defaults


def parse_network(data: Data) -> NetworkSettings:
    """Return `config-network`; raises ConfigError naming the key."""
    source = "config-network"
    settings = NetworkSettings(
        ingress_class=data.get("ingress-class", INGRESS_CLASS_EVENTMESH),
        domain_template=data.get("domain-template", NetworkSettings().domain_template),
        tag_template=data.get("tag-template", NetworkSettings().tag_template),
        default_scheme=data.get("default-external-scheme", "http"),
        rollout_duration_s=_integer(data, source, "rollout-duration", 0),
    )
    if settings.default_scheme not in ("http", "https"):
        raise ConfigError(f"{source}.default-external-scheme", f"{settings.default_scheme!r} is not http or https")
    for key, template, names in (
        ("domain-template", settings.domain_template, {"Name": "a", "Namespace": "b", "Domain": "c"}),
        ("tag-template", settings.tag_template, {"Name": "a", "Tag": "b"}),
    ):
        try:
            expand(template, names)
        except ValueError as error:
            raise ConfigError(f"{source}.{key}", str(error)) from error
    return settings


def parse_deployment(data: Data) -> DeploymentSettings:
    """Return `config-deployment`; raises ConfigError naming the key."""
    source, key = "config-deployment", "progress-deadline"
    settings = DeploymentSettings(sidecar_image=data.get("queue-sidecar-image", data.get("queueSidecarImage", "")))
    registries = data.get("registries-skipping-tag-resolving")
    if registries is not None:
        names = frozenset(name.strip() for name in registries.split(",") if name.strip())
        settings = dataclasses.replace(settings, unresolved_registries=names)
    if key in data:
        try:
            deadline_s = parse_go(data[key])
        except ValueError as error:
            raise ConfigError(f"{source}.{key}", str(error)) from error
        if deadline_s < 1:
            raise ConfigError(f"{source}.{key}", f"{data[key]} is out of range: at least 1s")
        settings = dataclasses.replace(settings, progress_deadline_s=deadline_s)
    return settings


def parse_features(data: Data) -> Features:
    """Return `config-features`; raises ConfigError naming the key."""
    enabled = set(Features().enabled)
    for key, text in data.items():
        match text.strip().lower():
            case "enabled" | "allowed":
                enabled.add(key)
            case "disabled":
                enabled.discard(key)
            case _ if not key.startswith("_"):
                raise ConfigError(f"config-features.{key}", f"{text!r} is not enabled, allowed or disabled")
    return Features(frozenset(enabled))


def parse_domains(data: Data) -> tuple[Domain, ...]:
    """Return `config-domain`; raises ConfigError naming the domain."""
    domains = []
    for name, text in sorted(data.items()):
        if name.startswith("_"):
            continue
        try:
            value = yaml.safe_load(text) or {}
            selector = value.get("selector") or {}
            domains.append(Domain(name, {str(key): str(value) for key, value in selector.items()}))
        except (yaml.YAMLError, AttributeError) as error:
            raise ConfigError(f"config-domain.{name}", "the value is a YAML map with `selector`, or empty") from error
    return tuple(domains)


_PARSERS: Mapping[str, tuple[str, Callable[[Data], object]]] = {
    "config-defaults": ("defaults", parse_defaults),
    "config-autoscaler": ("autoscaler", parse_autoscaler),
    "config-network": ("network", parse_network),
    "config-deployment": ("deployment", parse_deployment),
    "config-features": ("features", parse_features),
    "config-domain": ("domains", parse_domains),
}


class SettingsStore:
    """The settings in force, kept true by an informer of ConfigMaps."""

    def __init__(self, config_maps: Informer, local: LocalSettings) -> None:
        self._config_maps = config_maps
        self._initial = ServingSettings(local)
        self._current = self._initial
        self._changed: list[Callable[[], None]] = []
        config_maps.add_handler(self._config_map_changed)

    @property
    def current(self) -> ServingSettings:
        """Return the settings as of now."""
        return self._current

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever a setting has taken another value."""
        self._changed.append(changed)

    async def publish(self, api: Api) -> None:
        """Create the ConfigMaps that do not exist, without keys, so that there is something to look at and to patch.

        A cluster without the system namespace keeps the defaults.
        """
        for name in _PARSERS:
            if self._config_maps.get(name, SYSTEM_NAMESPACE) is None:
                metadata = {"name": name, "labels": {"app.kubernetes.io/part-of": "eventmesh"}}
                config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}
                try:
                    await api.create(CONFIG_MAP, config_map, SYSTEM_NAMESPACE)
                except ApiError as error:
                    if not (error.already_exists or error.not_found):
                        raise

    def _config_map_changed(self, old: Object | None, new: Object | None) -> None:
        metadata = (new or old or {})["metadata"]
        known = _PARSERS.get(metadata["name"])
        if known is None or metadata.get("namespace") != SYSTEM_NAMESPACE:
            return
        name, parse = known
        try:
            value = parse((new or {}).get("data") or {})
        except ConfigError as error:
            _log.warning("setting refused, the former one stays", field=error.path, reason=error.problem)
            return
        if value != getattr(self._current, name):
            self._current = dataclasses.replace(self._current, **{name: value})  # type: ignore[arg-type]
            for changed in self._changed:
                changed()


_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_FIELD = re.compile(r"\.(\w+)")
_INDEX = re.compile(r"index \.(Annotations|Labels) \"([^\"]*)\"")


def expand(template: str, names: Mapping[str, str], annotations: Data | None = None, labels: Data | None = None) -> str:
    """Return a Go template of names filled in; raises ValueError for an action it does not know.

    Known are the fields of `names` and `index .Annotations "key"` or `index .Labels "key"`, which is what
    Knative's templates are used for.
    """
    maps = {"Annotations": annotations or {}, "Labels": labels or {}}

    def action(found: re.Match[str]) -> str:
        if (field_name := _FIELD.fullmatch(found[1])) and field_name[1] in names:
            return names[field_name[1]]
        if index := _INDEX.fullmatch(found[1]):
            return maps[index[1]].get(index[2], "")
        raise ValueError(f"unknown action {found[0]!r}: use " + ", ".join(f"{{{{.{name}}}}}" for name in names))

    text = _ACTION.sub(action, template)
    if "{{" in text:
        raise ValueError(f"an action is not closed in {template!r}")
    return text
