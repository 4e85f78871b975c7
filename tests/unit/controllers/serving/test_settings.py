"""ConfigMaps to settings, and what keeps the former ones in force."""

from collections.abc import Callable

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.controllers.serving import config_maps, settings
from eventmesh.controllers.serving.settings import Domain, LocalSettings, ServingSettings
from eventmesh.controllers.serving.templates import expand


def test_empty_maps_are_knatives_defaults() -> None:
    assert config_maps.parse_defaults({}) == settings.RevisionDefaults()
    assert config_maps.parse_network({}) == settings.NetworkSettings()
    assert config_maps.parse_deployment({}) == settings.DeploymentSettings()
    assert config_maps.parse_features({"_example": "text"}) == settings.Features()
    assert config_maps.parse_domains({"_example": "text"}) == ()


def test_every_key_of_defaults_and_deployment_is_read() -> None:
    defaults = config_maps.parse_defaults(
        {
            "revision-timeout-seconds": "60",
            "max-revision-timeout-seconds": "900",
            "revision-idle-timeout-seconds": "5",
            "container-concurrency": "10",
            "container-concurrency-max-limit": "20",
            "allow-container-concurrency-zero": "false",
            "enable-service-links": "true",
            "revision-cpu-request": "100m",
            "revision-memory-limit": "1Gi",
        }
    )
    assert (defaults.timeout_s, defaults.max_timeout_s, defaults.response_start_timeout_s) == (60, 900, 60)
    assert (defaults.idle_timeout_s, defaults.container_concurrency, defaults.max_container_concurrency) == (5, 10, 20)
    assert (defaults.allow_zero_concurrency, defaults.enable_service_links) == (False, True)
    assert defaults.resources == {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}
    deployment = config_maps.parse_deployment(
        {"queueSidecarImage": "a/b", "progress-deadline": "2m", "registries-skipping-tag-resolving": "x.local, y.local"}
    )
    assert (deployment.sidecar_image, deployment.progress_deadline_s) == ("a/b", 120)
    assert deployment.unresolved_registries == {"x.local", "y.local"}


def test_every_key_of_gc_is_read_and_each_limit_can_be_disabled() -> None:
    assert config_maps.parse_gc({}) == settings.RetentionSettings(48 * 3600, 15 * 3600, 20, 1000)
    limits = {
        "retain-since-create-time": "1h",
        "retain-since-last-active-time": "5m",
        "min-non-active-revisions": "1",
        "max-non-active-revisions": "2",
    }
    assert config_maps.parse_gc(limits) == settings.RetentionSettings(3600, 300, 1, 2)
    off = {key: "Disabled" for key in limits if not key.startswith("min")}
    assert config_maps.parse_gc(off).is_off


def test_features_are_switched_on_and_off() -> None:
    features = config_maps.parse_features({"multi-container": "Disabled", "kubernetes.podspec-fieldref": "allowed"})
    assert "multi-container" not in features
    assert "kubernetes.podspec-fieldref" in features
    assert "kubernetes.podspec-fieldref" not in features.enabled


@pytest.mark.parametrize(
    ("parse", "data", "path"),
    [
        (config_maps.parse_defaults, {"revision-timeout-seconds": "x"}, "config-defaults.revision-timeout-seconds"),
        (config_maps.parse_defaults, {"revision-timeout-seconds": "700"}, "config-defaults.revision-timeout-seconds"),
        (config_maps.parse_defaults, {"container-concurrency": "-1"}, "config-defaults.container-concurrency"),
        (config_maps.parse_defaults, {"container-concurrency": "2000"}, "config-defaults.container-concurrency"),
        (config_maps.parse_defaults, {"enable-service-links": "x"}, "config-defaults.enable-service-links"),
        (config_maps.parse_network, {"default-external-scheme": "ftp"}, "config-network.default-external-scheme"),
        (config_maps.parse_network, {"domain-template": "{{.Nmae}}"}, "config-network.domain-template"),
        (config_maps.parse_network, {"tag-template": "{{.Domain}}"}, "config-network.tag-template"),
        (config_maps.parse_deployment, {"progress-deadline": "0s"}, "config-deployment.progress-deadline"),
        (config_maps.parse_deployment, {"progress-deadline": "x"}, "config-deployment.progress-deadline"),
        (config_maps.parse_features, {"multi-container": "on"}, "config-features.multi-container"),
        (config_maps.parse_gc, {"min-non-active-revisions": "-1"}, "config-gc.min-non-active-revisions"),
        (config_maps.parse_gc, {"max-non-active-revisions": "-1"}, "config-gc.max-non-active-revisions"),
        (config_maps.parse_gc, {"max-non-active-revisions": "3"}, "config-gc.min-non-active-revisions"),
        (config_maps.parse_gc, {"retain-since-create-time": "2 days"}, "config-gc.retain-since-create-time"),
        (config_maps.parse_gc, {"retain-since-last-active-time": "-1h"}, "config-gc.retain-since-last-active-time"),
        (config_maps.parse_network, {"http-protocol": "gopher"}, "config-network.http-protocol"),
        (
            config_maps.parse_network,
            {"autocreate-cluster-domain-claims": "maybe"},
            "config-network.autocreate-cluster-domain-claims",
        ),
        (config_maps.parse_domains, {"a.com": "selector: 3"}, "config-domain.a.com"),
        (config_maps.parse_domains, {"a.com": "a: [b"}, "config-domain.a.com"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_key(
    parse: Callable[[dict[str, str]], object], data: dict[str, str], path: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(data)
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("labels", "domain"),
    [({}, "all.com"), ({"app": "x"}, "app.com"), ({"app": "x", "tier": "y"}, "both.com"), ({"tier": "y"}, "all.com")],
)
def test_the_most_specific_domain_wins(labels: dict[str, str], domain: str) -> None:
    domains = config_maps.parse_domains(
        {
            "zoo.com": "",
            "all.com": "",
            "app.com": "selector: {app: x}",
            "both.com": "selector:\n  app: x\n  tier: y",
        }
    )
    assert ServingSettings(domains=domains).domain_of(labels) == domain


def test_without_a_domain_the_local_one_is_used() -> None:
    assert ServingSettings(local=LocalSettings(default_domain="localhost")).domain_of({"a": "b"}) == "localhost"
    assert ServingSettings(domains=(Domain("a", {"x": "y"}),)).domain_of({}) == "svc.cluster.local"


def test_templates_read_names_annotations_and_labels() -> None:
    text = expand('{{.Name}}-{{ index .Labels "env" }}.{{index .Annotations "sub"}}.x', {"Name": "n"}, {"sub": "s"}, {})
    assert text == "n-.s.x"
    with pytest.raises(ValueError, match="unknown action"):
        expand("{{if .Name}}", {"Name": "n"})
    with pytest.raises(ValueError, match="not closed"):
        expand("{{.Name", {"Name": "n"})
