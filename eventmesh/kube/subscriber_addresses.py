"""Where events may be sent: no address that serves the machine itself and trusts whoever can reach it.

Whoever may create a Trigger chooses where this process sends requests (server-side request forgery). Numbers are judged
when an object is reconciled, and everything again when it is dialled, by what its name means then.
"""

from __future__ import annotations

import ipaddress
import ssl
from typing import Final

_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
"""Metadata services beside those at link-local addresses: Alibaba, Azure, Oracle, AWS and Google over IPv6."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def why_not(host: str) -> str:
    """Return why no event is sent to a host given by number; empty when it may be, or when it is a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    address = _plain(address)
    if address.is_link_local:
        return "link-local addresses are those of the machine's own services, such as cloud metadata"
    if address in _METADATA:
        return "it is the address of a cloud's metadata service"
    if address.is_unspecified or address.is_multicast:
        return "it is the address of no single host"
    return ""


def can_be_certified(host: str) -> bool:
    """Return whether certificates that public authorities sign can prove that somebody is `host`: it is a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


def are_certificates(pem: str) -> bool:
    """Return whether a text holds certificates, and nothing that is broken among them."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a host given by number is this machine, by a name that only it knows."""
    try:
        return _plain(ipaddress.ip_address(host.partition("%")[0])).is_loopback
    except ValueError:
        return False


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
