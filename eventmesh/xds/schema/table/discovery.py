"""envoy.service.discovery.v3: the requests and responses of ADS, state of the world and delta."""

ENUMS: dict[str, str] = {}

MESSAGES = {
    "discovery.DiscoveryRequest": """
        1 version_info string
        2 node core.Node
        3 resource_names string[]
        4 type_url string
        5 response_nonce string
        6 error_detail rpc.Status
        ignored: 7 resource_locators
    """,
    "discovery.DiscoveryResponse": """
        1 version_info string
        2 resources protobuf.Any[]
        4 type_url string
        5 nonce string
        ignored: 3 canary, 6 control_plane, 7 resource_errors
    """,
    "discovery.DeltaDiscoveryRequest": """
        1 node core.Node
        2 type_url string
        3 resource_names_subscribe string[]
        4 resource_names_unsubscribe string[]
        5 initial_resource_versions string{}
        6 response_nonce string
        7 error_detail rpc.Status
        ignored: 8 resource_locators_subscribe, 9 resource_locators_unsubscribe
    """,
    "discovery.DeltaDiscoveryResponse": """
        1 system_version_info string
        2 resources discovery.Resource[]
        4 type_url string
        5 nonce string
        6 removed_resources string[]
        ignored: 7 control_plane, 8 removed_resource_names, 9 resource_errors
    """,
    "discovery.Resource": """
        1 version string
        2 resource protobuf.Any
        3 name string
        ignored: 4 aliases, 6 ttl, 7 cache_control, 8 resource_name, 9 metadata
    """,
    # As a message of its own an Any keeps its bytes: resources are unpacked one by one, each with its own verdict.
    "protobuf.Any": """
        1 type_url string
        2 value bytes
    """,
    "rpc.Status": """
        1 code int32
        2 message string
        ignored: 3 details
    """,
}
