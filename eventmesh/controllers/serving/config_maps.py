"""From the ConfigMaps of the system namespace to settings. Pure; every parser raises ConfigError naming map and key."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import yaml

from eventmesh.autoscale.config import parse as parse_autoscaler
from eventmesh.base.durations import parse_go
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.serving.names import INGRESS_CLASS_EVENTMESH
from eventmesh.controllers.serving.settings import (
    DeploymentSettings,
    Domain,
    Features,
    NetworkSettings,
    RetentionSettings,
    RevisionDefaults,
)
from eventmesh.controllers.serving.templates import expand

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
        http_protocol=data.get("http-protocol", "").lower() or "enabled",
        rollout_duration_s=_integer(data, source, "rollout-duration", 0),
    )
    claims = "autocreate-cluster-domain-claims"
    if claims in data:
        settings = dataclasses.replace(settings, claims_domains=_flag(data, source, claims, False))
    if settings.http_protocol not in ("enabled", "redirected"):
        raise ConfigError(f"{source}.http-protocol", f"{data['http-protocol']!r} is not Enabled or Redirected")
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
    said = {name: "enabled" for name in Features().enabled}
    for key, text in data.items():
        if key.startswith("_"):
            continue
        said[key] = text.strip().lower()
        if said[key] not in ("enabled", "allowed", "disabled"):
            raise ConfigError(f"config-features.{key}", f"{text!r} is not enabled, allowed or disabled")
    return Features(
        *(frozenset(key for key, flag in said.items() if flag == wanted) for wanted in ("enabled", "allowed"))
    )


def parse_gc(data: Data) -> RetentionSettings:
    """Return `config-gc`; raises ConfigError naming the key."""
    source, plain = "config-gc", RetentionSettings()
    settings = RetentionSettings(
        since_created_s=_retention(data, source, "retain-since-create-time", plain.since_created_s),
        since_active_s=_retention(data, source, "retain-since-last-active-time", plain.since_active_s),
        minimum=_integer(data, source, "min-non-active-revisions", plain.minimum),
        maximum=_maximum(data, source, "max-non-active-revisions", plain.maximum),
    )
    if settings.maximum is not None and settings.minimum > settings.maximum:
        raise ConfigError(
            f"{source}.min-non-active-revisions",
            f"min-non-active-revisions({settings.minimum}) must be <= max-non-active-revisions({settings.maximum})",
        )
    return settings


def _retention(data: Data, source: str, key: str, default: float | None) -> float | None:
    text = data.get(key, "")
    if not text or text.lower() == "disabled":
        return None if text else default
    try:
        seconds = parse_go(text)
    except ValueError as error:
        raise ConfigError(f"{source}.{key}", f"{error}, or disabled") from error
    if seconds < 0:
        raise ConfigError(f"{source}.{key}", f"{text} must be non-negative")
    return seconds


def _maximum(data: Data, source: str, key: str, default: int | None) -> int | None:
    text = data.get(key, "")
    if not text or text.lower() == "disabled":
        return None if text else default
    return _integer(data, source, key, 0)


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
}
"""ConfigMap -> the field of ServingSettings that it sets, and its parser."""
