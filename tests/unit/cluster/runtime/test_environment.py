"""Variables of containers."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from eventmesh.cluster.runtime.environment import ContainerConfigError, container_env, expand
from eventmesh.kube.api import Object

POD: Object = {
    "metadata": {"name": "p", "namespace": "shop", "uid": "u", "labels": {"app": "cart"}, "annotations": {}},
    "spec": {},
}


class Known:
    """References to two objects."""

    def config_map(self, namespace: str, name: str) -> Object | None:
        return {"data": {"MODE": "demo", "not a name": "x"}} if (namespace, name) == ("shop", "settings") else None

    def secret(self, namespace: str, name: str) -> Object | None:
        return (
            {"data": {"key": base64.b64encode(b"s3cret").decode()}} if (namespace, name) == ("shop", "keys") else None
        )


def env(container: dict[str, Any]) -> dict[str, str]:
    return container_env(container, POD, "127.64.0.9", Known())


def test_literals_expand_what_came_before_them() -> None:
    variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)/$$(A)/$(C)"}, {"name": "E"}]
    assert env({"env": variables}) == {"A": "1", "B": "1/$(A)/$(C)", "E": ""}


def test_references_to_config_maps_secrets_and_the_pod() -> None:
    variables = [
        {"name": "M", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "MODE"}}},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
    ]
    assert env({"env": variables}) == {"M": "demo", "S": "s3cret", "IP": "127.64.0.9", "N": "p", "L": "cart"}


def test_whole_objects_come_with_a_prefix_and_without_keys_that_are_no_names() -> None:
    sources = [{"prefix": "X_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}]
    assert env({"envFrom": sources}) == {"X_MODE": "demo", "key": "s3cret"}


def test_a_variable_of_the_container_wins_over_one_from_an_object() -> None:
    variables = [{"name": "MODE", "value": "mine"}]
    assert env({"envFrom": [{"configMapRef": {"name": "settings"}}], "env": variables}) == {"MODE": "mine"}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, "ConfigMap shop/none does not exist"),
        ({"configMapKeyRef": {"name": "settings", "key": "k"}}, "ConfigMap shop/settings has no key 'k'"),
        ({"secretKeyRef": {"name": "none", "key": "k"}}, "Secret shop/none does not exist"),
        ({"fieldRef": {"fieldPath": "status.phase"}}, "'status.phase' is not supported"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "resourceFieldRef is not supported"),
    ],
)
def test_what_cannot_be_had_is_named_with_the_variable(source: Object, named: str) -> None:
    with pytest.raises(ContainerConfigError) as refusal:
        env({"env": [{"name": "V", "valueFrom": source}]})
    assert str(refusal.value).startswith("env V: ")
    assert named in str(refusal.value)


def test_what_is_optional_may_be_missing() -> None:
    variables = [{"name": "V", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": True}}}]
    assert env({"env": variables, "envFrom": [{"secretRef": {"name": "none", "optional": True}}]}) == {}


def test_a_missing_object_of_env_from_is_named() -> None:
    with pytest.raises(ContainerConfigError, match="Secret shop/none"):
        env({"envFrom": [{"secretRef": {"name": "none"}}]})


def test_expansion_leaves_unknown_names_alone() -> None:
    assert expand("$(A) $(B) $$ $x", {"A": "1"}) == "1 $(B) $ $x"
