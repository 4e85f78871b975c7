"""How addresses are written."""

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.transport.address import (
    MAX_PORT,
    MAX_UNIX_PATH_BYTES,
    Address,
    InetAddress,
    UnixAddress,
    canonical_ip,
    format_peer,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", InetAddress("127.0.0.1", 8080)),
        ("[::1]:0", InetAddress("::1", 0)),
        ("hello.default.svc:80", InetAddress("hello.default.svc", 80)),
        (f"10.0.0.1:{MAX_PORT}", InetAddress("10.0.0.1", MAX_PORT)),
        ("unix:/run/app.sock", UnixAddress("/run/app.sock")),
        ("unix:" + "p" * MAX_UNIX_PATH_BYTES, UnixAddress("p" * MAX_UNIX_PATH_BYTES)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        ":8080",
        "localhost",
        "localhost:http",
        f"127.0.0.1:{MAX_PORT + 1}",
        "127.0.0.1:-1",
        "127.0.0.1:٣",
        "::1:8080",
        "unix:",
        "unix:" + "p" * (MAX_UNIX_PATH_BYTES + 1),
    ],
)
def test_what_is_no_address_is_refused_by_field(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_address(text, "listeners[3].address")
    assert refused.value.path == "listeners[3].address"


def test_only_names_are_looked_up() -> None:
    assert InetAddress("localhost", 1).is_name
    assert not InetAddress("::1", 1).is_name
    assert not InetAddress("10.1.2.3", 1).is_name


@pytest.mark.parametrize(
    ("name", "text"), [(("10.0.0.1", 9), "10.0.0.1:9"), (("::1", 9, 0, 0), "[::1]:9"), ("", "unix"), (None, "unix")]
)
def test_a_peer_is_named_as_addresses_are_written(name: object, text: str) -> None:
    assert format_peer(name) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("FE80::1%eth0", "fe80::1%eth0"),
        ("example.test", None),
        ("127.0.0.01", None),
        ("127.1", None),
        ("10.0.0.1%eth0", None),
        ("fe80::1%", None),
        ("::1\0", None),
        ("１27.0.0.1", None),  # noqa: RUF001 - a digit that is not ASCII
        ("", None),
    ],
)
def test_ip_addresses_are_told_from_names_and_spelled_one_way(text: str, address: str | None) -> None:
    assert canonical_ip(text) == address
