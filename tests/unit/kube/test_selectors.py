from __future__ import annotations

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.kube.selectors import MAX_SELECTOR_CHARS, FieldSelector, LabelSelector

LABELS = {"app": "shop", "tier": "web", "serving.knative.dev/service": "cart"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=shop", True),
        ("app==shop,tier=web", True),
        ("app=other", False),
        ("app!=other", True),
        ("missing!=x", True),
        ("app in (shop, cart),tier", True),
        ("app notin (shop)", False),
        ("!missing", True),
        ("!app", False),
        ("serving.knative.dev/service=cart", True),
        ("empty=", False),
    ],
)
def test_label_selector_matches_as_in_kubernetes(text: str, selected: bool) -> None:
    assert LabelSelector.parse(text).matches(LABELS) is selected


@pytest.mark.parametrize("text", ["a=b=c", "app in shop", "=x", "a,,b"])
def test_unreadable_label_selector_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="labelSelector: cannot read the clause"):
        LabelSelector.parse(text)


def test_overlong_selectors_are_refused() -> None:
    for parse in (LabelSelector.parse, FieldSelector.parse):
        with pytest.raises(ConfigError, match=str(MAX_SELECTOR_CHARS)):
            parse("a" * (MAX_SELECTOR_CHARS + 1))


def test_selector_field_of_an_object_is_understood() -> None:
    selector = LabelSelector.of(
        {
            "matchLabels": {"app": "shop"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["web", "api"]},
                {"key": "canary", "operator": "DoesNotExist"},
            ],
        }
    )
    assert selector.matches(LABELS)
    assert not selector.matches({**LABELS, "canary": "yes"})
    assert not selector.matches(None)


def test_field_selector_reads_nested_fields_and_counts_absence_as_empty() -> None:
    pod = {"metadata": {"name": "a"}, "status": {"phase": "Running"}, "spec": {"paused": True}}
    assert FieldSelector.parse("metadata.name=a,status.phase!=Failed").matches(pod)
    assert FieldSelector.parse("spec.paused=true,spec.nodeName=").matches(pod)
    assert not FieldSelector.parse("status.phase==Pending").matches(pod)


def test_unreadable_field_selector_is_named() -> None:
    with pytest.raises(ConfigError, match="fieldSelector"):
        FieldSelector.parse("metadata.name")
