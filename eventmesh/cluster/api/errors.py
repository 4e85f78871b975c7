"""The failures of the API in the exact words of Kubernetes (`apimachinery/pkg/api/errors`): clients match them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.cluster.store.history import StorageError
from eventmesh.kube.api import ApiError, Object, Resource


class CauseType(Enum):
    """Why a field was refused, and how the sentence about it begins."""

    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    NOT_SUPPORTED = "FieldValueNotSupported"
    FORBIDDEN = "FieldValueForbidden"
    DUPLICATE = "FieldValueDuplicate"
    TYPE_INVALID = "FieldValueTypeInvalid"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"


_PHRASE = {
    CauseType.REQUIRED: "Required value",
    CauseType.INVALID: "Invalid value",
    CauseType.NOT_SUPPORTED: "Unsupported value",
    CauseType.FORBIDDEN: "Forbidden",
    CauseType.DUPLICATE: "Duplicate value",
    CauseType.TYPE_INVALID: "Invalid value",
    CauseType.TOO_LONG: "Too long",
    CauseType.TOO_MANY: "Too many",
}
_SHOWS_VALUE = {
    CauseType.INVALID,
    CauseType.NOT_SUPPORTED,
    CauseType.DUPLICATE,
    CauseType.TYPE_INVALID,
    CauseType.TOO_MANY,
}


UNSHOWN = object()
"""In place of a refused value that is not shown at all: it may be large."""
MAX_SHOWN_CHARS = 1024
"""So much of a refused list or map is shown: enough to know it again, too little to send a manifest back twice."""


@frozen
class Cause:
    """One refused field."""

    type: CauseType
    field: str
    detail: str = ""
    value: object = None

    @property
    def message(self) -> str:
        """Return the sentence without the field, as in `details.causes[].message`."""
        text = _PHRASE[self.type]
        if self.type in _SHOWS_VALUE and self.value is not UNSHOWN:
            text += f": {_plain(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def quoted(text: str) -> str:
    """Return a text in quotes as Go's `%q` writes it into such a sentence."""
    return json.dumps(text, ensure_ascii=False)


def _plain(value: object) -> str:
    """Return a value as Go writes it into such a sentence."""
    match value:
        case None | bool() | str() | dict() | list():
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
            return text if isinstance(value, str) or len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."
        case _:
            return str(value)


def _details(resource: Resource, name: str, **more: object) -> Object:
    details: Object = {"name": name, "kind": resource.plural}
    if resource.group:
        details["group"] = resource.group
    return {**details, **more}


def not_found(resource: Resource, name: str) -> ApiError:
    """Return 404 NotFound for a missing object."""
    return ApiError(404, "NotFound", f'{resource.group_resource} "{name}" not found', _details(resource, name))


def no_such_path() -> ApiError:
    """Return 404 for a path that leads nowhere."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str, *, is_leaving: bool = False) -> ApiError:
    """Return 409 AlreadyExists; when the object that is there `is_leaving`, a later try may go well."""
    why = "object is being deleted: " if is_leaving else ""
    message = f'{why}{resource.group_resource} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> ApiError:
    """Return 409 Conflict; clients read again and try again."""
    message = f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def apply_conflict(conflicts: Sequence[tuple[str, str]]) -> ApiError:
    """Return the 409 of a server-side apply that would change what others own: (manager, path) of each conflict."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        (manager, path), *_ = conflicts
        message = f"Apply failed with 1 conflict: conflict with {manager}: {path}"
    else:
        paths: dict[str, list[str]] = {}
        for manager, path in conflicts:
            paths.setdefault(manager, []).append(f"- {path}")
        listed = [f"conflicts with {manager}:\n" + "\n".join(paths[manager]) for manager in sorted(paths)]
        message = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(listed)
    return ApiError(409, "Conflict", message, {"causes": causes})


def invalid_options(kind: str, *causes: Cause) -> ApiError:
    """Return 422 Invalid for a parameter of the request; `kind` is `PatchOptions`, `ListOptions`, ..."""
    details: Object = {"group": "meta.k8s.io", "kind": kind, "causes": _listed(causes)}
    return ApiError(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {_in_a_row(causes)}', details)


def _listed(causes: Sequence[Cause]) -> list[Object]:
    return [{"reason": cause.type.value, "message": cause.message, "field": cause.field} for cause in causes]


def _in_a_row(causes: Sequence[Cause]) -> str:
    return str(causes[0]) if len(causes) == 1 else f"[{', '.join(map(str, causes))}]"


def nameless(name: str) -> ApiError:
    """Return 400 for an object that does not say the name that the URL says."""
    return bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """Return 422 Invalid naming every refused field."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details: Object = {"name": name, "kind": resource.kind, "causes": _listed(causes)}
    if resource.group:
        details["group"] = resource.group
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {_in_a_row(causes)}', details)


@contextmanager
def warned(warnings: tuple[str, ...]) -> Iterator[None]:
    """Have a refusal in the block carry `warnings`: an unknown field is told of also when another is refused."""
    try:
        yield
    except ApiError as error:
        error.warnings = warnings
        raise


@contextmanager
def as_result_of_patch() -> Iterator[None]:
    """Have a refusal in the block say that it is the patch that makes an object which cannot be read."""
    try:
        yield
    except ApiError as error:
        cause = Cause(CauseType.INVALID, "patch", error.message, "the patched object")
        details: Object = {"causes": _listed([cause])}
        raise ApiError(422, "Invalid", f' "" is invalid: {cause}', details) from error


def not_stored(error: StorageError) -> ApiError:
    """Return 500 InternalError for a write that the disk does not take, as for an etcd without space.

    Without `Retry-After`: kubectl would try ten times in silence before it shows what is to be done.
    """
    message = f"Internal error occurred: {error}"
    return ApiError(500, "InternalError", message, {"causes": [{"message": str(error)}]})


@contextmanager
def as_not_stored() -> Iterator[None]:
    """Have what the disk does not take in the block be refused as the API refuses it."""
    try:
        yield
    except StorageError as error:
        raise not_stored(error) from error


def bad_request(message: str) -> ApiError:
    """Return 400 BadRequest."""
    return ApiError(400, "BadRequest", message)


def denied(webhook: str, problem: str) -> ApiError:
    """Return the 400 that Knative's admission webhooks give."""
    return bad_request(f'admission webhook "{webhook}" denied the request: validation failed: {problem}')


def forbidden(resource: Resource, name: str, why: str, causes: Sequence[Object] = ()) -> ApiError:
    """Return 403 Forbidden."""
    message = f'{resource.group_resource} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, _details(resource, name, **({"causes": list(causes)} if causes else {})))


def not_allowed(group: str, resource: str, name: str, why: str) -> ApiError:
    """Return 403 Forbidden for a request, of a resource that need not exist; empty: about a path that is none."""
    if not resource:
        return ApiError(403, "Forbidden", f"forbidden: {why}")
    told = {"name": name, "group": group, "kind": resource}
    what = f"{resource}.{group}" if group else resource
    message = f"{what} {quoted(name)} is forbidden: {why}" if name else f"{what} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, {field: text for field, text in told.items() if text})


def terminating(resource: Resource, name: str, namespace: str) -> ApiError:
    """Return the 403 for a create in a namespace on its way out; clients recognise its cause."""
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    return forbidden(resource, name, why, [cause])


class ExpiredTokenError(ApiError):
    """410 for a continued list whose version is forgotten; `token` goes on with the list as it is now."""

    def __init__(self, message: str, token: str) -> None:
        super().__init__(410, "Expired", message)
        self.token = token


def expired(message: str) -> ApiError:
    """Return 410 Expired: list again."""
    return ApiError(410, "Expired", message)


def too_large_resource_version(asked: int, current: int) -> ApiError:
    """Return 504 Timeout for a version that has not been given yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def method_not_allowed(what: str) -> ApiError:
    """Return 405 MethodNotAllowed."""
    return ApiError(405, "MethodNotAllowed", f"{what} is not supported on this resource")


def unsupported_media_type(given: str, accepted: Sequence[str]) -> ApiError:
    """Return 415 UnsupportedMediaType naming what would be understood."""
    message = f"the body of the request was in an unknown format ({given}) - accepted media types include: "
    return ApiError(415, "UnsupportedMediaType", message + ", ".join(accepted))


def too_large(message: str) -> ApiError:
    """Return 413 RequestEntityTooLarge."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def status_of(error: ApiError) -> Object:
    """Return the `Status` object that travels in the reply."""
    status: Object = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "code": error.code,
    }
    if isinstance(error, ExpiredTokenError):
        status["metadata"] = {"continue": error.token}
    if error.details or error.not_found:
        # Of what is not found clients read the details unasked: kubectl breaks where there are none.
        status["details"] = error.details
    return status
