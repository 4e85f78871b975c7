"""A table that is read again costs what is new in it, and says what a first reading would say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.route import RouteTable
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import MessageType, type_of_url
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate import route_tables as subject
from eventmesh.xds.translate.route import read_route_table
from eventmesh.xds.translate.route_tables import MANY_ROUTES, RouteTables

TABLE = type_of_url(ResourceType.ROUTE.value)
Fields = dict[str, object]


def route(cluster: str, prefix: str = "/", **more: object) -> Fields:
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster}, **more}


def host(name: str, *routes: Fields, **more: object) -> Fields:
    return {"name": name, "domains": [f"{name}.test"], "routes": list(routes or (route(name),)), **more}


def encoded(*hosts: Fields, name: str = "public", **more: object) -> bytes:
    return write_wire(TABLE.name, {"name": name, "virtual_hosts": list(hosts), **more})


def at_once(data: bytes) -> RouteTable:
    """Read the table as it is read the first time, in one piece."""
    return read_route_table(read_wire(TABLE, data, "", []), [])


@pytest.fixture
def read_pieces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what has been read from bytes."""
    pieces: list[str] = []

    def noting(owner: MessageType, data: bytes, path: str, warnings: list[str]) -> Message:
        pieces.append(path)
        return read_wire(owner, data, path, warnings)

    monkeypatch.setattr(subject, "read_wire", noting)
    return pieces


def test_one_changed_host_among_many_is_read_alone(read_pieces: list[str]) -> None:
    hosts = [host(f"h{n}") for n in range(50)]
    tables = RouteTables()
    before = tables.read("public", encoded(*hosts), [])
    assert before == at_once(encoded(*hosts))
    read_pieces.clear()
    hosts[7] = host("h7", route("other"))
    after = tables.read("public", encoded(*hosts), [])
    assert after == at_once(encoded(*hosts))
    assert read_pieces == ["", "virtual_hosts[7]", "virtual_hosts[7].routes[0]"]
    kept = [new is old for new, old in zip(after.virtual_hosts, before.virtual_hosts, strict=True)]
    assert kept.count(False) == 1 and not kept[7]


def test_one_new_route_of_a_host_with_many_is_read_alone_also_after_the_host_stayed(read_pieces: list[str]) -> None:
    many = [route(f"c{n}", f"/{n}") for n in range(2 * MANY_ROUTES)]
    tables = RouteTables()
    tables.read("activator", encoded(host("all", *many), name="activator"), [])
    tables.read("activator", encoded(host("all", *many), host("other"), name="activator"), [])
    read_pieces.clear()
    grown = encoded(host("all", *many, route("new", "/new")), host("other"), name="activator")
    assert tables.read("activator", grown, []) == at_once(grown)
    assert read_pieces == ["", "virtual_hosts[0]", f"virtual_hosts[0].routes[{len(many)}]"]


def test_hosts_are_told_apart_by_what_surrounds_them() -> None:
    tables = RouteTables()
    plain = encoded(host("a"))
    edited = encoded(host("a"), response_headers_to_remove=["server"])
    for data in (plain, edited, plain):
        assert tables.read("public", data, []) == at_once(data)
    many = [route(f"c{n}", f"/{n}") for n in range(MANY_ROUTES)]
    for more in ({}, {"request_headers_to_remove": ["x"]}, {"retry_policy": {"retry_on": "5xx"}}):
        data = encoded(host("a", *many, **more))
        assert tables.read("public", data, []) == at_once(data)


def test_what_is_ignored_is_said_at_every_reading() -> None:
    # Field 15 of a VirtualHost (`include_request_attempt_count` is 14) stands for one that we ignore.
    ignored = next(f for f in TABLE.by_name["virtual_hosts"].message.by_number.values() if f.policy.value == "ignored")
    strange = bytes((*_varint(ignored.number << 3), 1))
    chunk = write_wire(TABLE.by_name["virtual_hosts"].message.name, host("a")) + strange
    data = encoded() + bytes((2 << 3 | 2, *_varint(len(chunk)))) + chunk
    tables = RouteTables()
    for _ in range(2):
        warnings: list[str] = []
        tables.read("public", data, warnings)
        assert warnings == [f"public: virtual_hosts[0].{ignored.name}: ignored, eventmesh has no such setting"]


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        (host("b", route("b"), {"match": {"prefix": "/"}}), "virtual_hosts[1].routes[1]"),
        ({"name": "b", "routes": []}, "virtual_hosts[1].domains"),
        ({"name": "b", "domains": ["b", "a.test"], "routes": []}, "virtual_hosts[1].domains[1]"),
        (host("b", route("b", timeout={})), ""),
    ],
)
def test_a_bad_host_is_refused_by_its_path_and_the_good_version_stays(
    bad: Fields, path: str, read_pieces: list[str]
) -> None:
    good = encoded(host("a"), host("b"))
    tables = RouteTables()
    tables.read("public", good, [])
    if not path:
        # A field that a route does not have, by its number: refused by the reader of bytes.
        chunk = write_wire(TABLE.by_name["virtual_hosts"].message.name, host("b")) + b"\xf8\x3f\x01"
        data = encoded(host("a")) + bytes((2 << 3 | 2, *_varint(len(chunk)))) + chunk
        path = "virtual_hosts[1]"
    else:
        data = encoded(host("a"), bad)
    with pytest.raises(ConfigError) as refused:
        tables.read("public", data, [])
    assert refused.value.path == path
    read_pieces.clear()
    tables.read("public", good, [])
    assert read_pieces == [""]


def test_bytes_cut_anywhere_are_refused_as_they_are_at_once() -> None:
    whole = encoded(host("a"), host("b"), response_headers_to_remove=["server"])
    tables = RouteTables()
    tables.read("public", whole, [])
    for end in range(len(whole)):
        try:
            wanted = at_once(whole[:end])
        except ConfigError:
            with pytest.raises(ConfigError):
                tables.read("public", whole[:end], [])
        else:
            if wanted.name == "public":
                assert tables.read("public", whole[:end], []) == wanted


def test_a_table_that_nobody_wants_is_forgotten(read_pieces: list[str]) -> None:
    tables = RouteTables()
    data = encoded(host("a"))
    tables.read("public", data, [])
    tables.forget_all_but(frozenset({"local"}))
    read_pieces.clear()
    tables.read("public", data, [])
    assert "virtual_hosts[0]" in read_pieces


def _varint(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
