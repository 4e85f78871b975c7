"""JSON Patch (RFC 6902), JSON Merge Patch (RFC 7386), and the choice among the patch types of a kind."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import jsonpatch
import jsonpointer

from eventmesh.cluster.api.errors import bad_request, unsupported_media_type
from eventmesh.cluster.api.strategic import strategic_merge
from eventmesh.cluster.api.structural import MAX_DEPTH, clone, clone_object, depth_exceeds
from eventmesh.kube.api import ApiError, Object, PatchType

MAX_JSON_PATCH_OPERATIONS = 10_000
"""The API server's own limit."""
MAX_COPIED_BYTES = 3 * 1024 * 1024
"""What the `copy` operations of one patch may add together, as upstream: thirty that double it make gigabytes."""


def apply_patch(obj: Object, patch: Any, patch_type: PatchType, *, is_custom: bool) -> Object:
    """Return `obj` with `patch` applied; `obj` stays as it is.

    Raises ApiError: 400 for a patch that cannot be read, 415 for a type the kind does not take, 422 for a
    JSON Patch whose test or path does not hold.
    """
    match patch_type:
        case PatchType.JSON:
            return _shallow(_json_patch(obj, patch))
        case PatchType.MERGE:
            return _checked(merge_patch(obj, _mapping(patch)))
        case PatchType.STRATEGIC if not is_custom:
            return _checked(strategic_merge(clone_object(obj), _mapping(patch)))
        case _:
            require_patchable(patch_type, is_custom=is_custom)
            raise bad_request(f"a patch of type {patch_type.value} is applied, not merged")


def require_patchable(patch_type: PatchType, *, is_custom: bool) -> None:
    """Raise 415 unless the kind takes patches of that type."""
    accepted = [kind.value for kind in PatchType if not is_custom or kind is not PatchType.STRATEGIC]
    if patch_type.value not in accepted:
        raise unsupported_media_type(patch_type.value, accepted)


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with the RFC 7386 `patch` applied; neither is changed."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def _shallow(result: Object) -> Object:
    """Return `result` when its operations, which can copy a value into itself, have not made it too deep."""
    if depth_exceeds(result):
        raise bad_request(f"the object nests deeper than {MAX_DEPTH} levels")
    return result


class _Replace(jsonpatch.ReplaceOperation):
    """Sets a field of a map whether it is there or not, as the library of the API server does."""

    def apply(self, obj: Any) -> Any:
        pointer: Any = self.pointer
        container, field = pointer.to_last(obj)
        if isinstance(container, dict) and field not in container:
            operation: Any = self.operation
            container[field] = operation["value"]
            return obj
        return super().apply(obj)


class _Test(jsonpatch.TestOperation):
    """Takes a field that a map has not for null, as the library of the API server does."""

    def apply(self, obj: Any) -> Any:
        pointer: Any = self.pointer
        operation: Any = self.operation
        container, field = pointer.to_last(obj)
        is_absent = isinstance(container, dict) and field is not None and field not in container
        if is_absent and operation.get("value", self) is None:
            return obj
        return super().apply(obj)


class _JsonPatch(jsonpatch.JsonPatch):
    operations = MappingProxyType({**jsonpatch.JsonPatch.operations, "replace": _Replace, "test": _Test})

    def applied(self, obj: Any) -> Any:
        """Return what becomes of `obj`, which is used up."""
        steps: Any = self  # the library's stubs leave out its operations
        copied = 0
        for operation in steps._ops:
            if isinstance(operation, jsonpatch.CopyOperation):
                source: Any = operation.operation.get("from", "")
                copied += len(json.dumps(jsonpointer.resolve_pointer(obj, source, None)))
                if copied > MAX_COPIED_BYTES:
                    raise jsonpatch.JsonPatchConflict(f"its copies add more than {MAX_COPIED_BYTES} bytes")
            obj = operation.apply(obj)
        return obj


def _json_patch(obj: Object, patch: Any) -> Object:
    if not isinstance(patch, list):
        raise bad_request("a JSON patch must be an array of operations")
    if len(patch) > MAX_JSON_PATCH_OPERATIONS:
        raise ApiError(
            413,
            "RequestEntityTooLarge",
            f"The allowed maximum operations in a JSON patch is {MAX_JSON_PATCH_OPERATIONS}, got {len(patch)}",
        )
    try:
        result = _JsonPatch(patch).applied(clone(obj))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, RecursionError, TypeError) as error:
        # TypeError: the library takes `-`, behind the last item, for an index where there must be an item.
        message = f"the server rejected our request due to an error in our request: {error}"
        raise ApiError(422, "Invalid", message) from error
    return _checked(result)


def _mapping(patch: Any) -> Object:
    if not isinstance(patch, dict):
        raise bad_request("a merge patch must be an object")
    return patch


def _checked(result: Any) -> Object:
    if not isinstance(result, dict) or not isinstance(result.get("metadata"), dict):
        raise bad_request("the patch does not leave an object with metadata")
    return result
