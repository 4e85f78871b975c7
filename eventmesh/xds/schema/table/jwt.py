"""The filter jwt_authn."""

ENUMS: dict[str, str] = {}

MESSAGES = {
    "jwt_authn.JwtAuthentication": """
        1 providers jwt_authn.JwtProvider{}
        2 rules jwt_authn.RequirementRule[]
        4 bypass_cors_preflight bool
        5 requirement_map jwt_authn.JwtRequirement{}
        6 strip_failure_response bool only false
        ignored: 7 stat_prefix
        refused: 3 filter_state_rules
    """,
    "jwt_authn.JwtProvider": """
        1 issuer string
        2 audiences string[]
        19 subjects matcher.StringMatcher
        20 require_expiration bool
        21 max_lifetime duration
        3 remote_jwks jwt_authn.RemoteJwks |jwks_source_specifier
        4 local_jwks core.DataSource |jwks_source_specifier
        5 forward bool
        6 from_headers jwt_authn.JwtHeader[]
        7 from_params string[]
        13 from_cookies string[]
        8 forward_payload_header string
        11 pad_forward_payload_header bool
        9 payload_in_metadata string
        18 normalize_payload_in_metadata jwt_authn.JwtProvider.NormalizePayload
        14 header_in_metadata string
        10 clock_skew_seconds uint32
        15 claim_to_headers jwt_authn.JwtClaimToHeader[]
        17 clear_route_cache bool only false
        ignored: 12 jwt_cache_config
        refused: 16 failed_status_in_metadata
    """,
    "jwt_authn.JwtProvider.NormalizePayload": """
        1 space_delimited_claims string[]
    """,
    "jwt_authn.JwtHeader": """
        1 name string
        2 value_prefix string
    """,
    "jwt_authn.JwtClaimToHeader": """
        1 header_name string
        2 claim_name string
    """,
    "jwt_authn.RemoteJwks": """
        1 http_uri core.HttpUri
        2 cache_duration duration
        3 async_fetch jwt_authn.JwksAsyncFetch
        ignored: 4 retry_policy
    """,
    "jwt_authn.JwksAsyncFetch": """
        2 failed_refetch_duration duration
        ignored: 1 fast_listener
    """,
    "jwt_authn.RequirementRule": """
        1 match route.RouteMatch
        2 requires jwt_authn.JwtRequirement |requirement_type
        3 requirement_name string |requirement_type
    """,
    "jwt_authn.JwtRequirement": """
        1 provider_name string |requires_type
        2 provider_and_audiences jwt_authn.ProviderWithAudiences |requires_type
        3 requires_any jwt_authn.JwtRequirementOrList |requires_type
        4 requires_all jwt_authn.JwtRequirementAndList |requires_type
        5 allow_missing_or_failed protobuf.Empty |requires_type
        6 allow_missing protobuf.Empty |requires_type
        refused: 7 extract_only_without_validation
    """,
    "jwt_authn.ProviderWithAudiences": """
        1 provider_name string
        2 audiences string[]
    """,
    "jwt_authn.JwtRequirementOrList": """
        1 requirements jwt_authn.JwtRequirement[]
    """,
    "jwt_authn.JwtRequirementAndList": """
        1 requirements jwt_authn.JwtRequirement[]
    """,
    "jwt_authn.PerRouteConfig": """
        1 disabled bool |requirement_specifier
        2 requirement_name string |requirement_specifier
    """,
    "protobuf.Empty": "",
}
