"""What Serving's ConfigMaps may hold: read as Serving reads them, refused in its words."""

from __future__ import annotations

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.controllers.serving import config_maps
from eventmesh.controllers.serving.config_maps import PARSERS, example_problem, without_effect
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIG_MAP
from tests.unit.controllers.serving.admitting import admit

QUANTITIES = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def config_map(name: str, namespace: str = "knative-serving", **data: str) -> Object:
    values = {key.replace("_", "-"): value for key, value in data.items()}
    return {"metadata": {"name": name, "namespace": namespace}, "data": values}


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        (
            "config-defaults",
            "revision-timeout-seconds",
            "soon",
            'failed to parse "revision-timeout-seconds": strconv.ParseInt: parsing "soon": invalid syntax',
        ),
        (
            "config-defaults",
            "revision-timeout-seconds",
            "700",
            "revision-timeout-seconds (700) cannot be greater than max-revision-timeout-seconds (600)",
        ),
        (
            "config-defaults",
            "revision-response-start-timeout-seconds",
            "301",
            "revision-response-start-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)",
        ),
        (
            "config-defaults",
            "revision-idle-timeout-seconds",
            "301",
            "revision-idle-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)",
        ),
        ("config-defaults", "container-concurrency", "2000", "expected 0 <= 2000 <= 1000: container-concurrency"),
        (
            "config-defaults",
            "container-concurrency-max-limit",
            "0",
            "expected 1 <= 0 <= 2147483647: container-concurrency-max-limit",
        ),
        (
            "config-defaults",
            "allow-container-concurrency-zero",
            "maybe",
            'strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        ("config-defaults", "revision-cpu-request", "100x", f'failed to parse "revision-cpu-request": {QUANTITIES}'),
        ("config-defaults", "enable-service-links", "yes", '"yes" is not true, false or default'),
        (
            "config-deployment",
            "progress-deadline",
            "0s",
            "progress-deadline cannot be a non-positive duration, was 0s",
        ),
        (
            "config-deployment",
            "progress-deadline",
            "1500ms",
            "progress-deadline must be rounded to a whole second, was: 1.5s",
        ),
        (
            "config-deployment",
            "progress-deadline",
            "x",
            'failed to parse "progress-deadline": time: invalid duration "x"',
        ),
        ("config-network", "rollout-duration", "-1", "rollout-duration must be a positive integer, but was -1"),
        (
            "config-network",
            "http-protocol",
            "gopher",
            "httpProtocol gopher in config-network ConfigMap is not supported",
        ),
        ("config-features", "multi-container", "on", '"on" is not one of enabled, allowed, disabled'),
        (
            "config-gc",
            "retain-since-create-time",
            "2 days",
            'failed to parse retain-since-create-time: time: invalid duration "2 days"',
        ),
        (
            "config-gc",
            "min-non-active-revisions",
            "2000",
            "min-non-active-revisions(2000) must be <= max-non-active-revisions(1000)",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_servings_words(name: str, key: str, value: str, words: str) -> None:
    _, complaints = admit({**config_map(name), "data": {key: value}}, resource=CONFIG_MAP)
    assert complaints == [f"{name}.{key}: {words}"]


def test_maps_of_others_are_none_of_servings_business() -> None:
    wrong = {"revision-timeout-seconds": "soon"}
    for obj in (config_map("config-defaults", "default"), config_map("mine")):
        assert admit({**obj, "data": wrong}, resource=CONFIG_MAP)[1] == []
    assert admit({"metadata": {"name": "config-gc", "namespace": "knative-serving"}}, resource=CONFIG_MAP)[1] == []


def test_an_edited_example_is_taken_for_the_mistake_it_is() -> None:
    # The sum that knative.dev/pkg computes of "a: b" and "c: d" on two lines.
    annotations = {"knative.dev/example-checksum": "0195ca06"}
    assert example_problem(annotations, {"_example": "\na: b\n\nc: d\n"}) == ""
    edited = example_problem(annotations, {"_example": "a: x\nc: d"})
    assert edited.startswith('the update modifies a key in "_example" which is probably not what you want.')
    assert example_problem({}, {"_example": "a: x"}) == ""
    obj = config_map("config-gc")
    obj = {**obj, "metadata": {**obj["metadata"], "annotations": annotations}, "data": {"_example": "x"}}
    assert admit(obj, resource=CONFIG_MAP)[1] == [example_problem(annotations, {"_example": "x"})]


@pytest.mark.parametrize("name", [name for name in PARSERS if name != "config-domain"])
def test_keys_that_change_nothing_are_named(name: str) -> None:
    assert without_effect(name, {"_example": "x", "no-such-key": "y"}) == ["no-such-key"]


def test_keys_that_are_read_have_an_effect() -> None:
    assert without_effect("config-deployment", {"queue-sidecar-cpu-request": "1", "queueSidecarImage": "a"}) == []
    assert without_effect("config-deployment", {"runtime-class-name": ""}) == ["runtime-class-name"]
    assert without_effect("config-domain", {"example.com": ""}) == []


def test_older_spellings_count_and_the_newer_one_wins() -> None:
    older = {"domainTemplate": "{{.Name}}.a", "ingress.class": "x", "autocreateClusterDomainClaims": "true"}
    settings = config_maps.parse_network({**older, "ingress-class": "y"})
    assert (settings.domain_template, settings.ingress_class, settings.claims_domains) == ("{{.Name}}.a", "y", True)


def test_quantities_are_kept_as_written() -> None:
    given = {"queue-sidecar-memory-limit": "1.5Gi", "queue-sidecar-cpu-request": "1e-1"}
    settings = config_maps.parse_deployment(given)
    assert settings.sidecar_resources == {"limits": {"memory": "1.5Gi"}, "requests": {"cpu": "1e-1"}}
    for wrong in ("", "1 Gi", "Gi", "1gi", "--1", "1.2.3"):
        with pytest.raises(ConfigError):
            config_maps.parse_deployment({"queue-sidecar-memory-limit": wrong})
