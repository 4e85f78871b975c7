"""envoy.config.cluster.v3 and endpoint.v3: clusters, their limits, their endpoints."""

ENUMS = {
    "ClusterProtocolSelection": "USE_CONFIGURED_PROTOCOL USE_DOWNSTREAM_PROTOCOL",
    "DiscoveryType": "STATIC STRICT_DNS LOGICAL_DNS EDS ORIGINAL_DST",
    "LbPolicy": "ROUND_ROBIN LEAST_REQUEST RING_HASH RANDOM MAGLEV=5 CLUSTER_PROVIDED LOAD_BALANCING_POLICY_CONFIG",
}

MESSAGES = {
    "cluster.Cluster": """
        1 name string
        28 alt_stat_name string
        2 type DiscoveryType |cluster_discovery_type
        3 eds_cluster_config cluster.Cluster.EdsClusterConfig
        4 connect_timeout duration
        6 lb_policy LbPolicy
        33 load_assignment endpoint.ClusterLoadAssignment
        9 max_requests_per_connection uint32? only 0
        10 circuit_breakers cluster.CircuitBreakers
        29 common_http_protocol_options core.HttpProtocolOptions
        13 http_protocol_options core.Http1ProtocolOptions
        14 http2_protocol_options core.Http2ProtocolOptions
        36 typed_extension_protocol_options any{}
        27 common_lb_config cluster.Cluster.CommonLbConfig
        24 transport_socket core.TransportSocket
        25 metadata core.Metadata
        26 protocol_selection ClusterProtocolSelection
        41 load_balancing_policy cluster.LoadBalancingPolicy
        51 connection_pool_per_downstream_connection bool only false
        ignored: 5 per_connection_buffer_limit_bytes, 60 per_connection_buffer_high_watermark_timeout
        ignored: 46 upstream_http_protocol_options, 16 dns_refresh_rate, 58 dns_jitter
        ignored: 44 dns_failure_refresh_rate, 39 respect_dns_ttl, 17 dns_lookup_family, 45 use_tcp_for_dns_lookups
        ignored: 54 wait_for_warm_on_init, 20 cleanup_interval, 37 least_request_lb_config
        ignored: 56 round_robin_lb_config, 30 upstream_connection_options, 31 close_connections_on_host_health_failure
        ignored: 32 ignore_health_on_host_removal, 42 lrs_server, 57 lrs_report_endpoint_metrics
        ignored: 47 track_timeout_budgets, 49 track_cluster_stats, 50 preconnect_policy
        refused: 43 transport_socket_matches, 59 transport_socket_matcher, 38 cluster_type, 8 health_checks
        refused: 18 dns_resolvers, 53 dns_resolution_config, 55 typed_dns_resolver_config, 19 outlier_detection
        refused: 21 upstream_bind_config, 22 lb_subset_config, 23 ring_hash_lb_config, 52 maglev_lb_config
        refused: 34 original_dst_lb_config, 40 filters, 48 upstream_config
    """,
    "cluster.Cluster.EdsClusterConfig": """
        1 eds_config core.ConfigSource
        2 service_name string
    """,
    "cluster.Cluster.CommonLbConfig": """
        6 close_connections_on_host_set_change bool only false
        ignored: 1 healthy_panic_threshold, 4 update_merge_window, 5 ignore_new_hosts_until_first_hc
        ignored: 7 consistent_hashing_lb_config, 8 override_host_status
        refused: 2 zone_aware_lb_config, 3 locality_weighted_lb_config
    """,
    "cluster.CircuitBreakers": """
        1 thresholds cluster.CircuitBreakers.Thresholds[]
        refused: 2 per_host_thresholds
    """,
    "cluster.CircuitBreakers.Thresholds": """
        1 priority RoutingPriority
        2 max_connections uint32?
        3 max_pending_requests uint32?
        4 max_requests uint32?
        5 max_retries uint32?
        8 retry_budget cluster.CircuitBreakers.Thresholds.RetryBudget
        ignored: 6 track_remaining, 7 max_connection_pools
    """,
    "cluster.CircuitBreakers.Thresholds.RetryBudget": """
        1 budget_percent type.Percent
        2 min_retry_concurrency uint32?
        refused: 3 budget_interval
    """,
    "type.Percent": """
        1 value double
    """,
    "cluster.LoadBalancingPolicy": """
        1 policies cluster.LoadBalancingPolicy.Policy[]
    """,
    "cluster.LoadBalancingPolicy.Policy": """
        4 typed_extension_config core.TypedExtensionConfig
    """,
    "lb_round_robin.RoundRobin": """
        ignored: 1 slow_start_config
        refused: 2 locality_lb_config
    """,
    "lb_least_request.LeastRequest": """
        ignored: 1 choice_count, 2 active_request_bias, 3 slow_start_config, 5 enable_full_scan, 6 selection_method
        refused: 4 locality_lb_config
    """,
    "lb_random.Random": """
        refused: 1 locality_lb_config
    """,
    "upstreams.HttpProtocolOptions": """
        1 common_http_protocol_options core.HttpProtocolOptions
        3 explicit_http_config upstreams.HttpProtocolOptions.ExplicitHttpConfig |protocol
        4 use_downstream_protocol_config upstreams.HttpProtocolOptions.UseDownstreamHttpConfig |protocol
        ignored: 2 upstream_http_protocol_options
        refused: 5 auto_config, 6 http_filters, 7 header_validation_config, 8 outlier_detection
        refused: 9 request_mirror_policies, 10 hash_policy, 11 retry_policy
    """,
    "upstreams.HttpProtocolOptions.ExplicitHttpConfig": """
        1 http_protocol_options core.Http1ProtocolOptions |protocol_config
        2 http2_protocol_options core.Http2ProtocolOptions |protocol_config
        refused: 3 http3_protocol_options
    """,
    "upstreams.HttpProtocolOptions.UseDownstreamHttpConfig": """
        1 http_protocol_options core.Http1ProtocolOptions
        2 http2_protocol_options core.Http2ProtocolOptions
        ignored: 3 http3_protocol_options
    """,
    "endpoint.ClusterLoadAssignment": """
        1 cluster_name string
        2 endpoints endpoint.LocalityLbEndpoints[]
        4 policy endpoint.ClusterLoadAssignment.Policy
        refused: 5 named_endpoints
    """,
    "endpoint.ClusterLoadAssignment.Policy": """
        ignored: 3 overprovisioning_factor, 4 endpoint_stale_after, 6 weighted_priority_health
        refused: 2 drop_overloads
    """,
    # Localities only group endpoints here; their weights matter to locality-weighted balancing, which is refused.
    "endpoint.LocalityLbEndpoints": """
        1 locality core.Locality
        2 lb_endpoints endpoint.LbEndpoint[]
        3 load_balancing_weight uint32?
        5 priority uint32
        ignored: 9 metadata, 6 proximity
        refused: 7 load_balancer_endpoints, 8 leds_cluster_locality_config
    """,
    "endpoint.LbEndpoint": """
        1 endpoint endpoint.Endpoint |host_identifier
        2 health_status HealthStatus
        4 load_balancing_weight uint32?
        ignored: 3 metadata
        refused: 5 endpoint_name
    """,
    "endpoint.Endpoint": """
        1 address core.Address
        3 hostname string
        5 observability_name string
        ignored: 2 health_check_config, 4 additional_addresses
    """,
}
