"""The filters that ask: ext_authz a service, and ours a function in Python."""

ENUMS: dict[str, str] = {}

MESSAGES = {
    "ext_authz.ExtAuthz": """
        1 grpc_service core.GrpcService |services
        3 http_service ext_authz.HttpService |services
        12 transport_api_version ApiVersion
        2 failure_mode_allow bool
        19 failure_mode_allow_header_add bool
        5 with_request_body ext_authz.BufferSettings
        6 clear_route_cache bool only false
        7 status_on_error type.HttpStatus
        8 metadata_context_namespaces string[]
        9 filter_enabled core.RuntimeFractionalPercent
        14 filter_enabled_metadata matcher.MetadataMatcher
        11 deny_at_disable core.RuntimeFeatureFlag
        10 include_peer_certificate bool only false
        17 allowed_headers matcher.ListStringMatcher
        25 disallowed_headers matcher.ListStringMatcher
        18 include_tls_session bool only false
        23 encode_raw_headers bool only false
        32 shadow_mode bool only false
        ignored: 13 stat_prefix, 20 charge_cluster_response_stats, 24 validate_mutations, 29 emit_filter_state_stats
        ignored: 31 enforce_response_header_limits, 27 enable_dynamic_metadata_ingestion, 28 filter_metadata
        refused: 15 bootstrap_metadata_labels_key, 16 typed_metadata_context_namespaces
        refused: 21 route_metadata_context_namespaces, 22 route_typed_metadata_context_namespaces
        refused: 26 decoder_header_mutation_rules, 30 max_denied_response_body_bytes
    """,
    "ext_authz.HttpService": """
        1 server_uri core.HttpUri
        2 path_prefix string
        7 authorization_request ext_authz.AuthorizationRequest
        8 authorization_response ext_authz.AuthorizationResponse
        ignored: 9 retry_policy
        refused: 10 path_override
    """,
    "ext_authz.AuthorizationRequest": """
        1 allowed_headers matcher.ListStringMatcher
        2 headers_to_add core.HeaderValue[]
    """,
    "ext_authz.AuthorizationResponse": """
        1 allowed_upstream_headers matcher.ListStringMatcher
        2 allowed_client_headers matcher.ListStringMatcher
        3 allowed_upstream_headers_to_append matcher.ListStringMatcher
        4 allowed_client_headers_on_success matcher.ListStringMatcher
        refused: 5 dynamic_metadata_from_headers
    """,
    "ext_authz.BufferSettings": """
        1 max_request_bytes uint32
        2 allow_partial_message bool
        3 pack_as_bytes bool
    """,
    "ext_authz.ExtAuthzPerRoute": """
        1 disabled bool |override
        2 check_settings ext_authz.CheckSettings |override
    """,
    "ext_authz.CheckSettings": """
        1 context_extensions string{}
        2 disable_request_body_buffering bool
        3 with_request_body ext_authz.BufferSettings
        4 grpc_service core.GrpcService |service_override
        5 http_service ext_authz.HttpService |service_override
    """,
    # Ours: docs/python-filters.md.
    "python_filter.PythonFilter": """
        1 file string
        2 name string
        3 timeout duration
        4 failure_mode_allow bool
        5 status_on_error type.HttpStatus
        6 config struct
    """,
    "python_filter.PythonFilterPerRoute": """
        1 disabled bool |override
        2 filter python_filter.PythonFilter |override
    """,
    "matcher.ListStringMatcher": """
        1 patterns matcher.StringMatcher[]
    """,
    "core.RuntimeFeatureFlag": """
        1 default_value bool?
        ignored: 2 runtime_key
    """,
}
