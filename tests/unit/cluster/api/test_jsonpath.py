from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api.jsonpath import MAX_PATH_CHARS, find, first, parse, replace

OBJ: dict[str, Any] = {
    "metadata": {"labels": {"serving.knative.dev/configuration": "cart"}},
    "status": {
        "url": "http://cart",
        "conditions": [{"type": "Active", "status": "False"}, {"type": "Ready", "status": "True"}],
        "traffic": [{"percent": 40}, {"percent": 60}],
    },
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".status.url", ["http://cart"]),
        ("{.status.url}", ["http://cart"]),
        ("$.status.url", ["http://cart"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type == "Ready")].status', ["True"]),
        (r".metadata.labels['serving\.knative\.dev/configuration']", ["cart"]),
        (r".metadata.labels.serving\.knative\.dev/configuration", ["cart"]),
        (".status.traffic[*].percent", [40, 60]),
        (".status.traffic[1].percent", [60]),
        (".status.traffic[-1].percent", [60]),
        (".status.traffic[7].percent", []),
        (".status.missing.deeper", []),
        (".status.url[0]", []),
    ],
)
def test_paths_of_printer_columns(path: str, values: list[Any]) -> None:
    assert find(OBJ, path) == values
    assert first(OBJ, path) == (values[0] if values else None)


@pytest.mark.parametrize("path", [".a[?(@.b>1)]", ".a[", ".a[?(@.b=='x'"])
def test_unreadable_path_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        parse(path)


def test_overlong_path_is_refused() -> None:
    with pytest.raises(ConfigError, match=str(MAX_PATH_CHARS)):
        parse("." + "a" * MAX_PATH_CHARS)


def test_replace_makes_the_way() -> None:
    obj: dict[str, Any] = {}
    replace(obj, ".spec.replicas", 3)
    assert obj == {"spec": {"replicas": 3}}


@pytest.mark.parametrize("path", [".a[0].b", ".a[*]"])
def test_only_fields_can_be_written(path: str) -> None:
    with pytest.raises(ConfigError, match="only fields"):
        replace({}, path, 1)
