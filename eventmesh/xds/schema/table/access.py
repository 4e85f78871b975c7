"""Who may do what: the filters rbac, and what their rules are made of."""

ENUMS = {
    "RuleAction": "ALLOW DENY LOG",
}

MESSAGES = {
    "http_rbac.RBAC": """
        1 rules rbac.RBAC
        2 shadow_rules rbac.RBAC
        3 shadow_rules_stat_prefix string
        ignored: 6 rules_stat_prefix, 7 track_per_rule_stats
        refused: 4 matcher, 5 shadow_matcher
    """,
    "http_rbac.RBACPerRoute": """
        2 rbac http_rbac.RBAC
    """,
    "rbac.RBAC": """
        1 action RuleAction
        2 policies rbac.Policy{}
        refused: 3 audit_logging_options
    """,
    "rbac.Policy": """
        1 permissions rbac.Permission[]
        2 principals rbac.Principal[]
        refused: 3 condition, 4 checked_condition, 5 cel_config
    """,
    "rbac.Permission": """
        1 and_rules rbac.Permission.Set |rule
        2 or_rules rbac.Permission.Set |rule
        3 any bool |rule
        4 header route.HeaderMatcher |rule
        10 url_path matcher.PathMatcher |rule
        5 destination_ip core.CidrRange |rule
        6 destination_port uint32 |rule
        11 destination_port_range type.Int32Range |rule
        7 metadata matcher.MetadataMatcher |rule
        8 not_rule rbac.Permission |rule
        9 requested_server_name matcher.StringMatcher |rule
        refused: 12 matcher, 13 uri_template, 14 sourced_metadata
    """,
    "rbac.Permission.Set": """
        1 rules rbac.Permission[]
    """,
    "rbac.Principal": """
        1 and_ids rbac.Principal.Set |identifier
        2 or_ids rbac.Principal.Set |identifier
        3 any bool |identifier
        4 authenticated rbac.Principal.Authenticated |identifier
        5 source_ip core.CidrRange |identifier
        10 direct_remote_ip core.CidrRange |identifier
        11 remote_ip core.CidrRange |identifier
        6 header route.HeaderMatcher |identifier
        9 url_path matcher.PathMatcher |identifier
        7 metadata matcher.MetadataMatcher |identifier
        8 not_id rbac.Principal |identifier
        refused: 12 filter_state, 13 sourced_metadata, 14 custom
    """,
    "rbac.Principal.Set": """
        1 ids rbac.Principal[]
    """,
    "rbac.Principal.Authenticated": """
        2 principal_name matcher.StringMatcher
    """,
    "core.CidrRange": """
        1 address_prefix string
        2 prefix_len uint32?
    """,
    "matcher.PathMatcher": """
        1 path matcher.StringMatcher |rule
    """,
    "matcher.MetadataMatcher": """
        1 filter string
        2 path matcher.MetadataMatcher.PathSegment[]
        3 value matcher.ValueMatcher
        4 invert bool
    """,
    "matcher.MetadataMatcher.PathSegment": """
        1 key string |segment
    """,
    "matcher.ValueMatcher": """
        1 null_match matcher.ValueMatcher.NullMatch |match_pattern
        2 double_match matcher.DoubleMatcher |match_pattern
        3 string_match matcher.StringMatcher |match_pattern
        4 bool_match bool |match_pattern
        5 present_match bool |match_pattern
        6 list_match matcher.ListMatcher |match_pattern
        7 or_match matcher.OrMatcher |match_pattern
    """,
    "matcher.ValueMatcher.NullMatch": "",
    "matcher.DoubleMatcher": """
        1 range type.DoubleRange |match_pattern
        2 exact double |match_pattern
    """,
    "matcher.ListMatcher": """
        1 one_of matcher.ValueMatcher |match_pattern
    """,
    "matcher.OrMatcher": """
        1 value_matchers matcher.ValueMatcher[]
    """,
    "type.Int32Range": """
        1 start int32
        2 end int32
    """,
    "type.DoubleRange": """
        1 start double
        2 end double
    """,
}
