"""What an author is told of a ServiceInterface or a ProtocolDeclaration that does not hold."""

from __future__ import annotations

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.xds.control.interfaces.problems import declaration_problem, interface_problem
from tests.unit.xds.control.views import declaration, interface, service, world

KEY = Key("ns", "i")
DUBBO: Object = {"name": "rpc", "port": 20880, "appProtocol": "dubbo"}


@pytest.mark.parametrize(
    ("services", "port", "lost", "reason", "words"),
    [
        ([], "", {}, "TargetNotFound", "there is no Service orders"),
        ([service("orders", DUBBO)], "other", {}, "TargetNotFound", "has no port other"),
        ([service("orders")], "", {}, "UnsupportedProtocol", "no port of Service orders speaks"),
        ([service("orders")], "http", {}, "UnsupportedProtocol", "port http of Service orders does not speak"),
        ([service("orders", DUBBO)], "", {"a.B": Key("far", "x")}, "Conflicted", "a.B is offered by far/x already"),
    ],
)
def test_why_a_service_interface_is_not_accepted(
    services: list[Object], port: str, lost: dict[str, Key], reason: str, words: str
) -> None:
    watcher = world(service=services, interface=[interface("i", {"name": "a.B"}, sectionName=port)])
    found = interface_problem(KEY, watcher.of("ns"), watcher.invalid_interfaces.get(KEY), lost)
    assert found is not None and found[0] == reason and words in found[1]


def test_one_that_holds_has_no_problem() -> None:
    watcher = world(service=[service("orders", DUBBO)], interface=[interface("i", {"name": "a.B"})])
    assert interface_problem(KEY, watcher.of("ns"), None, {}) is None


def test_one_that_cannot_be_read_offers_nothing_and_says_why() -> None:
    watcher = world(service=[service("orders", DUBBO)], interface=[interface("i", {"name": "a B"})])
    reason, message = interface_problem(KEY, watcher.of("ns"), watcher.invalid_interfaces.get(KEY), {}) or ("", "")
    assert reason == "Invalid" and "spec.interfaces[0].name" in message
    watcher.interface(None, interface("i", {"name": "a.B"}))
    assert not watcher.invalid_interfaces
    watcher.interface(interface("i", {"name": "a.B"}), None)
    assert not watcher.of("ns").interfaces


def test_a_declaration_that_cannot_be_read_says_why() -> None:
    watcher, key = world(declaration=[declaration("lamp", 0)]), Key("", "lamp")
    reason, message = declaration_problem(key, watcher.of(""), watcher.invalid_declarations.get(key)) or ("", "")
    assert reason == "Invalid" and "spec.clientPort" in message
    watcher.declaration(None, declaration("lamp", 7100))
    assert declaration_problem(key, watcher.of(""), watcher.invalid_declarations.get(key)) is None
