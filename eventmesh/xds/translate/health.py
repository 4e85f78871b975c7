"""How the health of endpoints is known: outlier detection and active checks."""

from __future__ import annotations

from eventmesh.model.listener import WireProtocol
from eventmesh.model.policy import GrpcProbe, HealthCheck, HttpProbe, OutlierDetection, TcpProbe
from eventmesh.xds.schema.tree import Message

MAX_SERVICE_NAME = 120
"""Longest service name of a gRPC check: its length is one byte on the wire."""

_PERCENTAGES = (
    "max_ejection_percent",
    "enforcing_consecutive_5xx",
    "enforcing_consecutive_gateway_failure",
    "enforcing_success_rate",
    "enforcing_failure_percentage",
    "failure_percentage_threshold",
)


def read_outlier(message: Message) -> OutlierDetection | None:
    """Return the `outlier_detection` of a cluster."""
    config = message.child("outlier_detection")
    if config is None:
        return None
    for name in _PERCENTAGES:
        if config.number(name) > 100:
            raise config.error(name, f"{config.number(name)} is out of range; accepted are 0 to 100")
    usual = OutlierDetection()
    base = _above_0(config, "base_ejection_time", usual.base_ejection_time_s)

    def number(name: str) -> int:
        return config.number(name, getattr(usual, name))

    return OutlierDetection(
        consecutive_5xx=number("consecutive_5xx"),
        consecutive_gateway_failure=number("consecutive_gateway_failure"),
        interval_s=_above_0(config, "interval", usual.interval_s),
        base_ejection_time_s=base,
        max_ejection_time_s=config.seconds("max_ejection_time", max(usual.max_ejection_time_s, base)),
        max_ejection_percent=number("max_ejection_percent"),
        always_eject_one=config.flag("always_eject_one_host"),
        enforcing_consecutive_5xx=number("enforcing_consecutive_5xx"),
        enforcing_consecutive_gateway_failure=number("enforcing_consecutive_gateway_failure"),
        enforcing_success_rate=number("enforcing_success_rate"),
        success_rate_minimum_hosts=number("success_rate_minimum_hosts"),
        success_rate_request_volume=number("success_rate_request_volume"),
        success_rate_stdev_factor=number("success_rate_stdev_factor"),
        enforcing_failure_percentage=number("enforcing_failure_percentage"),
        failure_percentage_threshold=number("failure_percentage_threshold"),
        failure_percentage_minimum_hosts=number("failure_percentage_minimum_hosts"),
        failure_percentage_request_volume=number("failure_percentage_request_volume"),
    )


def read_health_check(message: Message, protocol: WireProtocol) -> HealthCheck | None:
    """Return the one health check of a cluster that speaks `protocol`."""
    checks = message.children("health_checks")
    if not checks:
        return None
    if len(checks) > 1:
        raise message.error("health_checks[1]", "one health check a cluster is supported")
    check = checks[0]
    interval = _above_0(check, "interval", 0.0)
    percent = check.number("interval_jitter_percent")
    return HealthCheck(
        probe=_probe(check, protocol),
        timeout_s=_above_0(check, "timeout", 0.0),
        interval_s=interval,
        unhealthy_interval_s=_above_0(check, "unhealthy_interval", interval),
        unhealthy_threshold=_threshold(check, "unhealthy_threshold"),
        healthy_threshold=_threshold(check, "healthy_threshold"),
        no_traffic_interval_s=_above_0(check, "no_traffic_interval", 60.0),
        interval_jitter_s=check.seconds("interval_jitter", 0.0),
        interval_jitter_percent=percent,
    )


def _probe(check: Message, protocol: WireProtocol) -> HttpProbe | TcpProbe | GrpcProbe:
    http, grpc = check.child("http_health_check"), check.child("grpc_health_check")
    if http is not None:
        if protocol not in (WireProtocol.HTTP1, WireProtocol.HTTP2, WireProtocol.DOWNSTREAM):
            raise check.error("http_health_check", f"a cluster that speaks {protocol.value} takes tcp_health_check")
        return _http(http, protocol)
    if grpc is not None:
        if protocol is not WireProtocol.HTTP2:
            raise check.error("grpc_health_check", "needs a cluster that speaks HTTP/2 (http2_protocol_options)")
        service = grpc.text("service_name")
        if len(service.encode()) > MAX_SERVICE_NAME:
            raise grpc.error("service_name", f"is longer than the limit of {MAX_SERVICE_NAME} bytes")
        return GrpcProbe(service, grpc.text("authority"))
    if check.child("tcp_health_check") is not None:
        return TcpProbe()
    raise check.error("", "says not how to check; give http_health_check, grpc_health_check or tcp_health_check")


def _http(http: Message, protocol: WireProtocol) -> HttpProbe:
    path = http.text("path")
    if not path.startswith("/"):
        raise http.error("path", f"{path!r} must start with /")
    spoken = "HTTP2" if protocol is WireProtocol.HTTP2 else "HTTP1"
    if http.text("codec_client_type", "HTTP1") not in (spoken, "HTTP1"):
        raise http.error("codec_client_type", f"only what the cluster speaks is supported ({spoken})")
    method = http.text("method", "GET")
    if method in ("METHOD_UNSPECIFIED", "CONNECT"):
        raise http.error("method", f"{method} is not supported; GET, HEAD, POST and the like are")
    expected = tuple((one.number("start"), one.number("end")) for one in http.children("expected_statuses"))
    for i, (start, end) in enumerate(expected):
        if not 100 <= start < end <= 600:
            raise http.error(f"expected_statuses[{i}]", f"{start} to {end} is no range within 100 to 600")
    return HttpProbe(path, http.text("host"), method, expected or ((200, 201),))


def _threshold(check: Message, name: str) -> int:
    if not check.has(name) or check.number(name) < 1:
        raise check.error(name, "missing or 0; Envoy too refuses a health check without it")
    return check.number(name)


def _above_0(owner: Message, name: str, default: float) -> float:
    value = owner.seconds(name, default)
    if value <= 0:
        raise owner.error(name, "missing or 0; it must be a duration above 0s")
    return value
