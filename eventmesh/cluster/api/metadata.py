"""The rules of `metadata`: what a writer may say, what the server says, names and generations."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any
from uuid import uuid4

from eventmesh.cluster.api.builtin.types import structural_schema
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.errors import Cause, CauseType, bad_request, conflict, invalid
from eventmesh.cluster.api.structural import drop_unknown_metadata
from eventmesh.kube.api import Object

NAME_SUFFIX_CHARS = 5
NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own: no vowels, so that no words arise by chance."""
MAX_NAME_CHARS = 253
MAX_LABEL_VALUE_CHARS = 63
MAX_ANNOTATIONS_BYTES = 262_144
"""256 KiB in all, as `apimachinery` validates."""

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_PATH_SEGMENT = re.compile(r"[^/%]+\Z")
_QUALIFIED_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?\Z")

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_NAMED = {"namespaces", "services"}
"""Kinds of the core group whose names become a DNS label."""

SYSTEM_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
"""Fields of metadata that only the server writes."""


def check_shape(served: Served, obj: Any) -> None:
    """Raise 400 unless `obj` is an object of the served kind with a readable metadata; drop what is empty in it."""
    if not isinstance(obj, dict):
        raise bad_request("the request body must be one object")
    obj.setdefault("apiVersion", served.resource.api_version)
    obj.setdefault("kind", served.resource.kind)
    if obj["apiVersion"] != served.resource.api_version:
        raise bad_request(
            f"the API version in the data ({obj['apiVersion']}) does not match the expected API version "
            f"({served.resource.api_version})"
        )
    if not served.is_custom and obj["kind"] != served.resource.kind:
        raise bad_request(
            f"the API version in the data ({obj['apiVersion']}, Kind={obj['kind']}) does not match the expected API "
            f"version ({served.resource.api_version}, Kind={served.resource.kind})"
        )
    metadata = obj.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    metadata.pop("selfLink", None)
    for field in ("labels", "annotations"):
        _check_text_map(served, obj, field)
    for field in ("ownerReferences", "finalizers"):
        if metadata.get(field) is None or metadata.get(field) == []:
            metadata.pop(field, None)
        elif not isinstance(metadata[field], list):
            raise bad_request(f"metadata.{field} must be a list")


def _check_text_map(served: Served, obj: Object, field: str) -> None:
    metadata = obj["metadata"]
    values = metadata.get(field)
    if not values:
        metadata.pop(field, None)
        return
    if isinstance(values, dict) and None in values.values():
        values = metadata[field] = {key: "" if value is None else value for key, value in values.items()}
    wrong = [value for value in values.values() if not isinstance(value, str)] if isinstance(values, dict) else [values]
    if wrong:
        resource = served.resource
        raise bad_request(
            f'{obj["kind"]} in version "{resource.version}" cannot be handled as a {resource.kind}: json: cannot '
            f"unmarshal {_go_kind(wrong[0])} into Go struct field ObjectMeta.{field} of type string: every value must "
            "be a string; quote numbers and booleans"
        )


def _go_kind(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case list():
            return "array"
        case None:
            return "null"
        case _:
            return "object"


def check_kind(served: Served, obj: Object) -> None:
    """Raise 422 for an object of a custom kind that says it is of another."""
    resource, said = served.resource, obj["kind"]
    if served.is_custom and said != resource.kind:
        cause = Cause(CauseType.INVALID, "kind", f"must be {resource.kind}", said)
        raise invalid(replace(resource, kind=str(said)), obj["metadata"].get("name", ""), [cause])


def drop_unknown_fields(obj: Object) -> list[str]:
    """Remove what no object's metadata has; return the paths."""
    return drop_unknown_metadata(structural_schema("meta.ObjectMeta"), obj["metadata"])


def check_namespace(served: Served, obj: Object, namespace: str) -> None:
    """Give `obj` the namespace of the path; raise 400 when its own says otherwise."""
    metadata = obj["metadata"]
    if not served.resource.namespaced:
        metadata.pop("namespace", None)
        return
    own = metadata.setdefault("namespace", namespace)
    if own != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request "
            f"({own} != {namespace})"
        )


def check_address(served: Served, obj: Object, name: str, namespace: str) -> None:
    """Give `obj` the name and the namespace of the path; raise 400 when its own say otherwise."""
    check_namespace(served, obj, namespace)
    own = obj["metadata"].setdefault("name", name)
    if own != name:
        raise bad_request(f"the name of the object ({own}) does not match the name on the URL ({name})")


def initialise(obj: Object, now: str, *, has_generation: bool) -> None:
    """Give a new object what only the server may say: uid, time, generation, a generated name."""
    metadata = obj["metadata"]
    if metadata.pop("resourceVersion", ""):
        raise bad_request("resourceVersion should not be set on objects to be created")
    for field in SYSTEM_FIELDS:
        metadata.pop(field, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generated_name(metadata["generateName"])
    metadata["uid"] = str(uuid4())
    metadata["creationTimestamp"] = now
    if has_generation:
        metadata["generation"] = 1


def generated_name(prefix: str) -> str:
    """Return `prefix` (cut so that the whole stays a DNS label) and five random characters."""
    suffix = random.choices(NAME_ALPHABET, k=NAME_SUFFIX_CHARS)  # noqa: S311  # a name, not a secret
    return str(prefix)[: MAX_LABEL_VALUE_CHARS - NAME_SUFFIX_CHARS] + "".join(suffix)


def violations(served: Served, obj: Object, old: Object | None = None) -> list[Cause]:
    """Return what is wrong with the name, labels, annotations, owners and finalizers of `obj`, which was `old`."""
    metadata = obj["metadata"]
    causes = _name_violations(served, metadata) + _owner_violations(metadata)
    if old is not None and "deletionTimestamp" in old["metadata"]:
        known = old["metadata"].get("finalizers") or []
        added = [name for name in metadata.get("finalizers") or [] if name not in known]
        if added:
            detail = "no new finalizers can be added if the object is being deleted, found new finalizers "
            named = ", ".join(f'"{name}"' for name in added)
            causes.append(Cause(CauseType.FORBIDDEN, "metadata.finalizers", f"{detail}[]string{{{named}}}"))
    for key, value in (metadata.get("labels") or {}).items():
        if not _QUALIFIED_NAME.match(key):
            causes.append(Cause(CauseType.INVALID, "metadata.labels", _QUALIFIED_NAME_RULE, key))
        if len(value) > MAX_LABEL_VALUE_CHARS:
            causes.append(Cause(CauseType.INVALID, "metadata.labels", "must be no more than 63 bytes", value))
        elif not _LABEL_VALUE.match(value):
            causes.append(Cause(CauseType.INVALID, "metadata.labels", _LABEL_VALUE_RULE, value))
    annotations: dict[str, str] = metadata.get("annotations") or {}
    if sum(len(key) + len(value) for key, value in annotations.items()) > MAX_ANNOTATIONS_BYTES:
        detail = f"may not be more than {MAX_ANNOTATIONS_BYTES} bytes"
        causes.append(Cause(CauseType.INVALID, "metadata.annotations", detail, "annotations"))
    return causes


_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def _name_violations(served: Served, metadata: Object) -> list[Cause]:
    name = metadata.get("name")
    if not name:
        return [Cause(CauseType.REQUIRED, "metadata.name", "name or generateName is required")]
    if not isinstance(name, str):
        return [Cause(CauseType.TYPE_INVALID, "metadata.name", "must be a string", name)]
    if len(name) > MAX_NAME_CHARS:
        detail = f"must be no more than {MAX_NAME_CHARS} characters"
        return [Cause(CauseType.INVALID, "metadata.name", detail, name)]
    resource = served.resource
    if not resource.group and resource.plural in _LABEL_NAMED:
        if len(name) > 63:
            return [Cause(CauseType.INVALID, "metadata.name", "must be no more than 63 characters", name)]
        if not _LABEL.match(name):
            return [Cause(CauseType.INVALID, "metadata.name", _LABEL_RULE, name)]
    elif resource.group == "rbac.authorization.k8s.io":
        if not _PATH_SEGMENT.match(name):
            return [Cause(CauseType.INVALID, "metadata.name", "may not contain '/' or '%'", name)]
    elif not _SUBDOMAIN.match(name):
        return [Cause(CauseType.INVALID, "metadata.name", _SUBDOMAIN_RULE, name)]
    return []


def _owner_violations(metadata: Object) -> list[Cause]:
    causes = []
    controllers = 0
    for number, owner in enumerate(metadata.get("ownerReferences") or ()):
        where = f"metadata.ownerReferences[{number}]"
        if not isinstance(owner, dict):
            causes.append(Cause(CauseType.TYPE_INVALID, where, "must be an object", owner))
            continue
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field) or not isinstance(owner[field], str):
                causes.append(Cause(CauseType.INVALID, f"{where}.{field}", "must not be empty", owner.get(field)))
        controllers += owner.get("controller") is True
    if controllers > 1:
        detail = "Only one reference can have Controller set to true"
        causes.append(Cause(CauseType.INVALID, "metadata.ownerReferences", detail, metadata["ownerReferences"]))
    return causes


def carry_over(served: Served, obj: Object, current: Object) -> None:
    """Check an update's preconditions, and keep what only the server may say.

    Raises 409 when the writer's resourceVersion or uid is not the stored one, 422 when a kind that demands
    a resourceVersion got none.
    """
    metadata, known = obj["metadata"], current["metadata"]
    name = known["name"]
    if metadata.get("uid", known["uid"]) != known["uid"]:
        why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {known['uid']}"
        raise conflict(served.resource, name, why)
    version = metadata.get("resourceVersion") or ""
    if version in ("", "0"):
        if served.is_custom:
            cause = Cause(CauseType.INVALID, "metadata.resourceVersion", "must be specified for an update", 0)
            raise invalid(replace(served.resource, kind=served.resource.plural), name, [cause])
    elif version != known["resourceVersion"]:
        raise conflict(served.resource, name)
    metadata["resourceVersion"] = known["resourceVersion"]
    for field in SYSTEM_FIELDS:
        if field in known:
            metadata[field] = known[field]
        else:
            metadata.pop(field, None)


def desired_state(served: Served, obj: Object) -> Object:
    """Return what an author writes: everything but metadata and status. Its change makes a new generation.

    Of a custom kind whose status is no subresource, that is the author's, too.
    """
    others = ("metadata", "apiVersion", "kind", *(() if served.is_custom and not served.has_status else ("status",)))
    return {name: value for name, value in obj.items() if name not in others}
