"""The policies by protocol: where Envoy's configuration says each, and which test shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNIT = "tests/unit/core/"
"""Where the tests are that are named here."""
_FRAMES = "test_frame_policies.py::"
_ENDPOINTS = "test_frame_endpoints.py::"
_OBSERVED = "test_frame_observed.py::"
"""Each test of these three runs for Bolt, Dubbo 2 and a declared protocol."""
_HTTP2 = "test_http2_policies.py::"
_HTTP2_ENDPOINTS = "test_http2_endpoints.py::"
_HTTP2_OBSERVED = "test_http2_observed.py::"
PROTOCOLS = ("HTTP/1.1", "HTTP/2, gRPC", "Bolt", "Dubbo 2", "declared")


@dataclass(frozen=True)
class Row:
    """One policy."""

    name: str
    fields: str
    """Where Envoy's configuration says it."""
    shown: Mapping[str, str]
    """Protocol -> `file::test` under UNIT, or why not."""


def _framed(shown: str) -> Mapping[str, str]:
    """Return what is shown for each protocol of whole frames alike."""
    return dict.fromkeys(("Bolt", "Dubbo 2", "declared"), shown)


ROWS = (
    Row(
        "routes by content",
        "match.headers, match.path",
        {
            "HTTP/1.1": "test_exchanges.py::test_a_header_match_and_a_split_choose_the_cluster",
            "HTTP/2, gRPC": f"{_HTTP2}test_a_header_chooses_the_route",
            **_framed(f"{_FRAMES}test_headers_and_methods_choose_the_route"),
        },
    ),
    Row(
        "weighted routes",
        "route.weighted_clusters",
        {
            "HTTP/1.1": "test_exchanges.py::test_a_header_match_and_a_split_choose_the_cluster",
            "HTTP/2, gRPC": f"{_HTTP2}test_weights_share_the_requests_out",
            **_framed(f"{_FRAMES}test_weights_share_the_calls_out"),
        },
    ),
    Row(
        "time of a request",
        "route.timeout",
        {
            "HTTP/1.1": "test_exchanges.py::test_a_slow_upstream_is_504_and_its_connection_is_given_up",
            "HTTP/2, gRPC": "test_http2.py::test_a_timeout_answers_the_client_and_cancels_the_upstream",
            **_framed(f"{_FRAMES}test_the_time_of_a_call_is_bounded"),
        },
    ),
    Row(
        "retry on statuses",
        "retry_policy.retry_on",
        {
            "HTTP/1.1": "test_retries.py::test_a_response_that_the_policy_names_is_asked_for_again",
            "HTTP/2, gRPC": "test_retries.py::test_a_grpc_status_in_the_head_is_tried_again",
            **_framed(f"{_FRAMES}test_who_says_that_he_has_failed_is_asked_again"),
            "Bolt": "test_retries.py::test_a_busy_bolt_server_is_asked_again",
        },
    ),
    Row(
        "retry on failures",
        "retry_policy.retry_on",
        {
            "HTTP/1.1": "test_retries.py::test_a_request_whose_endpoint_vanished_is_sent_again",
            "HTTP/2, gRPC": "test_retries.py::test_a_stream_the_endpoint_refused_is_tried_again",
            **_framed(f"{_FRAMES}test_a_call_whose_server_vanished_is_made_again_elsewhere"),
        },
    ),
    Row(
        "time of one try",
        "retry_policy.per_try_timeout",
        {
            "HTTP/1.1": "test_retries.py::test_a_try_that_takes_too_long_is_made_again_within_the_whole_time",
            "HTTP/2, gRPC": f"{_HTTP2}test_a_try_that_takes_too_long_is_made_again_and_the_first_is_given_up",
            **_framed(f"{_FRAMES}test_a_try_that_takes_too_long_is_made_again"),
        },
    ),
    Row(
        "limits on retries",
        "circuit_breakers.max_retries, retry_budget",
        {
            "HTTP/1.1": "test_retries.py::test_retries_under_way_are_bounded_by_the_cluster",
            "HTTP/2, gRPC": f"{_HTTP2}test_retries_under_way_are_bounded_by_the_cluster",
            **_framed(f"{_FRAMES}test_retries_under_way_are_bounded_by_the_cluster"),
        },
    ),
    Row(
        "requests in flight",
        "circuit_breakers.max_requests",
        {
            "HTTP/1.1": "test_breakers.py::test_requests_beyond_the_limit_are_refused_at_once",
            "HTTP/2, gRPC": f"{_HTTP2}test_requests_beyond_the_limit_are_refused_at_once",
            **_framed(f"{_FRAMES}test_requests_beyond_the_limit_are_told_busy"),
            "Bolt": "test_breakers.py::test_a_bolt_caller_is_told_busy",
        },
    ),
    Row(
        "requests that wait",
        "circuit_breakers.max_pending_requests",
        {
            "HTTP/1.1": "test_breakers.py::test_who_waits_for_a_connection_counts_from_the_first_on",
            "HTTP/2, gRPC": "test_breakers.py::test_streams_that_wait_for_one_connection_are_counted_one_by_one",
            **_framed(f"{_FRAMES}test_calls_that_wait_for_a_connection_are_bounded"),
        },
    ),
    Row(
        "connections",
        "circuit_breakers.max_connections",
        {
            "HTTP/1.1": "test_breakers.py::test_beyond_their_connections_requests_wait_within_a_limit",
            "HTTP/2, gRPC": f"{_HTTP2}test_streams_beyond_what_the_connections_carry_wait_within_a_limit",
            **_framed(f"{_FRAMES}test_calls_beyond_what_one_connection_carries_wait_within_a_limit"),
            "Bolt": "test_bolt.py::test_requests_on_one_connection_are_bounded",
        },
    ),
    Row(
        "outliers",
        "outlier_detection",
        {
            "HTTP/1.1": "test_outliers.py::test_who_fails_in_a_row_is_given_nothing_for_its_time",
            "HTTP/2, gRPC": "test_outliers.py::test_grpc_failures_are_judged_by_their_status",
            **_framed(f"{_FRAMES}test_who_fails_in_a_row_is_given_nothing_for_its_time"),
            "Bolt": "test_outliers.py::test_a_busy_bolt_server_is_ejected",
        },
    ),
    Row(
        "panic threshold",
        "common_lb_config.healthy_panic_threshold",
        {
            "HTTP/1.1": "test_outliers.py::test_in_a_panic_all_endpoints_get_requests",
            "HTTP/2, gRPC": f"{_HTTP2_ENDPOINTS}test_in_a_panic_all_endpoints_get_requests",
            **_framed(f"{_ENDPOINTS}test_in_a_panic_all_endpoints_get_calls"),
        },
    ),
    Row(
        "health checks",
        "health_checks",
        {
            "HTTP/1.1": "test_health_checks.py::test_an_endpoint_gets_requests_from_its_first_good_check_on",
            "HTTP/2, gRPC": "test_health_checks.py::test_a_grpc_server_is_asked_by_the_health_protocol",
            **_framed(f"{_FRAMES}test_a_connection_is_all_that_a_check_wants"),
            "Bolt": "test_health_checks.py::test_a_connection_is_all_that_a_tcp_check_wants",
        },
    ),
    Row(
        "turns",
        "lb_policy ROUND_ROBIN",
        {
            "HTTP/1.1": "test_balancing.py::test_endpoints_take_turns",
            "HTTP/2, gRPC": f"{_HTTP2_ENDPOINTS}test_endpoints_take_turns",
            **_framed(f"{_ENDPOINTS}test_endpoints_take_turns"),
        },
    ),
    Row(
        "lots",
        "lb_policy RANDOM",
        {
            "HTTP/1.1": "test_balancing.py::test_endpoints_are_drawn_by_lot",
            "HTTP/2, gRPC": f"{_HTTP2_ENDPOINTS}test_endpoints_are_drawn_by_lot",
            **_framed(f"{_ENDPOINTS}test_endpoints_are_drawn_by_lot"),
        },
    ),
    Row(
        "the less loaded of two",
        "lb_policy LEAST_REQUEST",
        {
            "HTTP/1.1": "test_balancing.py::test_of_two_endpoints_the_less_loaded_gets_the_request",
            "HTTP/2, gRPC": f"{_HTTP2_ENDPOINTS}test_of_two_endpoints_the_less_loaded_gets_the_request",
            **_framed(f"{_ENDPOINTS}test_of_two_endpoints_the_less_loaded_gets_the_call"),
        },
    ),
    Row(
        "hashing",
        "lb_policy RING_HASH, MAGLEV; hash_policy",
        {
            "HTTP/1.1": "test_hashing.py::test_what_is_hashed_alike_goes_to_one_endpoint_and_all_get_some",
            "HTTP/2, gRPC": "test_hashing.py::test_grpc_calls_are_hashed_by_their_headers",
            **_framed(f"{_ENDPOINTS}test_calls_are_hashed_by_their_headers"),
        },
    ),
    Row(
        "copies",
        "request_mirror_policies",
        {
            "HTTP/1.1": "test_mirrors.py::test_a_copy_is_the_request_under_a_marked_host_and_its_answer_goes_nowhere",
            "HTTP/2, gRPC": "test_mirrors.py::test_http2_requests_are_copied_with_their_trailers",
            **_framed(f"{_FRAMES}test_a_call_is_copied_under_an_id_of_its_own"),
            "Bolt": "test_mirrors.py::test_a_bolt_call_is_copied_under_an_id_of_its_own",
        },
    ),
    Row(
        "priorities",
        "endpoints.priority",
        {
            "HTTP/1.1": "test_balancing.py::test_the_next_priority_takes_what_the_first_cannot",
            "HTTP/2, gRPC": f"{_HTTP2_ENDPOINTS}test_the_next_priority_takes_what_the_first_cannot",
            **_framed(f"{_ENDPOINTS}test_the_next_priority_takes_what_the_first_cannot"),
        },
    ),
    Row(
        "localities",
        "locality_weighted_lb_config",
        {
            "HTTP/1.1": "test_balancing.py::test_localities_share_by_their_weights",
            "HTTP/2, gRPC": f"{_HTTP2_ENDPOINTS}test_localities_share_by_their_weights",
            **_framed(f"{_ENDPOINTS}test_localities_share_by_their_weights"),
        },
    ),
    Row(
        "subsets",
        "lb_subset_config, metadata_match",
        {
            "HTTP/1.1": "test_subsets.py::test_a_subset_is_chosen_by_metadata",
            "HTTP/2, gRPC": f"{_HTTP2_ENDPOINTS}test_a_subset_is_chosen_by_metadata",
            **_framed(f"{_ENDPOINTS}test_a_subset_is_chosen_by_metadata"),
        },
    ),
    Row(
        "regular expressions",
        "match.safe_regex, safe_regex_match",
        {
            "HTTP/1.1": "test_exchanges.py::test_an_expression_chooses_a_route",
            "HTTP/2, gRPC": f"{_HTTP2}test_an_expression_chooses_the_route_by_path",
            **_framed(f"{_FRAMES}test_an_expression_chooses_a_route"),
        },
    ),
    Row(
        "CORS",
        "http_filters cors, typed_per_filter_config",
        {
            "HTTP/1.1": "test_cors.py::test_a_preflight_of_an_allowed_origin_is_answered_here",
            "HTTP/2, gRPC": "test_cors.py::test_http2_callers_are_told_too_and_edits_of_the_request_change_nothing",
            **_framed("browsers do not speak it"),
        },
    ),
    Row(
        "rules by roles",
        "http_filters rbac, typed_per_filter_config",
        {
            "HTTP/1.1": "test_access.py::test_who_may_not_is_refused_in_envoys_words_and_counted",
            "HTTP/2, gRPC": "test_access.py::test_a_grpc_caller_is_told_permission_denied",
            **_framed(f"{_FRAMES}test_who_may_not_call_is_told_an_error"),
            "Bolt": "test_access.py::test_a_bolt_caller_is_told_an_error_and_is_known_by_its_headers",
        },
    ),
    Row(
        "tokens",
        "http_filters jwt_authn, typed_per_filter_config",
        {
            "HTTP/1.1": "test_jwt.py::test_a_refused_caller_is_told_how_to_ask",
            "HTTP/2, gRPC": "test_jwt.py::test_a_grpc_caller_is_told_unauthenticated",
            **_framed(f"{_FRAMES}test_who_shows_no_good_token_is_told_an_error"),
        },
    ),
    Row(
        "authorization services",
        "http_filters ext_authz, typed_per_filter_config",
        {
            "HTTP/1.1": "test_authz.py::test_a_refusal_is_what_the_service_says",
            "HTTP/2, gRPC": "test_authz.py::test_a_grpc_caller_is_told_by_its_own_status",
            **_framed(f"{_FRAMES}test_whoever_is_asked_says_which_calls_go_on"),
        },
    ),
    Row(
        "filters in Python",
        "http_filters python_filter, typed_per_filter_config",
        {
            "HTTP/1.1": "test_python_filters.py::test_it_is_answered_as_the_filter_says",
            "HTTP/2, gRPC": "test_python_filters.py::test_a_grpc_caller_is_told_by_its_own_status",
            **_framed("test_python_filters.py::test_a_filter_decides_about_calls_of_every_protocol"),
        },
    ),
    Row(
        "rate limit",
        "http_filters local_ratelimit, typed_per_filter_config",
        {
            "HTTP/1.1": "test_filters.py::test_requests_beyond_the_limit_are_refused_until_tokens_come",
            "HTTP/2, gRPC": "test_filters.py::test_a_grpc_caller_is_told_by_its_status",
            **_framed(f"{_FRAMES}test_calls_beyond_the_rate_are_told_busy_until_tokens_come"),
            "Bolt": "test_filters.py::test_a_bolt_caller_is_told_busy",
        },
    ),
    Row(
        "faults on purpose",
        "http_filters fault, typed_per_filter_config",
        {
            "HTTP/1.1": "test_filters.py::test_a_delay_comes_before_anything_is_sent",
            "HTTP/2, gRPC": "test_filters.py::test_faults_are_told_in_the_caller_s_protocol",
            **_framed(f"{_FRAMES}test_faults_are_told_in_the_protocol_s_own_words"),
            "Bolt": "test_filters.py::test_faults_are_told_in_the_caller_s_protocol",
        },
    ),
    Row(
        "edits of headers",
        "request_headers_to_add, response_headers_to_add",
        {
            "HTTP/1.1": "test_http1.py::test_header_edits_apply_both_ways",
            "HTTP/2, gRPC": f"{_HTTP2}test_header_fields_are_edited_both_ways",
            "Bolt": "test_bolt.py::test_an_edited_header_map_keeps_the_frame_consistent",
            "Dubbo 2": "refused: attachments lie in the one body with the arguments, which pass as they came",
            "declared": "refused: a declaration says how frames are read, not how they are written anew",
        },
    ),
    Row(
        "edits of answers of the mesh",
        "direct_response, redirect; response_headers_to_add",
        {
            "HTTP/1.1": "test_filters.py::test_answers_of_the_mesh_carry_the_edits_of_their_route",
            "HTTP/2, gRPC": "test_filters.py::test_answers_of_the_mesh_carry_the_edits_of_their_route",
            **_framed("its answers have no headers that a client would read"),
        },
    ),
    Row(
        "access log and counters",
        "access_log; /stats",
        {
            "HTTP/1.1": "test_exchanges.py::test_the_access_log_has_a_line_for_every_exchange",
            "HTTP/2, gRPC": f"{_HTTP2_OBSERVED}test_every_request_is_logged_with_its_answer",
            **_framed(f"{_FRAMES}test_every_call_is_counted_and_logged"),
        },
    ),
    Row(
        "TLS and mTLS",
        "transport_socket",
        {
            "HTTP/1.1": "test_tls.py::test_requests_come_in_under_tls_however_they_are_cut",
            "HTTP/2, gRPC": "test_tls.py::test_http2_is_agreed_on",
            **_framed("test_tls.py::test_calls_of_frames_pass_under_mtls_on_both_sides"),
        },
    ),
    Row(
        "tracing",
        "tracing",
        {
            "HTTP/1.1": "test_tracing.py::test_two_hops_are_one_chain_of_parents",
            "HTTP/2, gRPC": f"{_HTTP2_OBSERVED}test_a_request_is_a_span_of_the_trace_that_it_names",
            **_framed(f"{_OBSERVED}test_a_call_is_a_span_of_the_trace_that_it_names"),
        },
    ),
    Row(
        "tap",
        "eventmesh tap",
        {
            "HTTP/1.1": "test_tap.py::test_an_exchange_is_seen_whole",
            "HTTP/2, gRPC": f"{_HTTP2_OBSERVED}test_a_request_is_seen_by_the_tap",
            **_framed(f"{_OBSERVED}test_a_call_is_seen_by_the_tap"),
        },
    ),
    Row(
        "drain",
        "POST /drain_listeners, SIGTERM",
        {
            "HTTP/1.1": "test_exchanges.py::test_a_drain_finishes_what_is_in_flight_and_closes_what_is_idle",
            "HTTP/2, gRPC": "test_http2.py::test_draining_tells_clients_twice_and_finishes_what_is_open",
            **_framed(f"{_FRAMES}test_a_drained_caller_has_its_answer_and_is_let_go"),
        },
    ),
)
