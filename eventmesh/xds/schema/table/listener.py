"""Listeners and what stands in their filter chains: HTTP connection manager, our own proxies, access logs."""

ENUMS = {
    "FractionDenominator": "HUNDRED TEN_THOUSAND MILLION",
    "StatusCode": (
        "Empty Continue=100 OK=200 Created Accepted NonAuthoritativeInformation NoContent ResetContent "
        "PartialContent MultiStatus AlreadyReported IMUsed=226 MultipleChoices=300 MovedPermanently Found "
        "SeeOther NotModified UseProxy TemporaryRedirect=307 PermanentRedirect BadRequest=400 "
        "Unauthorized PaymentRequired Forbidden NotFound MethodNotAllowed NotAcceptable "
        "ProxyAuthenticationRequired RequestTimeout Conflict Gone LengthRequired PreconditionFailed "
        "PayloadTooLarge URITooLong UnsupportedMediaType RangeNotSatisfiable ExpectationFailed "
        "MisdirectedRequest=421 UnprocessableEntity Locked FailedDependency UpgradeRequired=426 "
        "PreconditionRequired=428 TooManyRequests RequestHeaderFieldsTooLarge=431 InternalServerError=500 "
        "NotImplemented BadGateway ServiceUnavailable GatewayTimeout HTTPVersionNotSupported "
        "VariantAlsoNegotiates InsufficientStorage LoopDetected NotExtended=510 "
        "NetworkAuthenticationRequired"
    ),
    "CodecType": "AUTO HTTP1 HTTP2 HTTP3",
    "ForwardClientCertDetails": "SANITIZE FORWARD_ONLY APPEND_FORWARD SANITIZE_SET ALWAYS_FORWARD_ONLY",
    "PathWithEscapedSlashesAction": (
        "IMPLEMENTATION_SPECIFIC_DEFAULT KEEP_UNCHANGED REJECT_REQUEST UNESCAPE_AND_REDIRECT UNESCAPE_AND_FORWARD"
    ),
    "TrafficDirection": "UNSPECIFIED INBOUND OUTBOUND",
    "ServerHeaderTransformation": "OVERWRITE APPEND_IF_ABSENT PASS_THROUGH",
}

MESSAGES = {
    "listener.Listener": """
        1 name string
        2 address core.Address
        28 stat_prefix string
        3 filter_chains listener.FilterChain[]
        9 listener_filters listener.ListenerFilter[]
        4 use_original_dst bool? only false
        10 transparent bool? only false
        11 freebind bool? only false
        26 bind_to_port bool? only true
        30 enable_mptcp bool only false
        ignored: 5 per_connection_buffer_limit_bytes, 38 per_connection_buffer_high_watermark_timeout, 6 metadata
        ignored: 8 drain_type, 15 listener_filters_timeout, 17 continue_on_listener_filters_timeout
        16 traffic_direction TrafficDirection
        ignored: 12 tcp_fast_open_queue_length, 20 connection_balance_config, 21 reuse_port
        ignored: 29 enable_reuse_port, 24 tcp_backlog_size, 34 max_connections_to_accept_per_socket_event
        ignored: 31 ignore_global_conn_limit, 35 bypass_overload_manager, 37 tcp_keepalive
        refused: 33 additional_addresses, 36 fcds_config, 32 filter_chain_matcher, 25 default_filter_chain
        refused: 7 deprecated_v1, 13 socket_options, 18 udp_listener_config, 19 api_listener, 22 access_log
        refused: 27 internal_listener
    """,
    "listener.FilterChain": """
        1 filter_chain_match listener.FilterChainMatch
        3 filters listener.Filter[]
        4 use_proxy_proto bool? only false
        6 transport_socket core.TransportSocket
        7 name string
        ignored: 5 metadata, 9 transport_socket_connect_timeout
    """,
    # Two chains, one for TLS and one for clear text, are a permissive port; nothing else is told apart.
    "listener.FilterChainMatch": """
        refused: 8 destination_port, 3 prefix_ranges, 4 address_suffix, 5 suffix_len
        refused: 13 direct_source_prefix_ranges, 12 source_type, 6 source_prefix_ranges, 7 source_ports
        9 transport_protocol string
        refused: 11 server_names, 10 application_protocols
    """,
    "listener.Filter": """
        1 name string
        4 typed_config any |config_type
        refused: 5 config_discovery
    """,
    "listener.ListenerFilter": """
        1 name string
        3 typed_config any |config_type
        refused: 5 config_discovery, 4 filter_disabled
    """,
    "http_inspector.HttpInspector": "",
    "hcm.HttpConnectionManager": """
        1 codec_type CodecType
        2 stat_prefix string
        3 rds hcm.Rds |route_specifier
        4 route_config route.RouteConfiguration |route_specifier
        5 http_filters hcm.HttpFilter[]
        35 common_http_protocol_options core.HttpProtocolOptions
        8 http_protocol_options core.Http1ProtocolOptions
        9 http2_protocol_options core.Http2ProtocolOptions
        29 max_request_headers_kb uint32?
        41 request_headers_timeout duration
        13 access_log accesslog.AccessLog[]
        22 via string
        34 server_header_transformation ServerHeaderTransformation only PASS_THROUGH
        6 add_user_agent bool? only false
        23 upgrade_configs hcm.HttpConnectionManager.UpgradeConfig[]
        24 stream_idle_timeout duration only 0
        28 request_timeout duration only 0
        14 use_remote_address bool?
        19 xff_num_trusted_hops uint32 only 0
        21 skip_xff_append bool
        15 generate_request_id bool? only true
        37 always_set_request_id_in_response bool only false
        16 forward_client_cert_details ForwardClientCertDetails only SANITIZE
        30 normalize_path bool? only false
        33 merge_slashes bool only false
        45 path_with_escaped_slashes_action PathWithEscapedSlashesAction only KEEP_UNCHANGED
        39 strip_matching_host_port bool only false
        42 strip_any_host_port bool |strip_port_mode only false
        47 strip_trailing_host_dot bool only false
        51 append_x_forwarded_port bool only false
        ignored: 58 http1_safe_max_connection_duration, 10 server_name, 59 stream_flush_timeout, 12 drain_timeout
        ignored: 62 drain_timeout_jitter, 26 delayed_close_timeout, 54 access_log_flush_interval
        ignored: 55 flush_access_log_on_new_request, 56 access_log_options, 25 internal_address_config
        ignored: 32 preserve_external_request_id, 17 set_current_client_cert_details, 18 proxy_100_continue
        ignored: 20 represent_ipv4_remote_address_as_ipv4_mapped_ipv6, 40 stream_error_on_invalid_http_message
        ignored: 57 append_local_overload, 53 add_proxy_protocol_connection_state
        7 tracing hcm.HttpConnectionManager.Tracing
        refused: 31 scoped_routes, 44 http3_protocol_options, 48 scheme_header_transformation
        refused: 46 original_ip_detection_extensions, 52 early_header_mutation_extensions
        refused: 60 forward_client_cert_matcher, 36 request_id_extension
        refused: 38 local_reply_config, 43 path_normalization_options, 49 proxy_status_config
        refused: 50 typed_header_validation_config, 61 forward_proto_config
    """,
    # Every upgrade but CONNECT is passed on, asked for or not.
    "hcm.HttpConnectionManager.UpgradeConfig": """
        1 upgrade_type string
        3 enabled bool? only true
        refused: 2 filters
    """,
    "hcm.Rds": """
        1 config_source core.ConfigSource
        2 route_config_name string
    """,
    "hcm.HttpFilter": """
        1 name string
        4 typed_config any |config_type
        5 config_discovery core.ExtensionConfigSource |config_type
        6 is_optional bool
        7 disabled bool
    """,
    "cors.Cors": "",
    "cors.CorsPolicy": """
        1 allow_origin_string_match matcher.StringMatcher[]
        2 allow_methods string
        3 allow_headers string
        4 expose_headers string
        5 max_age string
        6 allow_credentials bool?
        10 forward_not_matching_preflights bool? only true
        refused: 7 filter_enabled, 8 shadow_enabled, 9 allow_private_network_access
    """,
    "fault.HTTPFault": """
        1 delay common_fault.FaultDelay
        2 abort fault.FaultAbort
        ignored: 8 delay_percent_runtime, 9 abort_percent_runtime, 10 delay_duration_runtime
        ignored: 11 abort_http_status_runtime, 12 max_active_faults_runtime, 13 response_rate_limit_percent_runtime
        ignored: 14 abort_grpc_status_runtime, 15 disable_downstream_cluster_stats, 16 filter_metadata
        refused: 3 upstream_cluster, 4 headers, 5 downstream_nodes, 6 max_active_faults, 7 response_rate_limit
    """,
    "fault.FaultAbort": """
        2 http_status uint32 |error_type
        3 percentage type.FractionalPercent
        refused: 4 header_abort, 5 grpc_status
    """,
    "common_fault.FaultDelay": """
        3 fixed_delay duration |fault_delay_secifier
        4 percentage type.FractionalPercent
        refused: 5 header_delay
    """,
    "local_ratelimit.LocalRateLimit": """
        1 stat_prefix string
        2 status type.HttpStatus
        3 token_bucket type.TokenBucket
        4 filter_enabled core.RuntimeFractionalPercent
        5 filter_enforced core.RuntimeFractionalPercent
        11 local_rate_limit_per_downstream_connection bool only false
        15 rate_limited_as_resource_exhausted bool
        ignored: 9 stage, 12 enable_x_ratelimit_headers, 13 vh_rate_limits, 14 always_consume_default_token_bucket
        ignored: 18 max_dynamic_descriptors
        refused: 6 response_headers_to_add, 8 descriptors, 10 request_headers_to_add_when_not_enforced
        refused: 16 local_cluster_rate_limit, 17 rate_limits
    """,
    "type.TokenBucket": """
        1 max_tokens uint32
        2 tokens_per_fill uint32?
        3 fill_interval duration
    """,
    "type.HttpStatus": """
        1 code StatusCode
    """,
    "type.FractionalPercent": """
        1 numerator uint32
        2 denominator FractionDenominator
    """,
    "core.RuntimeFractionalPercent": """
        1 default_value type.FractionalPercent
        2 runtime_key string
    """,
    "router.Router": """
        2 start_child_span bool only false
        4 suppress_envoy_headers bool
        6 respect_expected_rq_timeout bool only false
        ignored: 1 dynamic_stats, 9 upstream_log_options, 7 suppress_grpc_request_failure_code_stats
        ignored: 10 reject_connect_request_early_data
        refused: 3 upstream_log, 5 strict_check_headers, 8 upstream_http_filters
    """,
    # Ours: a SOFARPC Bolt listener; virtual host domains are service names (docs/protocols/bolt.md).
    "bolt.BoltProxy": """
        1 stat_prefix string
        2 rds hcm.Rds |route_specifier
        3 route_config route.RouteConfiguration |route_specifier
        4 access_log accesslog.AccessLog[]
        5 idle_timeout duration
    """,
    # Ours: a Dubbo listener; virtual host domains are interfaces (docs/protocols/dubbo.md).
    "dubbo.DubboProxy": """
        1 stat_prefix string
        2 rds hcm.Rds |route_specifier
        3 route_config route.RouteConfiguration |route_specifier
        4 access_log accesslog.AccessLog[]
        5 idle_timeout duration
    """,
    # Ours: a listener of a declared protocol (docs/protocols/framed.md).
    "framed.FramedProxy": """
        1 stat_prefix string
        2 rds hcm.Rds |route_specifier
        3 route_config route.RouteConfiguration |route_specifier
        4 access_log accesslog.AccessLog[]
        5 idle_timeout duration
        6 declaration struct |declaration_specifier
        7 declaration_file string |declaration_specifier
    """,
    # Ours: a declared protocol that is told by its magic on a port for several (docs/protocols/framed.md).
    "declared_inspector.DeclaredInspector": """
        1 declaration struct |declaration_specifier
        2 declaration_file string |declaration_specifier
    """,
    "accesslog.AccessLog": """
        1 name string
        4 typed_config any |config_type
        refused: 2 filter
    """,
    "file_log.FileAccessLog": """
        1 path string
        ignored: 2 format, 3 json_format, 4 typed_json_format, 5 log_format
    """,
    "stream_log.StdoutAccessLog": """
        ignored: 1 log_format
    """,
    "stream_log.StderrAccessLog": """
        ignored: 1 log_format
    """,
}
