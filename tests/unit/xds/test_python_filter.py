"""The filter of ours that asks a function in Python, of listeners and routes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.access import AccessStep, Off
from eventmesh.model.authz import FilterConfig, PythonFilter
from tests.unit.xds.test_http_filters import listener_of

PACKAGE = "type.googleapis.com/eventmesh.extensions.filters.http.python_filter.v3"
NAMED = {"file": "a.py", "name": "one"}


def read(**fields: Any) -> AccessStep:
    filters = listener_of({"@type": f"{PACKAGE}.PythonFilter", **fields}).listener.filters
    assert filters is not None
    return filters.access[0]


def of_route(**fields: Any) -> AccessStep:
    found = listener_of(route={"ask": {"@type": f"{PACKAGE}.PythonFilterPerRoute", **fields}}).inline
    assert found is not None
    filters = found.virtual_hosts[0].routes[0].filters
    assert filters is not None
    return filters.access[0]


def test_a_filter_is_read() -> None:
    assert read(**NAMED) == AccessStep("0", PythonFilter("a.py", "one"))
    terms = {"timeout": "0.5s", "failure_mode_allow": True, "status_on_error": {"code": "BadGateway"}}
    assert read(**NAMED, **terms) == AccessStep("0", PythonFilter("a.py", "one", 0.5, True, 502))


def test_a_route_names_another_or_none() -> None:
    assert of_route(disabled=True) == AccessStep("ask", Off())
    assert of_route(filter=NAMED) == AccessStep("ask", PythonFilter("a.py", "one"))


def test_what_a_filter_is_made_with_is_read_with_whole_numbers_as_such() -> None:
    said = {"most": 5, "share": 0.5, "in": [1, {"a": None, "b": True}], "text": "5"}
    wanted = PythonFilter("a.py", "one", config=FilterConfig.of(said))
    assert read(**NAMED, config=said).step == wanted and of_route(filter={**NAMED, "config": said}).step == wanted
    assert wanted.config is not None
    assert json.loads(wanted.config.text) == said and '"most":5,' in wanted.config.text
    # An empty object, which bytes cannot tell from none in every place, says nothing.
    assert read(**NAMED, config={}).step == PythonFilter("a.py", "one")


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"config: .*JSON"):
        read(**NAMED, config={"most": math.inf})


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "one"}, "file"),
        ({"file": "a.py"}, "name"),
        ({**NAMED, "timeout": "0s"}, "timeout"),
        ({**NAMED, "timeout": "61s"}, "timeout"),
        ({**NAMED, "status_on_error": {"code": "Continue"}}, "status_on_error.code"),
    ],
)
def test_what_would_not_happen_is_refused_by_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(**fields)
    assert path in str(refused.value)


def test_a_route_that_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="filter"):
        of_route()
