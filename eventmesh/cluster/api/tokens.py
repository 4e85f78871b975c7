"""Service account tokens as the API issues and recognises them: TokenRequest, and what a bearer's token proves.

By the rules of `kubernetes/pkg/registry/core/serviceaccount/storage/token.go` and `pkg/serviceaccount`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.errors import UnavailableError
from eventmesh.base.secret_file import write_secret
from eventmesh.base.x509 import key_pem
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.identity import Identity
from eventmesh.cluster.store.store import Key, Store
from eventmesh.kube.account_tokens import (
    P256_BYTES,
    SUBJECT_PREFIX,
    BoundTo,
    Claims,
    KeySet,
    TokenRefusedError,
    account_groups,
    encode_part,
    verify,
)
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import NODE, POD, SECRET, SERVICE_ACCOUNT

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
"""What kubeadm sets too. It is a name, not an address: tokens outlive a change of the API's port."""

DEFAULT_SECONDS: Final = 3600
MIN_SECONDS: Final = 600
MAX_SECONDS: Final = 1 << 32
"""Kubernetes' own default and bounds of `spec.expirationSeconds`."""

_REQUEST: Final = Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest")
_BINDABLE: Final = {("v1", "Pod"): POD, ("v1", "Secret"): SECRET, ("v1", "Node"): NODE}
_EXTRA: Final = "authentication.kubernetes.io/"


class TokenIssuer:
    """Issues and recognises tokens; its key is a file that outlives the process, so that tokens do."""

    def __init__(self, key_file: Path, store: Store, clock: Clock) -> None:
        """Read the key, made on first use; raises UnavailableError for a file that is no key."""
        self._key = _load_or_make(key_file)
        self._store = store
        self._clock = clock
        self._key_id = _key_id(self._key.public_key())
        self._keys = KeySet.of_jwks(self.jwks())

    def jwks(self) -> Object:
        """Return the public key as `/openid/v1/jwks` has it."""
        numbers = self._key.public_key().public_numbers()
        x, y = (encode_part(number.to_bytes(P256_BYTES)) for number in (numbers.x, numbers.y))
        key = {"use": "sig", "kty": "EC", "kid": self._key_id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}
        return {"keys": [key]}

    def discovery(self, url: str) -> Object:
        """Return the OpenID provider configuration, for an API that clients reach at `url`."""
        return {
            "issuer": ISSUER,
            "jwks_uri": f"{url}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def request(self, account: Object, body: Object) -> Object:
        """Return the TokenRequest `body` with the token in its status; raises ApiError as Kubernetes does."""
        metadata = account["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        spec = _checked_spec(body, name)
        seconds = spec["expirationSeconds"]
        now = self._clock.now().replace(microsecond=0)
        own: Object = {"namespace": namespace, "serviceaccount": {"name": name, "uid": metadata["uid"]}}
        if spec.get("boundObjectRef"):
            own |= self._bound_claims(spec["boundObjectRef"], name, namespace)
        issued = int(now.timestamp())
        payload = {
            "aud": spec["audiences"],
            "exp": issued + seconds,
            "iat": issued,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": own,
            "nbf": issued,
            "sub": f"{SUBJECT_PREFIX}{namespace}:{name}",
        }
        expires = rfc3339(now + timedelta(seconds=seconds))
        return {
            "apiVersion": _REQUEST.api_version,
            "kind": _REQUEST.kind,
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": rfc3339(now)},
            "spec": spec,
            "status": {"token": self._sign(payload), "expirationTimestamp": expires},
        }

    def identify(self, token: str, audiences: tuple[str, ...] = (ISSUER,)) -> tuple[Identity, tuple[str, ...]]:
        """Return who bears `token`, and for which of `audiences` it is.

        Raises TokenRefusedError, also when what the token was bound to is gone.
        """
        claims = verify(token, self._keys, issuer=ISSUER, audiences=audiences, now=self._clock.now())
        self._check_alive(SERVICE_ACCOUNT, claims.namespace, claims.account, claims.account_uid)
        for bound in claims.bound:
            resource = {"pod": POD, "secret": SECRET, "node": NODE}[bound.kind]
            # The node is told for information when it is the pod that the token is bound to.
            if resource is not NODE or len(claims.bound) == 1:
                self._check_alive(resource, claims.namespace, bound.name, bound.uid)
        matching = tuple(audience for audience in audiences if audience in claims.audiences)
        return _identity(claims), matching

    def _check_alive(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        found = self._find(resource, namespace, name)
        if found is None or found["metadata"]["uid"] != uid:
            raise TokenRefusedError(f"its {resource.kind} {name} has been deleted")

    def _find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        space = namespace if resource.namespaced else ""
        stored = self._store.get(Key(resource.plural, space, name))
        return None if stored is None else stored.object

    def _bound_claims(self, reference: Object, account: str, namespace: str) -> Object:
        version, kind, name = (reference.get(field) or "" for field in ("apiVersion", "kind", "name"))
        resource = _BINDABLE.get((version, kind))
        if resource is None:
            raise errors.bad_request(f"cannot bind token to object of type {version}, Kind={kind}")
        found = self._find(resource, namespace, name)
        if found is None:
            raise errors.not_found(resource, name)
        uid = found["metadata"]["uid"]
        if resource is POD and found["spec"].get("serviceAccountName") != account:
            raise errors.bad_request(
                f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
            )
        if reference.get("uid") and reference["uid"] != uid:
            why = (
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise errors.conflict(resource, name, why)
        claims: Object = {kind.lower(): {"name": name, "uid": uid}}
        node = found["spec"].get("nodeName") if resource is POD else None
        host = self._find(NODE, "", node) if node else None
        if host is not None:
            claims["node"] = {"name": node, "uid": host["metadata"]["uid"]}
        return claims

    def _sign(self, payload: Object) -> str:
        header = {"alg": "ES256", "kid": self._key_id}
        parts = [encode_part(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload)]
        signed = ".".join(parts)
        halves = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encode_part(b''.join(half.to_bytes(P256_BYTES) for half in halves))}"


def _checked_spec(body: Object, account: str) -> Object:
    """Return the request's spec with its defaults; raises ApiError."""
    named = (body.get("metadata") or {}).get("name") or account
    if named != account:
        raise errors.bad_request(f'the request names "{named}", its path the service account "{account}"')
    spec = dict(body.get("spec") or {})
    seconds = spec.get("expirationSeconds")
    seconds = DEFAULT_SECONDS if seconds is None else seconds
    audiences = spec.get("audiences") or [ISSUER]
    causes = []
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        causes.append(_invalid("expirationSeconds", seconds, "must be an integer"))
    elif seconds < MIN_SECONDS:
        causes.append(_invalid("expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    elif seconds > MAX_SECONDS:
        causes.append(_invalid("expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    if not isinstance(audiences, list) or not all(isinstance(item, str) for item in audiences):
        causes.append(_invalid("audiences", audiences, "must be a list of texts"))
    if not isinstance(spec.get("boundObjectRef") or {}, dict):
        causes.append(_invalid("boundObjectRef", spec["boundObjectRef"], "must be an object"))
    if causes:
        raise errors.invalid(_REQUEST, "", causes)
    return {**spec, "audiences": audiences, "expirationSeconds": seconds}


def _invalid(field: str, value: object, detail: str) -> Cause:
    return Cause(CauseType.INVALID, f"spec.{field}", detail, value)


def _identity(claims: Claims) -> Identity:
    extra: dict[str, tuple[str, ...]] = {f"{_EXTRA}credential-id": (f"JTI={claims.token_id}",)}
    for bound in claims.bound:
        extra |= _extra(bound)
    return Identity(claims.subject, account_groups(claims.namespace), claims.account_uid, extra)


def _extra(bound: BoundTo) -> dict[str, tuple[str, ...]]:
    if bound.kind == "secret":
        return {}
    return {f"{_EXTRA}{bound.kind}-name": (bound.name,), f"{_EXTRA}{bound.kind}-uid": (bound.uid,)}


def _key_id(key: ec.EllipticCurvePublicKey) -> str:
    # As Kubernetes forms it: a name that follows from the key needs no file of its own.
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_bytes(serialization.Encoding.DER, form)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def _load_or_make(file: Path) -> ec.EllipticCurvePrivateKey:
    if not file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        # Whole or not at all: a key half written would end every token with the next start.
        write_secret(file, key_pem(key))
        return key
    try:
        found = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise UnavailableError(f"{file} is no private key; remove it, and every token issued so far ends") from error
    if not isinstance(found, ec.EllipticCurvePrivateKey) or not isinstance(found.curve, ec.SECP256R1):
        raise UnavailableError(f"{file} is no P-256 key; remove it, and every token issued so far ends")
    return found
