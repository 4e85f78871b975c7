"""What a timeline says of a delivery that nobody answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from eventmesh.activator.broker.triggers import Peer
from eventmesh.activator.broker.unreached import unreached
from tests.component.https_sinks import SinkAuthority

if TYPE_CHECKING:
    from eventmesh.core._core import Response


def response(error: str, why: str) -> Response:
    reason = f"reset reason: connection failure, transport failure reason: {why}" if why else ""
    return cast("Response", SimpleNamespace(error=error, body=reason.encode()))


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("", "connect_failed"),
        ("TLS: invalid peer certificate: Expired", "certificate_expired"),
        ("TLS: invalid peer certificate: NotValidYet", "certificate_not_yet_valid"),
        ("TLS: invalid peer certificate: NotValidForName", "certificate_wrong_name"),
        ("TLS: received fatal alert: HandshakeFailure", "tls_failed: received fatal alert: HandshakeFailure"),
        (f"TLS: {'x' * 1000}", f"tls_failed: {'x' * 96}"),
    ],
)
def test_a_certificate_that_is_not_believed_has_a_code_of_its_own(why: str, said: str) -> None:
    assert unreached(response("connect_failed", why), Peer()).error == said


def test_whoever_was_asked_for_is_named() -> None:
    unknown = response("connect_failed", "TLS: invalid peer certificate: UnknownIssuer")
    others = "the trust bundles and whom this machine trusts"
    code = "certificate_unknown_authority: signed by none of"
    assert unreached(unknown, Peer()).error == f"{code} {others}"
    assert unreached(unknown, Peer(authorities="none")).error == f"{code} {others}"
    four = "".join(SinkAuthority(f"number {number}").pem for number in range(4))
    told = unreached(unknown, Peer(authorities=four)).error
    assert told.count("CN=number") == 3 and f"and 1 more, {others}" in told
