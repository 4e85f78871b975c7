"""The admin pages' documents, as Envoy spells them."""

from __future__ import annotations

from eventmesh.dataplane.admin import listener_statuses


def test_listeners_are_told_by_every_kind_of_address_and_the_admin_port_is_not() -> None:
    found = {"web": "127.0.0.1:80", "six": "[::1]:81", "local": "unix:/run/a.sock", "admin": "127.0.0.1:9901"}
    assert listener_statuses(found) == {
        "listener_statuses": [
            {"name": "web", "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 80}}},
            {"name": "six", "local_address": {"socket_address": {"address": "::1", "port_value": 81}}},
            {"name": "local", "local_address": {"pipe": {"path": "/run/a.sock"}}},
        ]
    }


def test_who_listens_nowhere_says_nothing() -> None:
    assert listener_statuses({"admin": "127.0.0.1:9901"}) == {}
