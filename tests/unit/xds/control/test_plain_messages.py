"""Generated messages are plain dataclasses in a process of control, and mean what they mean with validators."""

from __future__ import annotations

import subprocess
import sys

ROUTES = """
from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption
from envoy_data_plane.envoy.config.route.v3 import Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost
from datetime import timedelta
action = RouteAction(cluster="a", timeout=timedelta(seconds=2.5))
added = [HeaderValueOption(header=HeaderValue(key="x", value="y"))]
route = Route(name="r", match=RouteMatch(prefix="/"), route=action, request_headers_to_add=added)
made = RouteConfiguration(name="t", virtual_hosts=[VirtualHost(name="h", domains=["*"], routes=[route])])
assert RouteConfiguration.parse(bytes(made)) == made
print(hasattr(RouteConfiguration, "__pydantic_validator__"), bytes(made).hex(), made.to_json())
"""


def told(code: str) -> list[str]:
    """Return what `code` prints in a process of its own, where nothing has been imported yet."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip().split(maxsplit=1)


def test_they_are_made_without_validators_and_mean_the_same() -> None:
    validated, meaning = told(ROUTES)
    plain, same = told("import eventmesh.xds.control\n" + ROUTES)
    assert (validated, plain) == ("True", "False")
    assert same == meaning


def test_other_packages_keep_their_validators() -> None:
    code = """
import eventmesh.xds.control.envoy
from pydantic.dataclasses import dataclass
@dataclass
class Other:
    number: int
try:
    print(Other("many"))
except ValueError:
    print("refused")
"""
    assert told(code) == ["refused"]


def test_it_is_installed_once() -> None:
    code = """
import sys
from eventmesh.xds.control.plain_messages import install
before = len(sys.meta_path)
install()
print(len(sys.meta_path) - before)
"""
    assert told(code) == ["0"]


def test_pydantic_is_not_loaded_and_is_whole_for_who_wants_it() -> None:
    code = """
import sys
import eventmesh.xds.control.envoy
print(sorted({"pydantic", "pydantic_core"} & sys.modules.keys()))
import pydantic, pydantic.dataclasses
class Other(pydantic.BaseModel):
    number: int
print(pydantic.__file__ is not None, Other.model_validate({"number": "7"}).number)
"""
    assert told(code) == ["[]", "True 7"]
