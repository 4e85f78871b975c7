"""What a binding does to a template, and takes back."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.eventing.binding import BY_SIDECAR, bound, by_sidecar, is_subject, unbound

BINDING: dict[str, Any] = {
    "metadata": {"name": "b", "namespace": "shop"},
    "spec": {"subject": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}},
    "status": {"sinkUri": "http://sink/"},
}
VARIABLES = [{"name": "K_SINK", "value": "http://sink/"}, {"name": "K_CE_OVERRIDES", "value": ""}]


def deployment(*env: dict[str, str], **metadata: Any) -> dict[str, Any]:
    containers = [{"name": "c", **({"env": list(env)} if env else {})}]
    spec = {"template": {"spec": {"containers": containers}}}
    return {"metadata": {"name": "d", "namespace": "shop", **metadata}, "spec": spec}


def test_binding_twice_is_binding_once_and_unbinding_gives_back_what_was() -> None:
    before = deployment()
    after = bound(before, BINDING)
    assert after["spec"]["template"]["spec"]["containers"][0]["env"] == VARIABLES
    assert bound(after, BINDING) is after
    assert unbound(after) == before
    assert unbound(before) is before


def test_variables_stay_where_their_author_put_them() -> None:
    written = deployment(VARIABLES[1], {"name": "A", "value": "1"}, VARIABLES[0])
    assert bound(written, BINDING) is written


def test_a_stale_sink_is_replaced_and_the_authors_variables_stay() -> None:
    stale = deployment({"name": "A", "value": "1"}, {"name": "K_SINK", "value": "http://old/"})
    made = bound(stale, BINDING)
    assert made["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}, *VARIABLES]


def test_authorities_are_given_beside_an_https_sink_and_a_sidecar_is_spoken_to_in_http() -> None:
    sink = "https://broker-ingress.knative-eventing.svc.cluster.local/shop/orders"
    status = {"sinkUri": sink, "sinkCACerts": "PEM"}

    def given(status: dict[str, Any]) -> dict[str, str]:
        made = bound(deployment(), {**BINDING, "status": status})
        return {each["name"]: each["value"] for each in made["spec"]["template"]["spec"]["containers"][0]["env"]}

    assert given(status) == {"K_SINK": sink, "K_CA_CERTS": "PEM", "K_CE_OVERRIDES": ""}
    plain = by_sidecar(sink)
    assert plain == "http://broker-ingress.knative-eventing.svc.cluster.local/shop/orders"
    assert given(status | {"annotations": {BY_SIDECAR: plain}}) == {"K_SINK": plain, "K_CE_OVERRIDES": ""}
    assert by_sidecar(plain) == by_sidecar("https://elsewhere.test/") == ""


def test_an_object_without_a_template_stays() -> None:
    bare = {"metadata": {"name": "d", "namespace": "shop"}, "spec": {}}
    assert bound(bare, BINDING) is bare


@pytest.mark.parametrize(
    ("subject", "metadata", "expected"),
    [
        ({"name": "d"}, {}, True),
        ({"name": "other"}, {}, False),
        ({"name": "d", "namespace": "elsewhere"}, {}, False),
        ({"name": "d", "kind": "ReplicaSet"}, {}, False),
        ({"selector": {"matchLabels": {"team": "x"}}}, {"labels": {"team": "x"}}, True),
        ({"selector": {"matchLabels": {"team": "x"}}}, {"labels": {"team": "y"}}, False),
        ({"name": "d"}, {"ownerReferences": [{"apiVersion": "serving.knative.dev/v1", "controller": True}]}, False),
        ({"name": "d"}, {"ownerReferences": [{"apiVersion": "sources.knative.dev/v1", "controller": True}]}, True),
    ],
)
def test_subjects_are_named_or_selected_and_never_made_by_serving(
    subject: dict[str, Any], metadata: dict[str, Any], expected: bool
) -> None:
    binding = {**BINDING, "spec": {"subject": {"apiVersion": "apps/v1", "kind": "Deployment", **subject}}}
    assert is_subject(deployment(**metadata), "apps/v1", "Deployment", binding) is expected
