"""Addresses as Envoy's admin pages show them."""

from __future__ import annotations

from eventmesh.transport.address import UnixAddress, parse_address


def address_document(where: str) -> dict[str, object]:
    """Return an address as an `envoy.config.core.v3.Address`."""
    address = parse_address(where)
    if isinstance(address, UnixAddress):
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.host, "port_value": address.port}}
