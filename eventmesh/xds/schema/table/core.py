"""envoy.config.core.v3 and other types that many messages share."""

ENUMS = {
    "ApiType": "DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE REST GRPC DELTA_GRPC AGGREGATED_GRPC=5 AGGREGATED_DELTA_GRPC",
    "ApiVersion": "AUTO V2 V3",
    "HeaderAppendAction": "APPEND_IF_EXISTS_OR_ADD ADD_IF_ABSENT OVERWRITE_IF_EXISTS_OR_ADD OVERWRITE_IF_EXISTS",
    "HeadersWithUnderscoresAction": "ALLOW REJECT_REQUEST DROP_HEADER",
    "CodecClientType": "HTTP1 HTTP2 HTTP3",
    "RequestMethod": "METHOD_UNSPECIFIED GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH",
    "HealthStatus": "UNKNOWN HEALTHY UNHEALTHY DRAINING TIMEOUT DEGRADED",
    "RoutingPriority": "DEFAULT HIGH",
    "SocketProtocol": "TCP UDP",
}

MESSAGES = {
    "core.Node": """
        1 id string
        2 cluster string
        3 metadata struct
        4 locality core.Locality
        6 user_agent_name string
        7 user_agent_version string |user_agent_version_type
        ignored: 12 dynamic_parameters, 8 user_agent_build_version, 9 extensions, 10 client_features
        ignored: 11 listening_addresses
    """,
    "core.Locality": """
        1 region string
        2 zone string
        3 sub_zone string
    """,
    "core.Address": """
        1 socket_address core.SocketAddress |address
        2 pipe core.Pipe |address
        refused: 3 envoy_internal_address
    """,
    "core.SocketAddress": """
        1 protocol SocketProtocol only TCP
        2 address string
        3 port_value uint32 |port_specifier
        ignored: 6 ipv4_compat
        refused: 4 named_port, 5 resolver_name, 7 network_namespace_filepath
    """,
    "core.Pipe": """
        1 path string
        refused: 2 mode
    """,
    "core.ApiConfigSource": """
        1 api_type ApiType
        8 transport_api_version ApiVersion
        4 grpc_services core.GrpcService[]
        7 set_node_on_first_message_only bool
        ignored: 3 refresh_delay, 5 request_timeout, 6 rate_limit_settings
        refused: 2 cluster_names, 9 config_validators
    """,
    "core.GrpcService": """
        1 envoy_grpc core.GrpcService.EnvoyGrpc |target_specifier
        2 google_grpc core.GrpcService.GoogleGrpc |target_specifier
        3 timeout duration
        5 initial_metadata core.HeaderValue[]
        ignored: 6 retry_policy
    """,
    "core.GrpcService.EnvoyGrpc": """
        1 cluster_name string
        2 authority string
        ignored: 3 retry_policy, 4 max_receive_message_length, 5 skip_envoy_headers
    """,
    "core.GrpcService.GoogleGrpc": """
        1 target_uri string
        4 stat_prefix string
        ignored: 7 per_stream_buffer_limit_bytes, 8 channel_args
        refused: 2 channel_credentials, 9 channel_credentials_plugin, 3 call_credentials
        refused: 10 call_credentials_plugin, 5 credentials_factory_name, 6 config
    """,
    "core.ConfigSource": """
        3 ads core.AggregatedConfigSource |config_source_specifier
        5 self core.SelfConfigSource |config_source_specifier
        4 initial_fetch_timeout duration
        6 resource_api_version ApiVersion
        refused: 7 authorities, 1 path, 8 path_config_source, 2 api_config_source
    """,
    "core.AggregatedConfigSource": "",
    "core.SelfConfigSource": """
        1 transport_api_version ApiVersion
    """,
    "core.DataSource": """
        1 filename string |specifier
        2 inline_bytes bytes |specifier
        3 inline_string string |specifier
        4 environment_variable string |specifier
        ignored: 5 watched_directory
    """,
    "core.HeaderValueOption": """
        1 header core.HeaderValue
        2 append bool?
        3 append_action HeaderAppendAction
        4 keep_empty_value bool
    """,
    "core.HeaderValue": """
        1 key string
        2 value string
        refused: 3 raw_value
    """,
    "core.HttpUri": """
        1 uri string
        2 cluster string |http_upstream_type
        3 timeout duration
    """,
    "core.HttpProtocolOptions": """
        1 idle_timeout duration
        2 max_headers_count uint32?
        5 headers_with_underscores_action HeadersWithUnderscoresAction only ALLOW
        6 max_requests_per_connection uint32? only 0
        ignored: 7 max_response_headers_kb
        refused: 3 max_connection_duration, 8 max_connection_duration_jitter, 4 max_stream_duration
    """,
    "core.Http1ProtocolOptions": """
        1 allow_absolute_url bool? only true
        6 allow_chunked_length bool only false
        8 send_fully_qualified_url bool only false
        ignored: 2 accept_http_10, 5 enable_trailers, 7 override_stream_error_on_invalid_http_message
        ignored: 9 use_balsa_parser, 10 allow_custom_methods
        refused: 3 default_host_for_http_10, 4 header_key_format, 11 ignore_http_11_upgrade
    """,
    # Window sizes and frame limits tune Envoy's codec; the engine has its own, stricter ones.
    "core.Http2ProtocolOptions": """
        5 allow_connect bool only false
        6 allow_metadata bool only false
        15 connection_keepalive core.KeepaliveSettings
        ignored: 1 hpack_table_size, 2 max_concurrent_streams, 3 initial_stream_window_size
        ignored: 4 initial_connection_window_size, 7 max_outbound_frames, 8 max_outbound_control_frames
        ignored: 9 max_consecutive_inbound_frames_with_empty_payload, 10 max_inbound_priority_frames_per_stream
        ignored: 11 max_inbound_window_update_frames_per_data_frame_sent
        ignored: 12 stream_error_on_invalid_http_messaging, 14 override_stream_error_on_invalid_http_message
        ignored: 16 use_oghttp2_codec, 17 max_metadata_size, 18 enable_huffman_encoding
        ignored: 19 max_header_field_size_kb, 20 disallow_obs_text, 21 stream_reset_burst, 22 stream_reset_rate
        refused: 13 custom_settings_parameters
    """,
    "core.KeepaliveSettings": """
        1 interval duration
        2 timeout duration
        ignored: 3 interval_jitter, 4 connection_idle_interval
    """,
    "core.Metadata": """
        1 filter_metadata struct{}
        ignored: 2 typed_filter_metadata
    """,
    "core.HealthCheck": """
        1 timeout duration
        2 interval duration
        3 interval_jitter duration
        18 interval_jitter_percent uint32
        4 unhealthy_threshold uint32?
        5 healthy_threshold uint32?
        8 http_health_check core.HealthCheck.HttpHealthCheck |health_checker
        9 tcp_health_check core.HealthCheck.TcpHealthCheck |health_checker
        11 grpc_health_check core.HealthCheck.GrpcHealthCheck |health_checker
        14 unhealthy_interval duration
        12 no_traffic_interval duration
        ignored: 7 reuse_connection, 24 no_traffic_healthy_interval, 20 initial_jitter
        ignored: 15 unhealthy_edge_interval, 16 healthy_edge_interval, 17 event_log_path, 22 event_service
        ignored: 19 always_log_health_check_failures, 25 event_logger, 26 always_log_health_check_success
        refused: 6 alt_port, 13 custom_health_check, 21 tls_options, 23 transport_socket_match_criteria
    """,
    "core.HealthCheck.HttpHealthCheck": """
        1 host string
        2 path string
        9 expected_statuses type.Int64Range[]
        10 codec_client_type CodecClientType
        13 method RequestMethod
        ignored: 14 response_buffer_size
        refused: 3 send, 4 receive, 6 request_headers_to_add, 8 request_headers_to_remove
        refused: 11 service_name_matcher, 12 retriable_statuses
    """,
    "core.HealthCheck.TcpHealthCheck": """
        refused: 1 send, 2 receive, 3 proxy_protocol_config
    """,
    "core.HealthCheck.GrpcHealthCheck": """
        1 service_name string
        2 authority string
        refused: 3 initial_metadata
    """,
    "type.Int64Range": """
        1 start int64
        2 end int64
    """,
    "core.TypedExtensionConfig": """
        1 name string
        2 typed_config any
    """,
    "core.ExtensionConfigSource": """
        1 config_source core.ConfigSource
        2 default_config any
        3 apply_default_config_without_warming bool
        4 type_urls string[]
    """,
    "core.TransportSocket": """
        1 name string
        3 typed_config any |config_type
    """,
    "raw_buffer.RawBuffer": "",
    "matcher.StringMatcher": """
        1 exact string |match_pattern
        2 prefix string |match_pattern
        3 suffix string |match_pattern
        7 contains string |match_pattern
        6 ignore_case bool
        5 safe_regex matcher.RegexMatcher |match_pattern
        refused: 8 custom
    """,
    "matcher.RegexMatchAndSubstitute": """
        1 pattern matcher.RegexMatcher
        2 substitution string
    """,
    "matcher.RegexMatcher": """
        1 google_re2 matcher.RegexMatcher.GoogleRE2 |engine_type
        2 regex string
    """,
    "matcher.RegexMatcher.GoogleRE2": """
        ignored: 1 max_program_size
    """,
}
