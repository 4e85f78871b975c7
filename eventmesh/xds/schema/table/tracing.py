"""Tracing: what a connection manager records, and the OpenTelemetry tracer that its spans go to."""

ENUMS: dict[str, str] = {}

MESSAGES = {
    "hcm.HttpConnectionManager.Tracing": """
        3 client_sampling type.Percent
        4 random_sampling type.Percent
        5 overall_sampling type.Percent
        7 max_path_tag_length uint32?
        9 provider trace.Tracing.Http
        10 spawn_upstream_span bool? only false
        ignored: 6 verbose
        refused: 8 custom_tags, 11 operation, 12 upstream_operation, 13 no_context_propagation
    """,
    "trace.Tracing": """
        1 http trace.Tracing.Http
    """,
    "trace.Tracing.Http": """
        1 name string
        3 typed_config any |config_type
    """,
    "trace.OpenTelemetryConfig": """
        1 grpc_service core.GrpcService
        3 http_service core.HttpService
        2 service_name string
        4 resource_detectors core.TypedExtensionConfig[]
        ignored: 6 max_cache_size
        refused: 5 sampler, 7 set_telemetry_sdk_resource_attributes, 8 set_service_name_resource_attribute
    """,
    # OTEL_RESOURCE_ATTRIBUTES is read in any case, which is all that this detector does.
    "environment_detector.EnvironmentResourceDetectorConfig": "",
    "core.HttpService": """
        1 http_uri core.HttpUri
        2 request_headers_to_add core.HeaderValueOption[]
        refused: 3 formatters
    """,
}
