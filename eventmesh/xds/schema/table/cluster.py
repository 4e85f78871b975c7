"""envoy.config.cluster.v3 and endpoint.v3: clusters, their limits, their endpoints."""

ENUMS = {
    "ClusterProtocolSelection": "USE_CONFIGURED_PROTOCOL USE_DOWNSTREAM_PROTOCOL",
    "DiscoveryType": "STATIC STRICT_DNS LOGICAL_DNS EDS ORIGINAL_DST",
    "LbRingHashFunction": "DEFAULT_HASH XX_HASH MURMUR_HASH_2",
    "RingHashFunction": "XX_HASH MURMUR_HASH_2",
    "SubsetFallback": "NO_FALLBACK ANY_ENDPOINT DEFAULT_SUBSET",
    "SubsetMetadataFallback": "METADATA_NO_FALLBACK FALLBACK_LIST",
    "SubsetSelectorFallback": "NOT_DEFINED NO_FALLBACK ANY_ENDPOINT DEFAULT_SUBSET KEYS_SUBSET",
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
        22 lb_subset_config cluster.Cluster.LbSubsetConfig
        23 ring_hash_lb_config cluster.Cluster.RingHashLbConfig |lb_config
        52 maglev_lb_config cluster.Cluster.MaglevLbConfig |lb_config
        19 outlier_detection cluster.OutlierDetection
        8 health_checks core.HealthCheck[]
        51 connection_pool_per_downstream_connection bool only false
        ignored: 5 per_connection_buffer_limit_bytes, 60 per_connection_buffer_high_watermark_timeout
        ignored: 46 upstream_http_protocol_options, 16 dns_refresh_rate, 58 dns_jitter
        ignored: 44 dns_failure_refresh_rate, 39 respect_dns_ttl, 17 dns_lookup_family, 45 use_tcp_for_dns_lookups
        ignored: 54 wait_for_warm_on_init, 20 cleanup_interval, 37 least_request_lb_config
        ignored: 56 round_robin_lb_config, 30 upstream_connection_options, 31 close_connections_on_host_health_failure
        ignored: 32 ignore_health_on_host_removal, 42 lrs_server, 57 lrs_report_endpoint_metrics
        ignored: 47 track_timeout_budgets, 49 track_cluster_stats, 50 preconnect_policy
        refused: 43 transport_socket_matches, 59 transport_socket_matcher, 38 cluster_type
        refused: 18 dns_resolvers, 53 dns_resolution_config, 55 typed_dns_resolver_config
        refused: 21 upstream_bind_config
        refused: 34 original_dst_lb_config, 40 filters, 48 upstream_config
    """,
    "cluster.Cluster.EdsClusterConfig": """
        1 eds_config core.ConfigSource
        2 service_name string
    """,
    "cluster.Cluster.CommonLbConfig": """
        6 close_connections_on_host_set_change bool only false
        1 healthy_panic_threshold type.Percent
        3 locality_weighted_lb_config cluster.Cluster.CommonLbConfig.LocalityWeightedLbConfig |locality_config_specifier
        ignored: 4 update_merge_window, 5 ignore_new_hosts_until_first_hc, 8 override_host_status
        refused: 2 zone_aware_lb_config, 7 consistent_hashing_lb_config
    """,
    "cluster.Cluster.CommonLbConfig.LocalityWeightedLbConfig": "",
    "cluster.Cluster.RingHashLbConfig": """
        1 minimum_ring_size uint64?
        3 hash_function RingHashFunction only XX_HASH
        4 maximum_ring_size uint64?
    """,
    "cluster.Cluster.MaglevLbConfig": """
        1 table_size uint64?
    """,
    "cluster.Cluster.LbSubsetConfig": """
        1 fallback_policy SubsetFallback
        2 default_subset struct
        3 subset_selectors cluster.Cluster.LbSubsetConfig.LbSubsetSelector[]
        4 locality_weight_aware bool
        5 scale_locality_weight bool only false
        6 panic_mode_any bool only false
        7 list_as_any bool only false
        8 metadata_fallback_policy SubsetMetadataFallback only METADATA_NO_FALLBACK
    """,
    "cluster.Cluster.LbSubsetConfig.LbSubsetSelector": """
        1 keys string[]
        2 fallback_policy SubsetSelectorFallback only NOT_DEFINED
        4 single_host_per_subset bool only false
        refused: 3 fallback_keys_subset
    """,
    "cluster.OutlierDetection": """
        1 consecutive_5xx uint32?
        2 interval duration
        3 base_ejection_time duration
        4 max_ejection_percent uint32?
        5 enforcing_consecutive_5xx uint32?
        6 enforcing_success_rate uint32?
        7 success_rate_minimum_hosts uint32?
        8 success_rate_request_volume uint32?
        9 success_rate_stdev_factor uint32?
        10 consecutive_gateway_failure uint32?
        11 enforcing_consecutive_gateway_failure uint32?
        12 split_external_local_origin_errors bool only false
        16 failure_percentage_threshold uint32?
        17 enforcing_failure_percentage uint32?
        19 failure_percentage_minimum_hosts uint32?
        20 failure_percentage_request_volume uint32?
        21 max_ejection_time duration
        25 always_eject_one_host bool?
        ignored: 13 consecutive_local_origin_failure, 14 enforcing_consecutive_local_origin_failure
        ignored: 15 enforcing_local_origin_success_rate, 18 enforcing_failure_percentage_local_origin
        ignored: 22 max_ejection_time_jitter, 23 successful_active_health_check_uneject_host
        refused: 24 monitors, 26 detect_degraded_hosts
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
        2 locality_lb_config lb_common.LocalityLbConfig
        ignored: 1 slow_start_config
    """,
    "lb_least_request.LeastRequest": """
        4 locality_lb_config lb_common.LocalityLbConfig
        ignored: 1 choice_count, 2 active_request_bias, 3 slow_start_config, 5 enable_full_scan, 6 selection_method
    """,
    "lb_random.Random": """
        1 locality_lb_config lb_common.LocalityLbConfig
    """,
    "lb_ring_hash.RingHash": """
        1 hash_function LbRingHashFunction
        2 minimum_ring_size uint64?
        3 maximum_ring_size uint64?
        4 use_hostname_for_hashing bool only false
        7 locality_weighted_lb_config lb_common.LocalityLbConfig.LocalityWeightedLbConfig
        refused: 5 hash_balance_factor, 6 consistent_hashing_lb_config
    """,
    "lb_maglev.Maglev": """
        1 table_size uint64?
        3 locality_weighted_lb_config lb_common.LocalityLbConfig.LocalityWeightedLbConfig
        refused: 2 consistent_hashing_lb_config
    """,
    "lb_common.LocalityLbConfig": """
        2 locality_weighted_lb_config lb_common.LocalityLbConfig.LocalityWeightedLbConfig |locality_config_specifier
        refused: 1 zone_aware_lb_config
    """,
    "lb_common.LocalityLbConfig.LocalityWeightedLbConfig": "",
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
        3 metadata core.Metadata
        refused: 5 endpoint_name
    """,
    "endpoint.Endpoint": """
        1 address core.Address
        3 hostname string
        5 observability_name string
        ignored: 2 health_check_config, 4 additional_addresses
    """,
}
