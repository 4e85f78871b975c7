"""From the ConfigMaps of the system namespace to settings. Pure; every parser raises ConfigError naming map and key."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping

import yaml

from eventmesh.autoscale.config import KEYS as AUTOSCALER_KEYS
from eventmesh.autoscale.config import parse as parse_autoscaler
from eventmesh.base.durations import format_go
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.serving.config_values import ConfigData, out_of_bounds
from eventmesh.controllers.serving.names import INGRESS_CLASS_EVENTMESH
from eventmesh.controllers.serving.settings import (
    FEATURES_WITH_EFFECT,
    DeploymentSettings,
    Domain,
    Features,
    NetworkSettings,
    RetentionSettings,
    RevisionDefaults,
)
from eventmesh.controllers.serving.templates import expand
from eventmesh.kube import observability

Data = Mapping[str, str]

_INT32_MAX = 2**31 - 1
_FLAGS = ("enabled", "allowed", "disabled")
_SECURE_POD_FLAGS = ("enabled", "allowrootbounded", "disabled")
EXAMPLE = "_example"
EXAMPLE_CHECKSUM = "knative.dev/example-checksum"
"""Annotation: by it Serving notices that somebody has edited the example and means the map."""


def parse_defaults(data: Data) -> RevisionDefaults:
    """Return `config-defaults`; raises ConfigError naming the key."""
    given, plain = ConfigData("config-defaults", data), RevisionDefaults()
    timeout_s = given.integer("revision-timeout-seconds", plain.timeout_s)
    links = given.text("enable-service-links", "false").lower()
    if links not in ("true", "false", "default"):
        raise given.refused("enable-service-links", f'"{links}" is not true, false or default')
    defaults = RevisionDefaults(
        timeout_s=timeout_s,
        max_timeout_s=given.integer("max-revision-timeout-seconds", plain.max_timeout_s),
        response_start_timeout_s=given.integer("revision-response-start-timeout-seconds", timeout_s),
        idle_timeout_s=given.integer("revision-idle-timeout-seconds", plain.idle_timeout_s),
        container_concurrency=given.integer("container-concurrency", plain.container_concurrency),
        max_container_concurrency=given.integer("container-concurrency-max-limit", plain.max_container_concurrency),
        allow_zero_concurrency=given.flag("allow-container-concurrency-zero", plain.allow_zero_concurrency),
        enable_service_links=None if links == "default" else links == "true",
        resources=given.quantities("revision"),
        container_name=given.text("container-name-template", plain.container_name),
        init_container_name=given.text("init-container-name-template", plain.init_container_name),
    )
    _check_defaults(given, defaults)
    return defaults


def _check_defaults(given: ConfigData, defaults: RevisionDefaults) -> None:
    total, most = defaults.timeout_s, defaults.max_timeout_s
    for key, value, bound_key, bound in (
        ("revision-timeout-seconds", total, "max-revision-timeout-seconds", most),
        (
            "revision-response-start-timeout-seconds",
            defaults.response_start_timeout_s,
            "revision-timeout-seconds",
            total,
        ),
        ("revision-idle-timeout-seconds", defaults.idle_timeout_s, "revision-timeout-seconds", total),
    ):
        if value > bound:
            raise given.refused(key, f"{key} ({value}) cannot be greater than {bound_key} ({bound})")
        if value < 0:
            raise given.refused(key, f"{key} ({value}) must be non-negative")
    limit = defaults.max_container_concurrency
    if limit < 1:
        key = "container-concurrency-max-limit"
        raise given.refused(key, out_of_bounds(limit, 1, _INT32_MAX, key))
    if not 0 <= defaults.container_concurrency <= limit:
        key = "container-concurrency"
        raise given.refused(key, out_of_bounds(defaults.container_concurrency, 0, limit, key))
    for key, template in (
        ("container-name-template", defaults.container_name),
        ("init-container-name-template", defaults.init_container_name),
    ):
        _check_template(given, key, template, {"Name": "a", "Namespace": "b"})


def parse_network(data: Data) -> NetworkSettings:
    """Return `config-network`; raises ConfigError naming the key."""
    given, plain = ConfigData("config-network", data), NetworkSettings()
    claims = given.text("autocreate-cluster-domain-claims", "", "autocreateClusterDomainClaims")
    settings = NetworkSettings(
        ingress_class=given.text("ingress-class", INGRESS_CLASS_EVENTMESH, "ingress.class"),
        domain_template=given.text("domain-template", plain.domain_template, "domainTemplate"),
        tag_template=given.text("tag-template", plain.tag_template, "tagTemplate"),
        default_scheme=given.text("default-external-scheme", plain.default_scheme, "defaultExternalScheme"),
        http_protocol=given.text("http-protocol", "", "httpProtocol").lower() or plain.http_protocol,
        rollout_duration_s=given.integer("rollout-duration", plain.rollout_duration_s),
        claims_domains=given.flag("autocreate-cluster-domain-claims", claims.lower() == "true") if claims else None,
    )
    if settings.rollout_duration_s < 0:
        problem = f"rollout-duration must be a positive integer, but was {settings.rollout_duration_s}"
        raise given.refused("rollout-duration", problem)
    if settings.http_protocol not in ("enabled", "redirected"):
        problem = f"httpProtocol {settings.http_protocol} in config-network ConfigMap is not supported"
        raise given.refused("http-protocol", problem)
    if settings.default_scheme not in ("http", "https"):
        raise given.refused("default-external-scheme", f'"{settings.default_scheme}" is not http or https')
    names = {"Name": "a", "Namespace": "b", "Domain": "c"}
    _check_template(given, "domain-template", settings.domain_template, names)
    _check_template(given, "tag-template", settings.tag_template, {"Name": "a", "Tag": "b"})
    return settings


def _check_template(given: ConfigData, key: str, template: str, names: Mapping[str, str]) -> None:
    try:
        expand(template, names)
    except ValueError as error:
        raise given.refused(key, str(error)) from error


def parse_deployment(data: Data) -> DeploymentSettings:
    """Return `config-deployment`; raises ConfigError naming the key."""
    given, plain = ConfigData("config-deployment", data), DeploymentSettings()
    deadline_s = given.duration_s("progress-deadline", plain.progress_deadline_s)
    if deadline_s <= 0:
        problem = f"progress-deadline cannot be a non-positive duration, was {format_go(deadline_s)}"
        raise given.refused("progress-deadline", problem)
    if deadline_s != int(deadline_s):
        problem = f"progress-deadline must be rounded to a whole second, was: {format_go(deadline_s)}"
        raise given.refused("progress-deadline", problem)
    registries = given.text("registries-skipping-tag-resolving", "", "registriesSkippingTagResolving")
    resources = given.quantities("queue-sidecar", "queueSidecar")
    resources.setdefault("requests", {}).setdefault("cpu", plain.sidecar_resources["requests"]["cpu"])
    return DeploymentSettings(
        sidecar_image=given.text("queue-sidecar-image", plain.sidecar_image, "queueSidecarImage"),
        progress_deadline_s=deadline_s,
        unresolved_registries=frozenset(name.strip() for name in registries.split(",") if name.strip())
        or plain.unresolved_registries,
        sidecar_resources=resources,
    )


def parse_features(data: Data) -> Features:
    """Return `config-features`; raises ConfigError naming the key."""
    said = {name: "enabled" for name in Features().enabled}
    for key, text in data.items():
        if key.startswith("_"):
            continue
        said[key] = text.strip().lower()
        accepted = _SECURE_POD_FLAGS if key == "secure-pod-defaults" else _FLAGS
        if said[key] not in accepted:
            raise ConfigError(f"config-features.{key}", f'"{text}" is not one of {", ".join(accepted)}')
    enabled, allowed = (
        frozenset(key for key, flag in said.items() if flag == wanted) for wanted in ("enabled", "allowed")
    )
    return Features(enabled, allowed)


def parse_gc(data: Data) -> RetentionSettings:
    """Return `config-gc`; raises ConfigError naming the key."""
    given, plain = ConfigData("config-gc", data), RetentionSettings()
    settings = RetentionSettings(
        since_created_s=given.limit_s("retain-since-create-time", plain.since_created_s),
        since_active_s=given.limit_s("retain-since-last-active-time", plain.since_active_s),
        minimum=given.integer("min-non-active-revisions", plain.minimum),
        maximum=given.limit("max-non-active-revisions", plain.maximum),
    )
    low, high, key = settings.minimum, settings.maximum, "min-non-active-revisions"
    if low < 0:
        raise given.refused(key, f"{key} must be non-negative, was: {low}")
    if high is not None and low > high:
        raise given.refused(key, f"{key}({low}) must be <= max-non-active-revisions({high})")
    return settings


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


PARSERS: Mapping[str, tuple[str, Callable[[Data], object]]] = {
    "config-defaults": ("defaults", parse_defaults),
    "config-autoscaler": ("autoscaler", parse_autoscaler),
    "config-network": ("network", parse_network),
    "config-deployment": ("deployment", parse_deployment),
    "config-features": ("features", parse_features),
    "config-domain": ("domains", parse_domains),
    "config-gc": ("retention", parse_gc),
    observability.CONFIG_MAP_NAME: ("tracing", observability.parse_observability),
}
"""ConfigMap -> the field of ServingSettings that it sets, and its parser."""

_RESOURCES = tuple(
    f"{kind}-{bound}" for kind in ("cpu", "memory", "ephemeral-storage") for bound in ("request", "limit")
)
_EFFECTIVE: Mapping[str, frozenset[str]] = {
    "config-defaults": frozenset(
        (
            "revision-timeout-seconds", "max-revision-timeout-seconds", "revision-response-start-timeout-seconds",
            "revision-idle-timeout-seconds", "container-concurrency", "container-concurrency-max-limit",
            "allow-container-concurrency-zero", "enable-service-links", "container-name-template",
            "init-container-name-template", *(f"revision-{name}" for name in _RESOURCES),
        )
    ),
    "config-autoscaler": AUTOSCALER_KEYS,
    "config-network": frozenset(
        (
            "ingress-class", "ingress.class", "domain-template", "domainTemplate", "tag-template", "tagTemplate",
            "default-external-scheme", "defaultExternalScheme", "http-protocol", "httpProtocol", "rollout-duration",
            "autocreate-cluster-domain-claims", "autocreateClusterDomainClaims",
        )
    ),
    "config-deployment": frozenset(
        (
            "queue-sidecar-image", "queueSidecarImage", "progress-deadline", "registries-skipping-tag-resolving",
            "registriesSkippingTagResolving", *(f"queue-sidecar-{name}" for name in _RESOURCES),
        )
    ),
    "config-features": FEATURES_WITH_EFFECT,
    observability.CONFIG_MAP_NAME: observability.KEYS,
    "config-gc": frozenset(
        (
            "retain-since-create-time", "retain-since-last-active-time", "min-non-active-revisions",
            "max-non-active-revisions",
        )
    ),
}  # fmt: skip
"""The keys that change something here; every key of config-domain does."""


def without_effect(name: str, data: Data) -> list[str]:
    """Return the keys of a ConfigMap that change nothing here: Serving's for what is not built, and misspelt ones."""
    known = _EFFECTIVE.get(name)
    return [] if known is None else sorted(key for key in data if key not in known and not key.startswith("_"))


def example_problem(annotations: Data, data: Data) -> str:
    """Return why a ConfigMap is not what its author means: the example was edited. Empty when it was not."""
    example, checksum = data.get(EXAMPLE), annotations.get(EXAMPLE_CHECKSUM)
    if example is None or checksum is None:
        return ""
    # As knative.dev/pkg/configmap/example.go sums it up: line ends become a backslash and an n.
    summed = re.sub(r"(?:\r?\n)+", r"\\n", example.strip())
    if checksum == f"{zlib.crc32(summed.encode()):08x}":
        return ""
    return (
        f'the update modifies a key in "{EXAMPLE}" which is probably not what you want. Instead, copy the respective '
        'setting to the top-level of the ConfigMap, directly below "data"'
    )
