"""What random histories are made of: small pools, so that writers meet at the same fields."""

from __future__ import annotations

from typing import Any

LABEL_SELECTORS = (
    "tier=web",
    "tier!=web",
    "tier in (web,db)",
    "tier notin (db)",
    "tier",
    "!tier",
    "x=1,tier=web",
    "tier==",
    "a b",
    "tier>1",
)
FIELD_SELECTORS = (
    "metadata.name=a",
    "metadata.name!=a",
    "spec.color=red",
    "spec.size=3",
    "spec.color!=red,metadata.name=b",
    "spec.title=x",
    "nonsense",
)
UNREADABLE: tuple[dict[str, str], ...] = (
    {"limit": "many"},
    {"continue": "no token"},
    {"continue": "no token", "resourceVersion": "1"},
    {"resourceVersion": "newest"},
    {"resourceVersion": "-1"},
    {"resourceVersionMatch": "Exact"},
    {"resourceVersionMatch": "Sometimes", "resourceVersion": "1"},
    {"sendInitialEvents": "true"},
    {"watch": "1", "resourceVersion": "newest"},
    {"watch": "1", "sendInitialEvents": "true"},
    {"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "Exact", "resourceVersion": "1"},
    {"watch": "1", "resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"},
    {"watch": "1", "continue": "no token", "limit": "x"},
    {"timeoutSeconds": "soon"},
)
"""Queries of lists and watches that are refused."""
GOOD: dict[str, list[Any]] = {
    "color": ["red", "green", "blue"],
    "title": ["Abc", "Defgh"],
    "size": [0, 7, 100],
    "replicas": [0, 1, 4],
    "ratio": [0.5, 2, 2.5],
    "even": [0, 2],
    "enabled": [True, False],
    "note": ["n1", "n2"],
    "remark": ["r1"],
    "port": [80, "http"],
    "free": [{"kept": "k", "any": {"thing": [1, 2]}}, {"any": None}, {}],
    "labels": [{"a": "1"}, {"a": "2", "b": "1"}],
    "limits": [{"one": {}}, {"one": {"cpu": 2}, "two": {"memory": "1Gi"}}, {"two": {"cpu": 1}}],
    "parts": [
        [{"name": "p"}],
        [{"name": "p", "weight": 2, "tags": ["s"]}, {"name": "q", "tags": ["s", "t"]}],
        [{"name": "q"}, {"name": "r", "weight": 9}],
        [{"name": "r"}, {"name": "p"}],
        [],
    ],
    "ports": [
        [{"number": 80}],
        [{"number": 80, "protocol": "UDP"}, {"number": 80, "name": "web"}],
        [{"number": 443, "protocol": "TCP"}],
    ],
    "tags": [["t"], ["t", "u"], ["v", "t"], []],
    "steps": [["one"], ["one", "two"], ["two", "one", "one"]],
    "frozen": [{"one": "1"}, {"one": "2", "two": 2}],
    "nested": [{}, {"deep": {}}, {"deep": {"value": 1}}, {"deep": {"other": "o"}}],
    "when": ["2020-01-02T03:04:05Z"],
    "choice": [{"a": "1"}, {"b": "1"}],
}
BAD: dict[str, list[Any]] = {
    "color": ["pink", 5, None],
    "title": ["x", "much too long a title", "1st"],
    "size": [101, -1, "7", 1.5],
    "ratio": [0, -0.5, "1"],
    "even": [3],
    "enabled": ["true", 1],
    "port": [True, 1.5, {}],
    "labels": [{"a": 1}, {"a": "1", "b": "2", "c": "3", "d": "4"}, []],
    "parts": [[{"name": "p"}, {"name": "p"}], [{"weight": 1}], [1], "p"],
    "ports": [[{"number": 80}, {"number": 80, "protocol": "TCP"}]],
    "tags": [["t", "t"], ["a", "b", "c", "d", "e"], "t"],
    "steps": [[], [1]],
    "frozen": [{"one": 1}],
    "nested": [{"deep": {"value": "x", "unheard": 1}}, {"shallow": 1}, None],
    "when": ["yesterday"],
    "choice": [{}, {"a": "1", "b": "1"}],
    "unheard": [1, {"of": 2}],
    "replicas": [3000000000, -1],
}
