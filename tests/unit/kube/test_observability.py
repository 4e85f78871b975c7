"""What config-observability says of tracing, and what is refused in it."""

from __future__ import annotations

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.kube.observability import TracingSettings, parse_observability
from eventmesh.model.tracing import OtlpProtocol


def settings(protocol: str = "grpc", endpoint: str = "otel:4317", rate: str = "1") -> dict[str, str]:
    return {"tracing-protocol": protocol, "tracing-endpoint": endpoint, "tracing-sampling-rate": rate}


@pytest.mark.parametrize(
    ("endpoint", "protocol", "place", "authority"),
    [
        ("otel:4317", "grpc", ("otel", 4317, "/v1/traces"), "otel:4317"),
        ("http://otel.obs.svc", "grpc", ("otel.obs.svc", 4317, "/v1/traces"), "otel.obs.svc:4317"),
        ("otel", "http/protobuf", ("otel", 4318, "/v1/traces"), "otel:4318"),
        ("http://otel:80/in", "http/protobuf", ("otel", 80, "/in"), "otel:80"),
        ("[::1]:4317", "grpc", ("::1", 4317, "/v1/traces"), "[::1]:4317"),
    ],
)
def test_an_endpoint_may_leave_out_what_otlp_says_anyway(
    endpoint: str, protocol: str, place: tuple[str, int, str], authority: str
) -> None:
    found = parse_observability(settings(protocol, endpoint, "0.25"))
    assert found == TracingSettings(OtlpProtocol(protocol), *place, 0.25)
    assert found is not None and found.authority == authority


@pytest.mark.parametrize("data", [{}, {"tracing-protocol": "none"}, {"metrics-protocol": "prometheus"}])
def test_nothing_is_traced_unless_it_is_asked_for(data: dict[str, str]) -> None:
    assert parse_observability(data) is None


def test_without_a_rate_no_request_begins_a_trace() -> None:
    found = parse_observability({"tracing-protocol": "grpc", "tracing-endpoint": "otel:4317"})
    assert found is not None and found.sampling == 0


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (settings(protocol="zipkin"), "tracing-protocol: unsupported protocol"),
        (settings(protocol="stdout"), "tracing-protocol: unsupported protocol"),
        (settings(endpoint=""), "tracing-endpoint: endpoint should be set"),
        (settings(protocol="none"), "tracing-endpoint: endpoint should not be set"),
        (settings(endpoint="https://otel"), "tracing-endpoint: "),
        (settings(endpoint="http://"), "tracing-endpoint: "),
        (settings(endpoint="otel:99999"), "tracing-endpoint: "),
        (settings(rate="all"), "tracing-sampling-rate: "),
        (settings(rate="1.5"), "tracing-sampling-rate: "),
        (settings(rate="nan"), "tracing-sampling-rate: "),
    ],
)
def test_what_is_wrong_is_named_by_its_key(data: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_observability(data)
    assert str(caught.value).startswith(f"config-observability.{key}")
