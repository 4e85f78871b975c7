"""The complaints of Knative's webhooks (knative.dev/pkg/apis/field_error.go) and Kubernetes' rules for names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from eventmesh.kube.admission import FieldError

MAX_DNS_LABEL = 63
MAX_DNS_SUBDOMAIN = 253
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_1123_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_1123_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def missing(*paths: str) -> FieldError:
    """Say that a required field is absent."""
    return FieldError("missing field(s)", ", ".join(sorted(paths)))


def disallowed(*paths: str) -> FieldError:
    """Say that a field may not be set here."""
    return FieldError("must not set the field(s)", ", ".join(sorted(paths)))


def invalid(value: object, path: str, details: str = "") -> FieldError:
    """Say that a value means nothing here."""
    return FieldError(f"invalid value: {_text(value)}", path, details)


def invalid_key(key: str, path: str, details: str = "") -> FieldError:
    """Say that a map may not have this key; `path` is the map."""
    return FieldError(f'invalid key name "{key}"', path, details)


def out_of_bounds(value: object, low: object, high: object, path: str) -> FieldError:
    """Say that a number lies outside its range."""
    return FieldError(f"expected {low} <= {_text(value)} <= {high}", path)


def neither_of(*paths: str) -> FieldError:
    """Say that exactly one of several fields is required and none is set."""
    return FieldError("expected exactly one, got neither", ", ".join(sorted(paths)))


def both_of(*paths: str) -> FieldError:
    """Say that exactly one of several fields may be set and more are."""
    return FieldError("expected exactly one, got both", ", ".join(sorted(paths)))


def within(prefix: str, errors: Iterable[FieldError]) -> list[FieldError]:
    """Return `errors`, found inside the field `prefix`, under their full paths."""
    return [
        dataclasses.replace(error, path=", ".join(_join(prefix, path) for path in error.path.split(", ")))
        for error in errors
    ]


def dns_1035_problem(name: str) -> str:
    """Return what keeps `name` from being an RFC 1035 label, in Kubernetes' words; empty when nothing does."""
    if len(name) > MAX_DNS_LABEL:
        return f"must be no more than {MAX_DNS_LABEL} characters"
    if _DNS_1035.fullmatch(name):
        return ""
    return (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
        "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
    )


def dns_1123_subdomain_problem(name: str) -> str:
    """Return what keeps `name` from being an RFC 1123 subdomain, in Kubernetes' words; empty when nothing does."""
    if len(name) > MAX_DNS_SUBDOMAIN:
        return f"must be no more than {MAX_DNS_SUBDOMAIN} characters"
    if _DNS_1123_SUBDOMAIN.fullmatch(name):
        return ""
    return (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
        "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )


def dns_1123_label_problem(name: str) -> str:
    """Return what keeps `name` from being an RFC 1123 label, in Kubernetes' words; empty when nothing does."""
    if len(name) > MAX_DNS_LABEL:
        return f"must be no more than {MAX_DNS_LABEL} characters"
    if _DNS_1123_LABEL.fullmatch(name):
        return ""
    return (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    )


def _join(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if path else prefix


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
