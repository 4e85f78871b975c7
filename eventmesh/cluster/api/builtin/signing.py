"""CertificateSigningRequests (`certificates.k8s.io/v1`): what is asked for stays, and whoever approves decides once.

A real cluster does the same (`kubernetes/pkg/registry/certificates`, `pkg/apis/certificates/validation`). Nobody signs
in the local cluster: that is a signer's work, told by `spec.signerName`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.strategy import Strategy
from eventmesh.kube.api import Object

DECIDED: Final = ("Approved", "Denied")
"""Conditions that belong to who approves, and are there for good; `Failed` is the signer's."""

MIN_EXPIRATION_S: Final = 600

_PEM_REQUEST: Final = re.compile(
    r"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\s[\w+/=\s]+-----END (NEW )?CERTIFICATE REQUEST-----\s*", re.ASCII
)
_PEM_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SIGNER: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+/{_LABEL}(?:\.{_LABEL})*")
MAX_SIGNER_CHARS: Final = 253 + 1 + 253 + 1 + 63
"""A domain, and a path that fits with a domain in front of it into a label."""


class SigningRequestStrategy(Strategy):
    """One request: a spec that stands, and a status of which approver and signer each own a part."""

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Keep the spec as it was made."""
        if old is not None:
            obj["spec"] = old.get("spec", {})

    def attribute(self, obj: Object, user: Object) -> None:
        """Write down who asks, whatever the request says of that."""
        spec = obj.setdefault("spec", {})
        for name in ("username", "groups", "uid", "extra"):
            spec.pop(name, None)
        spec.update({name: value for name, value in user.items() if value})

    def prepare_status(self, obj: Object, old: Object, part: str) -> None:
        """Let approvers change the decision alone, and signers everything but that."""
        asked, stored = obj.get("status") or {}, old.get("status") or {}
        if part == "approval":
            obj["status"] = {**stored, "conditions": asked.get("conditions") or []}
            return
        rest = [one for one in asked.get("conditions") or () if one.get("type") not in DECIDED]
        obj["status"] = {**asked, "conditions": [*_decisions(stored), *rest]}
        if not obj["status"]["conditions"]:
            del obj["status"]["conditions"]

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Require what a signer needs to know."""
        if old is not None:
            return []
        spec = obj.get("spec") or {}
        causes = []
        if not _PEM_REQUEST.fullmatch(_decoded(spec.get("request"))):
            detail = "PEM block type must be CERTIFICATE REQUEST"
            causes.append(Cause(CauseType.INVALID, "spec.request", detail, spec.get("request") or ""))
        if not spec.get("signerName"):
            causes.append(Cause(CauseType.REQUIRED, "spec.signerName"))
        elif len(spec["signerName"]) > MAX_SIGNER_CHARS:
            detail = f"may not be more than {MAX_SIGNER_CHARS} bytes"
            causes.append(Cause(CauseType.TOO_LONG, "spec.signerName", detail))
        elif not _SIGNER.fullmatch(spec["signerName"]):
            detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
            causes.append(Cause(CauseType.INVALID, "spec.signerName", detail, spec["signerName"]))
        if not spec.get("usages"):
            causes.append(Cause(CauseType.REQUIRED, "spec.usages"))
        seconds = spec.get("expirationSeconds")
        if seconds is not None and seconds < MIN_EXPIRATION_S:
            detail = f"may not specify a duration less than {MIN_EXPIRATION_S} seconds (10 minutes)"
            causes.append(Cause(CauseType.INVALID, "spec.expirationSeconds", detail, seconds))
        return causes

    def check_status(self, obj: Object, old: Object) -> list[Cause]:
        """Let a decision be taken once, and a certificate be given once, to who is approved."""
        status, stored = obj.get("status") or {}, old.get("status") or {}
        kinds = [one.get("type") for one in status.get("conditions") or ()]
        causes = [_bad_condition(at, one) for at, one in enumerate(status.get("conditions") or ())]
        if all(kind in kinds for kind in DECIDED):
            detail = "Approved and Denied conditions are mutually exclusive"
            causes.append(Cause(CauseType.INVALID, "status.conditions", detail, "Denied"))
        for one in _decisions(stored):
            if one["type"] not in kinds:
                detail = f"a {one['type']} condition may not be removed"
                causes.append(Cause(CauseType.FORBIDDEN, "status.conditions", detail))
        given = status.get("certificate")
        if stored.get("certificate") and given != stored["certificate"]:
            causes.append(Cause(CauseType.INVALID, "status.certificate", "field is immutable", given or ""))
        elif given and _PEM_CERTIFICATE not in _decoded(given):
            detail = "must contain at least one CERTIFICATE PEM block"
            causes.append(Cause(CauseType.INVALID, "status.certificate", detail, given))
        return [cause for cause in causes if cause is not None]


def _bad_condition(at: int, one: Object) -> Cause | None:
    field = f"status.conditions[{at}]"
    if not one.get("type"):
        return Cause(CauseType.REQUIRED, f"{field}.type")
    if one["type"] in (*DECIDED, "Failed") and one.get("status") != "True":
        detail = f"{one['type']} conditions must have status True"
        return Cause(CauseType.INVALID, f"{field}.status", detail, one.get("status") or "")
    return None


def _decisions(status: Object) -> list[Object]:
    return [one for one in status.get("conditions") or () if one.get("type") in DECIDED]


def _decoded(text: Any) -> str:
    """Return what base64 says; empty for what is none."""
    try:
        return base64.b64decode(text or "", validate=True).decode("latin-1")
    except (binascii.Error, TypeError, ValueError):
        return ""
