"""An operator of NATS with one account and one user, as `nsc` makes them: keys, signed claims, and a `.creds` file."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

import nkeys  # type: ignore[import-untyped]  # it comes without types

_UNLIMITED = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
_UNLIMITED_STREAMS = ("mem_storage", "disk_storage", "streams", "consumer")


@dataclass(frozen=True, slots=True)
class NatsAccount:
    """What a server is configured with, and what its user shows."""

    server_config: str
    credentials: str


class _Signer:
    """Somebody with a key."""

    def __init__(self, prefix: int) -> None:
        self.seed: bytes = nkeys.encode_seed(os.urandom(32), prefix)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public: str = self._pair.public_key.decode()

    def claims(self, subject: _Signer, kind: str, more: Mapping[str, object]) -> str:
        """Return a token that says what `subject` is."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {
            "iat": 1_700_000_000,
            "iss": self.public,
            "sub": subject.public,
            "name": kind,
            "nats": {"type": kind, "version": 2, **more},
        }
        signed = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(body).encode())}"
        return f"{signed}.{_encoded(self._pair.sign(signed.encode()))}"


def nats_account() -> NatsAccount:
    """Make an account that may keep streams, and a user of it."""
    operator, user = _Signer(nkeys.PREFIX_BYTE_OPERATOR), _Signer(nkeys.PREFIX_BYTE_USER)
    account, system = _Signer(nkeys.PREFIX_BYTE_ACCOUNT), _Signer(nkeys.PREFIX_BYTE_ACCOUNT)
    limits = {**dict.fromkeys(_UNLIMITED, -1), "wildcards": True}
    keeping = {**limits, **dict.fromkeys(_UNLIMITED_STREAMS, -1)}
    known = operator.claims(account, "account", {"limits": keeping})
    # The server's own: JetStream asks for one, which keeps no streams.
    own = operator.claims(system, "account", {"limits": limits})
    token = account.claims(user, "user", dict.fromkeys(("subs", "data", "payload"), -1))
    config = (
        f"operator: {operator.claims(operator, 'operator', {})}\nsystem_account: {system.public}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {account.public}: {known}, {system.public}: {own} }}\n"
    )
    credentials = (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    return NatsAccount(config, credentials)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
