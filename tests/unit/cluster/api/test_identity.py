"""Who asks: what a certificate says, and tokens that are none."""

from __future__ import annotations

import pytest

from eventmesh.cluster.api.identity import ADMIN_USER, Authenticator, Identity, holder_of
from eventmesh.kube.account_tokens import TokenRefusedError


class _Nobody:
    def identify(self, token: str, audiences: tuple[str, ...] = ()) -> tuple[Identity, tuple[str, ...]]:
        raise TokenRefusedError("nobody bears it")


def test_only_the_administrators_own_token_is_the_administrators() -> None:
    authenticator = Authenticator(_Nobody(), "api")
    authenticator.admit_admin("secret")
    assert authenticator.identify("secret")[0].name == ADMIN_USER
    for token in ("", "secre", "secret ", "s\u00e9cret", "\udcff"):
        with pytest.raises(TokenRefusedError, match="nobody bears it"):
            authenticator.identify(token)
    with pytest.raises(TokenRefusedError, match="another audience"):
        authenticator.identify("secret", ("elsewhere",))


def test_no_token_is_the_administrators_before_it_is_told() -> None:
    with pytest.raises(TokenRefusedError):
        Authenticator(_Nobody(), "api").identify("")


def test_a_certificate_says_whose_it_is_by_its_subject() -> None:
    subject = ((("organizationName", "team"),), (("organizationName", "ops"),), (("commonName", "ann"),))
    holder = holder_of({"subject": subject})
    assert holder == Identity("ann", ("team", "ops", "system:authenticated"))
    assert holder_of({"subject": subject[:2]}) is None
    assert holder_of({}) is None
