"""envoy.config.route.v3: virtual hosts, routes, matches and actions."""

ENUMS = {
    "ClusterNotFoundResponseCode": "SERVICE_UNAVAILABLE NOT_FOUND INTERNAL_SERVER_ERROR",
    "RedirectResponseCode": "MOVED_PERMANENTLY FOUND SEE_OTHER TEMPORARY_REDIRECT PERMANENT_REDIRECT",
    "TlsRequirementType": "NONE EXTERNAL_ONLY ALL",
}

MESSAGES = {
    # Matching ignores the port of a host always, so ignore_port_in_host_matching changes nothing.
    "route.RouteConfiguration": """
        1 name string
        2 virtual_hosts route.VirtualHost[]
        4 response_headers_to_add core.HeaderValueOption[]
        5 response_headers_to_remove string[]
        6 request_headers_to_add core.HeaderValueOption[]
        8 request_headers_to_remove string[]
        7 validate_clusters bool?
        10 most_specific_header_mutations_wins bool
        14 ignore_port_in_host_matching bool
        15 ignore_path_parameters_in_path_matching bool only false
        ignored: 11 max_direct_response_body_size_bytes, 17 metadata
        refused: 9 vhds, 3 internal_only_headers, 12 cluster_specifier_plugins
        13 request_mirror_policies route.RouteAction.RequestMirrorPolicy[]
        refused: 18 vhost_header, 16 typed_per_filter_config
    """,
    "route.VirtualHost": """
        1 name string
        2 domains string[]
        3 routes route.Route[]
        4 require_tls TlsRequirementType only NONE
        7 request_headers_to_add core.HeaderValueOption[]
        13 request_headers_to_remove string[]
        10 response_headers_to_add core.HeaderValueOption[]
        11 response_headers_to_remove string[]
        16 retry_policy route.RetryPolicy
        14 include_request_attempt_count bool only false
        19 include_attempt_count_in_response bool only false
        23 include_is_timeout_retry_header bool only false
        ignored: 5 virtual_clusters, 18 per_request_buffer_limit_bytes, 25 request_body_buffer_limit, 24 metadata
        15 typed_per_filter_config any{}
        refused: 21 matcher, 6 rate_limits, 8 cors
        refused: 20 retry_policy_typed_config, 17 hedge_policy
        22 request_mirror_policies route.RouteAction.RequestMirrorPolicy[]
    """,
    "route.Route": """
        14 name string
        1 match route.RouteMatch
        2 route route.RouteAction |action
        3 redirect route.RedirectAction |action
        7 direct_response route.DirectResponseAction |action
        9 request_headers_to_add core.HeaderValueOption[]
        12 request_headers_to_remove string[]
        10 response_headers_to_add core.HeaderValueOption[]
        11 response_headers_to_remove string[]
        19 stat_prefix string
        ignored: 4 metadata, 5 decorator, 15 tracing, 16 per_request_buffer_limit_bytes
        ignored: 20 request_body_buffer_limit
        13 typed_per_filter_config any{}
        refused: 17 filter_action, 18 non_forwarding_action
    """,
    "route.RouteMatch": """
        1 prefix string |path_specifier
        2 path string |path_specifier
        14 path_separated_prefix string |path_specifier
        4 case_sensitive bool? only true
        6 headers route.HeaderMatcher[]
        8 grpc route.RouteMatch.GrpcRouteMatchOptions
        10 safe_regex matcher.RegexMatcher |path_specifier
        7 query_parameters route.QueryParameterMatcher[]
        refused: 12 connect_matcher, 15 path_match_policy, 9 runtime_fraction
        refused: 17 cookies, 11 tls_context, 13 dynamic_metadata, 16 filter_state
    """,
    "route.RouteMatch.GrpcRouteMatchOptions": "",
    "route.QueryParameterMatcher": """
        1 name string
        5 string_match matcher.StringMatcher |query_parameter_match_specifier
        6 present_match bool |query_parameter_match_specifier
    """,
    "route.HeaderMatcher": """
        1 name string
        4 exact_match string |header_match_specifier
        7 present_match bool |header_match_specifier
        9 prefix_match string |header_match_specifier
        10 suffix_match string |header_match_specifier
        12 contains_match string |header_match_specifier
        13 string_match matcher.StringMatcher |header_match_specifier
        8 invert_match bool
        14 treat_missing_header_as_empty bool only false
        11 safe_regex_match matcher.RegexMatcher |header_match_specifier
        refused: 6 range_match
    """,
    "route.RouteAction": """
        1 cluster string |cluster_specifier
        3 weighted_clusters route.WeightedCluster |cluster_specifier
        20 cluster_not_found_response_code ClusterNotFoundResponseCode only SERVICE_UNAVAILABLE
        5 prefix_rewrite string
        6 host_rewrite_literal string |host_rewrite_specifier
        29 host_rewrite_header string |host_rewrite_specifier
        7 auto_host_rewrite bool? |host_rewrite_specifier only false
        38 append_x_forwarded_host bool only false
        8 timeout duration
        24 idle_timeout duration only 0
        25 upgrade_configs route.RouteAction.UpgradeConfig[]
        11 priority RoutingPriority only DEFAULT
        9 retry_policy route.RetryPolicy
        4 metadata_match core.Metadata
        15 hash_policy route.RouteAction.HashPolicy[]
        ignored: 42 flush_timeout, 14 include_vh_rate_limits, 31 max_internal_redirects
        refused: 2 cluster_header, 37 cluster_specifier_plugin, 39 inline_cluster_specifier_plugin
        32 regex_rewrite matcher.RegexMatchAndSubstitute
        refused: 41 path_rewrite_policy, 45 path_rewrite
        refused: 35 host_rewrite_path_regex, 44 host_rewrite, 40 early_data_policy
        refused: 33 retry_policy_typed_config, 13 rate_limits
        30 request_mirror_policies route.RouteAction.RequestMirrorPolicy[]
        refused: 17 cors, 23 max_grpc_timeout, 28 grpc_timeout_offset
        refused: 34 internal_redirect_policy, 26 internal_redirect_action, 27 hedge_policy, 36 max_stream_duration
    """,
    "route.RouteAction.RequestMirrorPolicy": """
        1 cluster string
        3 runtime_fraction core.RuntimeFractionalPercent
        4 trace_sampled bool? only true
        6 disable_shadow_host_suffix_append bool
        8 host_rewrite_literal string
        refused: 5 cluster_header, 7 request_headers_mutations
    """,
    "route.RetryPolicy": """
        1 retry_on string
        2 num_retries uint32?
        3 per_try_timeout duration
        5 retry_host_predicate route.RetryPolicy.RetryHostPredicate[]
        6 host_selection_retry_max_attempts int64
        7 retriable_status_codes uint32[]
        8 retry_back_off route.RetryPolicy.RetryBackOff
        ignored: 14 refresh_cluster_on_retry
        refused: 4 retry_priority, 9 retriable_headers, 10 retriable_request_headers, 11 rate_limited_retry_back_off
        refused: 12 retry_options_predicates, 13 per_try_idle_timeout
    """,
    "route.RouteAction.HashPolicy": """
        1 header route.RouteAction.HashPolicy.Header |policy_specifier
        2 cookie route.RouteAction.HashPolicy.Cookie |policy_specifier
        3 connection_properties route.RouteAction.HashPolicy.ConnectionProperties |policy_specifier
        5 query_parameter route.RouteAction.HashPolicy.QueryParameter |policy_specifier
        4 terminal bool
        refused: 6 filter_state
    """,
    "route.RouteAction.HashPolicy.Header": """
        1 header_name string
        refused: 2 regex_rewrite
    """,
    "route.RouteAction.HashPolicy.Cookie": """
        1 name string
        refused: 2 ttl, 3 path, 4 attributes
    """,
    "route.RouteAction.HashPolicy.ConnectionProperties": """
        1 source_ip bool
    """,
    "route.RouteAction.HashPolicy.QueryParameter": """
        1 name string
    """,
    "route.RetryPolicy.RetryBackOff": """
        1 base_interval duration
        2 max_interval duration
    """,
    "route.RetryPolicy.RetryHostPredicate": """
        1 name string
        3 typed_config any |config_type
    """,
    "previous_hosts.PreviousHostsPredicate": "",
    "route.RouteAction.UpgradeConfig": """
        1 upgrade_type string
        2 enabled bool? only true
        refused: 3 connect_config
    """,
    "route.WeightedCluster": """
        1 clusters route.WeightedCluster.ClusterWeight[]
        5 use_hash_policy bool? |random_value_specifier only false
        ignored: 3 total_weight, 2 runtime_key_prefix
        refused: 4 header_name
    """,
    "route.WeightedCluster.ClusterWeight": """
        1 name string
        2 weight uint32?
        4 request_headers_to_add core.HeaderValueOption[]
        9 request_headers_to_remove string[]
        5 response_headers_to_add core.HeaderValueOption[]
        6 response_headers_to_remove string[]
        3 metadata_match core.Metadata
        refused: 12 cluster_header, 10 typed_per_filter_config, 11 host_rewrite_literal
    """,
    "route.RedirectAction": """
        4 https_redirect bool |scheme_rewrite_specifier
        7 scheme_redirect string |scheme_rewrite_specifier
        1 host_redirect string
        8 port_redirect uint32
        2 path_redirect string |path_rewrite_specifier
        3 response_code RedirectResponseCode
        6 strip_query bool only false
        5 prefix_rewrite string |path_rewrite_specifier
        refused: 9 regex_rewrite, 10 path_rewrite
    """,
    "route.DirectResponseAction": """
        1 status uint32
        2 body core.DataSource
        refused: 3 body_format
    """,
}
