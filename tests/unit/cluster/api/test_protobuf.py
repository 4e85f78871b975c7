from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.cluster.api.builtin.types import find_type, message_types, scalar_schema, structural_schema
from eventmesh.cluster.api.protobuf import MAGIC, decode_protobuf
from eventmesh.cluster.api.structural import MAX_DEPTH
from eventmesh.cluster.api.validating import violations
from eventmesh.kube.api import ApiError


def varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while True:
        out.append((value & 0x7F) | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def data(field: int, *parts: bytes | str) -> bytes:
    body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def envelope(api_version: str, kind: str, *parts: bytes) -> bytes:
    return MAGIC + data(1, data(1, api_version), data(2, kind)) + data(2, *parts)


def decoded(api_version: str, kind: str, *parts: bytes) -> dict[str, Any]:
    obj = decode_protobuf(envelope(api_version, kind, *parts))
    assert (obj.pop("apiVersion"), obj.pop("kind")) == (api_version, kind)
    return obj


def test_secret_with_bytes_text_and_map() -> None:
    labels = data(11, data(1, "k"), data(2, "v"))
    entry = data(2, data(1, "p"), data(2, b"\x00\xff"))
    assert decoded("v1", "Secret", data(1, data(1, "s"), labels), entry, data(3, "Opaque")) == {
        "metadata": {"name": "s", "labels": {"k": "v"}},
        "data": {"p": base64.b64encode(b"\x00\xff").decode()},
        "type": "Opaque",
    }


def test_zero_counts_only_where_go_has_a_pointer() -> None:
    spec = data(2, number(1, 0), number(5, 0), number(7, 0))
    assert decoded("apps/v1", "Deployment", spec) == {"spec": {"replicas": 0}}
    assert decoded("v1", "DeleteOptions", number(1, 0)) == {"gracePeriodSeconds": 0}


def test_empty_message_counts_only_where_go_has_a_pointer() -> None:
    volume = data(1, data(1, "scratch"), data(2, data(2)))
    assert decoded("v1", "Pod", data(2, volume)) == {"spec": {"volumes": [{"name": "scratch", "emptyDir": {}}]}}
    assert decoded("v1", "Pod", data(2, data(2, data(1, "c"), data(8)))) == {"spec": {"containers": [{"name": "c"}]}}


def test_inline_messages_are_spelled_in_their_parent() -> None:
    probe = data(11, data(1, data(3, data(1, number(1, 0), number(2, 8080)))), number(4, 3))
    container = decoded("v1", "Pod", data(2, data(2, data(1, "c"), probe)))["spec"]["containers"][0]
    assert container["readinessProbe"] == {"tcpSocket": {"port": 8080}, "periodSeconds": 3}


def test_int_or_string_quantity_and_time() -> None:
    port = data(1, number(3, 80), data(4, number(1, 1), data(3, "http")))
    assert decoded("v1", "Service", data(2, port)) == {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}
    limits = data(8, data(1, data(1, "cpu"), data(2, data(1, "500m"))))
    pod = decoded("v1", "Pod", data(1, data(8, number(1, 1_700_000_000))), data(2, data(2, limits)))
    assert pod["metadata"] == {"creationTimestamp": "2023-11-14T22:13:20Z"}
    assert pod["spec"]["containers"] == [{"resources": {"limits": {"cpu": "500m"}}}]


def test_negative_numbers_and_unset_times() -> None:
    pod = decoded("v1", "Pod", data(1, data(8)), data(2, number(25, -5)))
    assert pod == {"spec": {"priority": -5}}


def test_lists_in_maps_of_reviews() -> None:
    extra = data(5, data(1, "scope"), data(2, data(1, "a"), data(1, "b")))
    review = decoded("authorization.k8s.io/v1", "SubjectAccessReview", data(2, extra))
    assert review == {"spec": {"extra": {"scope": ["a", "b"]}}}


def test_field_of_a_newer_client_is_dropped() -> None:
    assert decoded("v1", "ConfigMap", number(900, 1), data(901, b"x"), b"\xc9\x38" + bytes(8)) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        MAGIC + b"\xff",
        envelope("v1", "ConfigMap", b"\x0a\x7f"),
        envelope("v1", "ConfigMap", b"\x0b"),
        envelope("v1", "ConfigMap", b"\xff" * 11),
        envelope("v1", "ConfigMap", number(1, 5)),
        envelope("v1", "ConfigMap", data(1, data(1, b"\xff"))),
        envelope("v1", "ConfigMap", data(1, number(1, 5))),
        envelope("apps/v1", "Deployment", data(2, data(1, b"x"))),
        envelope("v1", "Pod", data(1, data(8, data(1, b"x")))),
        envelope("v1", "Pod", data(1, data(8, number(1, 1 << 62)))),
    ],
)
def test_malformed_body_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(ApiError) as failure:
        decode_protobuf(body)
    assert failure.value.code == 400


def test_kind_outside_the_table_is_an_unsupported_type() -> None:
    with pytest.raises(ApiError, match="protobuf of example.com/v1 Thing") as failure:
        decode_protobuf(envelope("example.com/v1", "Thing"))
    assert failure.value.code == 415


@given(st.binary(max_size=300), st.sampled_from(["Pod", "Secret", "Service", "Event"]))
def test_any_bytes_give_an_object_or_a_bad_request(noise: bytes, kind: str) -> None:
    try:
        obj = decode_protobuf(envelope("v1", kind, noise))
    except ApiError as error:
        assert error.code == 400
    else:
        assert obj["kind"] == kind


def test_every_field_of_the_table_has_a_known_type() -> None:
    for message in message_types().values():
        for field in message.fields:
            assert scalar_schema(field.shape) is not None or field.shape in message_types(), (message.name, field)


def test_no_message_nests_beyond_the_depth_limit() -> None:
    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        assert name not in above, "a message that holds itself would have no structural schema"
        inner = [field.shape for field in message_types()[name].fields if field.shape in message_types()]
        return 1 + max((depth(shape, (*above, name)) for shape in inner), default=0)

    for name in ("core.Pod", "apps.Deployment", "batch.CronJob"):
        assert depth(name) < MAX_DEPTH


def test_schema_of_a_message_spells_inline_fields_out() -> None:
    schema = structural_schema("core.Volume")
    assert {"name", "emptyDir", "configMap"} <= set(schema["properties"])
    assert violations(schema, {"name": "v", "emptyDir": None, "configMap": {"name": 1}})[0].field == "configMap.name"


def test_kinds_are_found_by_group_and_version() -> None:
    assert find_type("v1", "Pod") is message_types()["core.Pod"]
    found = find_type("autoscaling/v2", "HorizontalPodAutoscaler")
    assert found is not None and found.name == "autoscaling/v2.HorizontalPodAutoscaler"
    assert find_type("rbac.authorization.k8s.io/v1", "Role") is message_types()["rbac.Role"]
    assert find_type("serving.knative.dev/v1", "Service") is None
