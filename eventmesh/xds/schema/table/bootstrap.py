"""envoy.config.bootstrap.v3: the file a proxy starts with."""

ENUMS: dict[str, str] = {}

MESSAGES = {
    # Tuning and statistics of Envoy's own process are ignored; what would move traffic or names is refused.
    "bootstrap.Bootstrap": """
        1 node core.Node
        2 static_resources bootstrap.Bootstrap.StaticResources
        3 dynamic_resources bootstrap.Bootstrap.DynamicResources
        12 admin bootstrap.Admin
        ignored: 26 node_context_params, 4 cluster_manager, 5 flags_path, 6 stats_sinks, 39 deferred_stat_options
        ignored: 13 stats_config, 7 stats_flush_interval, 29 stats_flush_on_admin, 42 stats_eviction_interval
        ignored: 8 watchdog, 27 watchdogs, 17 layered_runtime, 16 enable_dispatcher_stats, 18 header_prefix
        ignored: 19 stats_server_version_override, 20 use_tcp_for_dns_lookups, 32 inline_headers
        ignored: 33 perf_tracing_file_path, 34 default_regex_engine, 36 xds_config_tracker_extension
        ignored: 38 application_log_config, 40 grpc_async_client_manager_config, 41 memory_allocator_manager
        ignored: 43 enable_worker_cpu_affinity
        9 tracing trace.Tracing
        21 bootstrap_extensions core.TypedExtensionConfig[]
        refused: 14 hds_config, 15 overload_manager, 30 dns_resolution_config
        refused: 31 typed_dns_resolver_config, 28 fatal_actions, 22 config_sources
        refused: 23 default_config_source, 24 default_socket_interface, 25 certificate_provider_instances
        refused: 35 xds_delegate_extension, 37 listener_manager
    """,
    "bootstrap.Bootstrap.StaticResources": """
        1 listeners listener.Listener[]
        2 clusters cluster.Cluster[]
        3 secrets tls.Secret[]
    """,
    "bootstrap.Bootstrap.DynamicResources": """
        1 lds_config core.ConfigSource
        2 cds_config core.ConfigSource
        3 ads_config core.ApiConfigSource
        refused: 5 lds_resources_locator, 6 cds_resources_locator
    """,
    # Ours: a data plane's certificate in exchange for its token (docs/identity.md).
    "workload_identity.WorkloadIdentity": """
        1 cluster string
        2 token_file string
        3 trust_domain string
    """,
    # Istio's call for that (istio/api security/v1alpha1/ca.proto).
    "istio_ca.IstioCertificateRequest": """
        1 csr string
        3 validity_duration int64
        ignored: 4 metadata
    """,
    "istio_ca.IstioCertificateResponse": """
        1 cert_chain string[]
    """,
    "bootstrap.Admin": """
        3 address core.Address
        ignored: 5 access_log, 1 access_log_path, 2 profile_path, 6 ignore_global_conn_limit
        refused: 4 socket_options, 7 allow_paths
    """,
}
