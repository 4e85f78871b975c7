from __future__ import annotations

import pytest

from eventmesh.cluster.api.paths import MAX_WATCH_S, Target, parse_path, watch_options
from eventmesh.kube.api import ApiError


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/pods", Target("", "v1", "pods")),
        ("/api/v1/namespaces", Target("", "v1", "namespaces")),
        ("/api/v1/namespaces/shop", Target("", "v1", "namespaces", name="shop")),
        ("/api/v1/namespaces/shop/status", Target("", "v1", "namespaces", name="shop", subresource="status")),
        ("/api/v1/namespaces/shop/finalize", Target("", "v1", "namespaces", name="shop", subresource="finalize")),
        ("/api/v1/namespaces/shop/pods/p/log", Target("", "v1", "pods", "shop", "p", "log")),
        ("/apis/apps/v1/namespaces/shop/deployments/d", Target("apps", "v1", "deployments", "shop", "d")),
        ("/apis/apps/v1/deployments", Target("apps", "v1", "deployments")),
        ("/apis/a.b/v1/widgets/w", Target("a.b", "v1", "widgets", name="w")),
        ("/apis/a.b/v1", None),
        ("/api", None),
        ("/metrics", None),
        ("/api/v1/namespaces/shop/pods/p/log/more", None),
    ],
)
def test_paths_of_resources(path: str, target: Target | None) -> None:
    assert parse_path(path) == target


def test_watch_is_bounded_in_time_and_from_now_without_a_version() -> None:
    options = watch_options({"timeoutSeconds": "999999"})
    assert (options.after, options.initial_events, options.timeout_s) == (None, True, MAX_WATCH_S)
    resumed = watch_options({"resourceVersion": "7", "allowWatchBookmarks": "true"})
    assert (resumed.after, resumed.initial_events, resumed.bookmarks) == (7, False, True)


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ({"limit": "x"}, 400, ['query parameter limit: "x" is not']),
        ({"timeoutSeconds": "soon"}, 400, ['query parameter timeoutSeconds: "soon" is not']),
        ({"sendInitialEvents": "true"}, 422, ["Forbidden: sendInitialEvents requires"]),
        (
            {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
            422,
            ["Forbidden: sendInitialEvents requires", 'Unsupported value: "Exact": supported values: "NotOlderThan"'],
        ),
        ({"resourceVersionMatch": "Exact"}, 422, ["Forbidden: resourceVersionMatch is forbidden for watch unless"]),
    ],
)
def test_a_watch_that_cannot_be_meant_is_refused_by_all_that_is_wrong(
    query: dict[str, str], code: int, words: list[str]
) -> None:
    with pytest.raises(ApiError) as refused:
        watch_options(query)
    assert refused.value.code == code
    told = [cause["message"] for cause in refused.value.details.get("causes", ())] or [refused.value.message]
    assert all(word in cause for word, cause in zip(words, told, strict=True))


def test_watch_list_begins_with_everything_whatever_the_version() -> None:
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": "7"}
    options = watch_options(query)
    assert (options.after, options.initial_events) == (None, True)
    assert options.ends_initial and options.not_older_than == 7
    query["sendInitialEvents"] = "false"
    assert watch_options(query).after == 7


def test_timeout_that_is_no_number_is_named() -> None:
    with pytest.raises(ApiError, match="timeoutSeconds"):
        watch_options({"timeoutSeconds": "-1"})
