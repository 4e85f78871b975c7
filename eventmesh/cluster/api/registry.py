"""The verbs of the API on the store: the rules of writing, the same for every caller; `reading` has those of reading.

Every method is immediate and so atomic: nothing else runs between reading an object and writing it back.
Objects returned are shared with the store: copy before changing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.cluster.api import errors, jsonpath, metadata, scaling, tracking
from eventmesh.cluster.api.admission import AdmissionChain
from eventmesh.cluster.api.catalog import Catalog, Served, View
from eventmesh.cluster.api.errors import Cause
from eventmesh.cluster.api.ownership import Operation, Owners, Write
from eventmesh.cluster.api.patch import apply_patch
from eventmesh.cluster.api.reading import Reader
from eventmesh.cluster.api.shared_sets import SharedSets
from eventmesh.cluster.api.strategy import PLAIN, Strategies, Strategy
from eventmesh.cluster.api.structural import clone, clone_object, drop_unknown, fill_defaults
from eventmesh.cluster.api.validating import repeated, violations
from eventmesh.cluster.api.writing import FieldValidation, WriteOptions, Written
from eventmesh.cluster.store.store import (
    Key,
    ObjectTooLargeError,
    RevisionConflictError,
    Store,
    Stored,
)
from eventmesh.kube.api import ApiError, Object, PatchType
from eventmesh.kube.resources import NAMESPACE

if TYPE_CHECKING:
    from eventmesh.cluster.api.rules import Ruled

NAMESPACES = "namespaces"
GENERATED_NAME_ATTEMPTS = 8
"""The API server's own number of draws before it gives up with AlreadyExists."""


class Registry(Reader):
    """Every kind's verbs. `strategies` and `admission` add what single kinds demand."""

    def __init__(
        self, store: Store, catalog: Catalog, clock: Clock, strategies: Strategies, admission: AdmissionChain
    ) -> None:
        super().__init__(store)
        self.catalog = catalog
        self._clock = clock
        self._strategies = strategies
        self._admission = admission
        self.shared_sets = SharedSets()

    def now(self) -> str:
        """Return the present as objects are stamped with it."""
        return rfc3339(self._clock.now())

    def strategy(self, served: Served) -> Strategy:
        """Return the own rules of a kind."""
        return self._strategies.get(served.kind_key, PLAIN)

    def create(
        self, served: Served, obj: Object, namespace: str, options: WriteOptions, owners: Owners | None = None
    ) -> Written:
        """Store the new `obj`, which becomes the registry's; raises ApiError.

        `owners` are those of its fields, when an apply has found them.
        """
        metadata.check_shape(served, obj)
        warnings = self._clean(served, obj, None, options)
        with errors.warned(warnings):
            self._require_types(served, obj, None)
            metadata.check_namespace(served, obj, namespace)
            if served.view is not None:
                stored, obj = self.stored_kind(served), served.view.stored(obj)
                return _shown(served.view, self.create(stored, obj, namespace, options, owners), warnings)
            generated = "" if obj["metadata"].get("name") else obj["metadata"].get("generateName", "")
            metadata.initialise(obj, self.now(), has_generation=served.has_generation)
            if served.has_status:
                obj.pop("status", None)
            self._default(served, obj, None, is_applied=owners is not None)
            self.strategy(served).attribute(obj, {"username": options.user, "groups": list(options.groups)})
            if owners is None:
                tracking.record(self._writer(served, options, ""), obj, None)
            else:
                tracking.set_owners(obj, owners)
            self._admit(served, obj, None, options)
            self._require_namespace(served, obj["metadata"].get("name", ""), namespace)
            warnings += self._check(served, obj, None, options)
            if not options.dry_run:
                self._store_new(served, obj, generated)
                self.strategy(served).stored(obj)
            elif self.store.get(self._key(served, obj)) is not None:
                raise self._already_exists(served, obj)
            caveats = self.strategy(served).caveats(obj)
        return Written(self._convert(served)(obj), (*warnings, *caveats, *filter(None, (served.caveat,))))

    def _store_new(self, served: Served, obj: Object, generated: str) -> None:
        attempts = GENERATED_NAME_ATTEMPTS if generated else 1
        for attempt in range(attempts):
            try:
                self._put(served, obj, 0)
                return
            except RevisionConflictError:
                if attempt + 1 == attempts:
                    raise self._already_exists(served, obj) from None
                obj["metadata"]["name"] = metadata.generated_name(generated)

    def _already_exists(self, served: Served, obj: Object) -> ApiError:
        found = self.store.get(self._key(served, obj))
        is_leaving = found is not None and "deletionTimestamp" in found.object["metadata"]
        return errors.already_exists(served.resource, obj["metadata"]["name"], is_leaving=is_leaving)

    def update(
        self,
        served: Served,
        obj: Object,
        name: str,
        namespace: str,
        options: WriteOptions,
        *,
        status: bool = False,
        subresource: str = "",
        owners: Owners | None = None,
    ) -> Written:
        """Replace the object `name` (or, with `status`, its status alone) by `obj`, which becomes the registry's.

        `subresource` is under which name the writer owns what it changes, beside `status`; `owners` are those of the
        fields, when an apply has found them.
        """
        metadata.check_shape(served, obj)
        if served.view is not None:
            warnings = self._clean(served, obj, None, options)
            with errors.warned(warnings):
                self._require_types(served, obj, None)
                metadata.check_address(served, obj, name, namespace)
                stored, obj = self.stored_kind(served), served.view.stored(obj)
                written = self.update(
                    stored, obj, name, namespace, options, status=status, subresource=subresource, owners=owners
                )
                return _shown(served.view, written, warnings)
        try:
            metadata.check_address(served, obj, name, namespace)
            current = self.load(served, name, namespace)
        except ApiError as error:
            error.warnings = self._clean(served, obj, None, options)
            raise
        warnings = self._clean(served, obj, current.object, options)
        with errors.warned(warnings):
            self._require_types(served, obj, current.object)
            metadata.carry_over(served, obj, current.object)
            if status:
                obj = {**current.object, "metadata": dict(current.object["metadata"]), "status": obj.get("status", {})}
                self.strategy(served).prepare_status(obj, current.object, subresource or "status")
            else:
                self._carry_status(served, obj, current.object)
                self._default(served, obj, current.object, is_applied=owners is not None)
            if owners is None:
                tracking.record(
                    self._writer(served, options, subresource or ("status" if status else "")), obj, current.object
                )
            else:
                tracking.set_owners(obj, owners)
            if not status:
                self._admit(served, obj, current.object, options)
            obj["apiVersion"] = served.stored_api_version
            if obj == current.object:
                return Written(self._convert(served)(current.object), warnings)
            if not status:
                self._advance_generation(served, obj, current.object)
            warnings += self._check(served, obj, current.object, options, status=status)
            caveats = self.strategy(served).caveats(obj)
            if not options.dry_run:
                obj = self.commit(served, obj, current)
            return Written(self._convert(served)(obj), (*warnings, *caveats))

    def patch(
        self,
        served: Served,
        patch: object,
        patch_type: PatchType,
        name: str,
        namespace: str,
        options: WriteOptions,
        *,
        status: bool = False,
        subresource: str = "",
    ) -> Written:
        """Apply `patch` to the object `name` and store the outcome; raises ApiError."""
        current = self.get(served, name, namespace)
        patched = apply_patch(current, clone(patch), patch_type, is_custom=served.is_custom)
        with errors.as_result_of_patch():
            metadata.check_shape(served, patched)
            if options.field_validation is FieldValidation.STRICT:
                self._clean(served, patched, current, options)
        # What a patch leaves untouched is shared with the store; from here on the object is written to.
        return self.update(
            served, clone_object(patched), name, namespace, options, status=status, subresource=subresource
        )

    def patch_scale(
        self, served: Served, patch: object, patch_type: PatchType, name: str, namespace: str, options: WriteOptions
    ) -> Object:
        """Apply `patch` to the Scale of the object and set its replicas; return the new Scale."""
        current = self.get(served, name, namespace)
        if patch_type is PatchType.APPLY:
            raise errors.bad_request("a scale cannot be applied: patch it (as kubectl scale does), or apply the object")
        scale = apply_patch(scaling.scale_of(served, current), clone(patch), patch_type, is_custom=True)
        return self.update_scale(served, scale, name, namespace, options)

    def update_scale(self, served: Served, scale: Object, name: str, namespace: str, options: WriteOptions) -> Object:
        """Set the replicas that `scale` says; return the new Scale."""
        changed = scaling.scaled(served, self.get(served, name, namespace), scale)
        written = self.update(served, changed, name, namespace, options, subresource="scale")
        return scaling.scale_of(served, written.object)

    def _carry_status(self, served: Served, obj: Object, current: Object) -> None:
        if not served.has_status:
            return
        if "status" in current:
            obj["status"] = current["status"]
        else:
            obj.pop("status", None)

    def _advance_generation(self, served: Served, obj: Object, current: Object) -> None:
        if served.has_generation and metadata.desired_state(served, obj) != metadata.desired_state(served, current):
            obj["metadata"]["generation"] = current["metadata"].get("generation", 0) + 1

    def commit(self, served: Served, obj: Object, current: Stored) -> Object:
        """Store `obj` in place of `current`, or let it go when it is deleting and nothing holds it any longer.

        Return it as its writer is told of it: what has gone still has the version that it was changed from. Who
        watches sees it go as it was stored, without the last change, which was never stored (as upstream).
        """
        if self.is_finished(served, obj):
            last = {**current.object, "metadata": dict(current.object["metadata"])}
            told = {**obj, "metadata": {**obj["metadata"], "resourceVersion": last["metadata"]["resourceVersion"]}}
            self.store.delete(self._key(served, obj), current.revision, last)
            self.strategy(served).removed(obj)
            return told
        self._put(served, obj, current.revision)
        self.strategy(served).stored(obj)
        return obj

    def is_finished(self, served: Served, obj: Object) -> bool:
        """Return whether nothing keeps the deleted `obj` any longer."""
        meta = obj["metadata"]
        return (
            "deletionTimestamp" in meta
            and not meta.get("finalizers")
            and not meta.get("deletionGracePeriodSeconds")
            and not self.strategy(served).holds_deletion(obj)
        )

    def _put(self, served: Served, obj: Object, expected: int) -> None:
        self.shared_sets.take(obj)
        try:
            self.store.put(self._key(served, obj), obj, expected)
        except ObjectTooLargeError as error:
            raise errors.too_large(str(error)) from error

    def _key(self, served: Served, obj: Object) -> Key:
        return Key(served.kind_key, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

    def stored_kind(self, served: Served) -> Served:
        """Return the kind that objects of `served`, which is a view, are stored as."""
        stored = self.catalog.by_kind_key(served.kind_key)
        assert stored is not None  # noqa: S101 - what a view is of is built in
        return stored

    # -- the steps of a write

    def _clean(self, served: Served, obj: Object, old: Object | None, options: WriteOptions) -> tuple[str, ...]:
        dropped = metadata.drop_unknown_fields(obj)
        if served.schema is not None:
            # In the order of their names, as upstream tells of them.
            dropped += sorted(drop_unknown(served.schema, obj, _unchanged(obj, old)))
        unknown = [f'unknown field "{path}"' for path in dropped]
        if unknown and options.field_validation is FieldValidation.STRICT:
            name = f"{served.resource.kind} in version {served.resource.version!r}".replace("'", '"')
            raise errors.bad_request(
                f"{name} cannot be handled as a {served.resource.kind}: strict decoding error: {', '.join(unknown)}"
            )
        return tuple(unknown) if options.field_validation is FieldValidation.WARN else ()

    def _require_types(self, served: Served, obj: Object, old: Object | None) -> None:
        """Raise 422 for an object of a built-in kind with a value of another type than its field has.

        Before anything is made of it: defaults and checks rely on it. Of a custom kind it is one violation among
        others, see `_check`.
        """
        if served.schema is None or served.is_custom:
            return
        wrong = violations(served.schema, obj, _unchanged(obj, old))
        if wrong:
            raise errors.invalid(served.resource, obj["metadata"].get("name", ""), wrong)

    def _default(self, served: Served, obj: Object, old: Object | None, *, is_applied: bool) -> None:
        if served.schema is not None:
            fill_defaults(served.schema, obj, keeps_nulls=is_applied)
        self.strategy(served).prepare(obj, old)

    def _writer(self, served: Served, options: WriteOptions, subresource: str) -> Write:
        return tracking.writer(served, options.field_manager, Operation.UPDATE, subresource, self.now())

    def _admit(self, served: Served, obj: Object, old: Object | None, options: WriteOptions) -> None:
        # What admission fills in belongs to nobody, as what webhooks do.
        defaulted = self._admission.default(served, obj, old, options.writer)
        if defaulted is not obj:
            obj.clear()
            obj.update(clone(defaulted))
        obj["apiVersion"] = served.stored_api_version

    def _check(
        self, served: Served, obj: Object, old: Object | None, options: WriteOptions, *, status: bool = False
    ) -> tuple[str, ...]:
        """Raise ApiError for what is wrong with `obj`; return what is wrong with it as it was before."""
        name = obj["metadata"].get("name", "")
        metadata.check_kind(served, obj)
        causes = metadata.violations(served, obj, old)
        if served.is_custom:
            if served.schema is not None:
                causes += violations(served.schema, obj, _unchanged(obj, old))
            causes += scaling.violations(served, obj)
            causes += [] if served.schema is None or obj == old else repeated(served.schema, obj)
        told: tuple[str, ...] = ()
        if served.rules is not None:
            broken, told = _broken_rules(served.rules, obj, old, causes)
            causes += broken
        if not status:
            causes += self.strategy(served).check(obj, old)
        elif old is not None:
            causes += self.strategy(served).check_status(obj, old)
        if causes:
            with errors.warned(told):
                raise errors.invalid(served.resource, name, causes)
        if not status:
            self.strategy(served).admit_writer(obj, old, options.writer)
            self._admission.validate(served, obj, old, options.writer)
        return told

    def _require_namespace(self, served: Served, name: str, namespace: str) -> None:
        if not served.resource.namespaced:
            return
        stored = self.store.get(Key(NAMESPACES, "", namespace))
        if stored is None:
            raise errors.not_found(NAMESPACE, namespace)
        if jsonpath.first(stored.object, ".status.phase") == "Terminating":
            raise errors.terminating(served.resource, name, namespace)


def _broken_rules(
    rules: Ruled, obj: Object, old: Object | None, causes: list[Cause]
) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
    """Return the rules in CEL that `obj` breaks, and those that it only leaves broken."""
    from eventmesh.cluster.api import rule_evaluation  # noqa: PLC0415 - a language that most meshes never speak

    if rule_evaluation.are_blocked(causes):
        return (rule_evaluation.UNCHECKED,), ()
    found = rule_evaluation.broken(rules, obj, old)
    return found.causes, found.warnings


def _unchanged(obj: Object, old: Object | None) -> frozenset[str]:
    """Return the fields that are as they were stored, and need not be looked at again (a pod's spec, mostly)."""
    return frozenset() if old is None else frozenset(name for name in obj if name in old and obj[name] == old[name])


def _shown(view: View, written: Written, warnings: tuple[str, ...]) -> Written:
    return Written(view.shown(written.object), (*warnings, *written.warnings))
