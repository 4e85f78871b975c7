"""The verbs over HTTP: a request in, a reply out. What is not about objects (discovery, health) is in `server`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api import errors, scaling
from eventmesh.cluster.api.applying import apply
from eventmesh.cluster.api.bodies import as_object, decode_body, decode_delete_options
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.deletion import Deleted, DeleteOptions
from eventmesh.cluster.api.embedded import EmbeddedApi
from eventmesh.cluster.api.identity import Identity
from eventmesh.cluster.api.lifecycle import finalize_namespace
from eventmesh.cluster.api.listing import chunk, expired_token, list_options
from eventmesh.cluster.api.negotiation import Form, decode_patch, reply_form
from eventmesh.cluster.api.patch import require_patchable
from eventmesh.cluster.api.paths import Target, flag, patch_options, watch_options, write_options
from eventmesh.cluster.api.podhost import PodHost
from eventmesh.cluster.api.podlogs import log_query, send_log
from eventmesh.cluster.api.podstreams import serve_attach, serve_exec
from eventmesh.cluster.api.portforward import serve_port_forward
from eventmesh.cluster.api.rbac.attributes import OnResource
from eventmesh.cluster.api.replies import encode, json_reply, list_reply, success
from eventmesh.cluster.api.stream import WatchStream
from eventmesh.cluster.api.table import partial, partial_list, table
from eventmesh.cluster.api.writing import WriteOptions, Written
from eventmesh.cluster.store.store import Key
from eventmesh.kube.api import ApiError, Object, PatchType

Reply = web.StreamResponse


@frozen
class Call:
    """One request about a served kind."""

    request: web.Request
    target: Target
    served: Served
    user: Identity

    @property
    def options(self) -> WriteOptions:
        """Return how the write is to be done; raises 400."""
        agent = self.request.headers.get("User-Agent", "")
        return write_options(self.request.query, self.user.name, agent, self.user.groups)


class RestVerbs:
    """Every HTTP method on collections, objects and subresources."""

    def __init__(self, api: EmbeddedApi, pods: PodHost | None) -> None:
        self._api = api
        self._pods = pods
        self._registry = api.registry

    async def serve(self, call: Call) -> Reply:
        """Answer the call; raises ApiError."""
        _check_served(call)
        if call.target.subresource:
            return await self._subresource(call)
        match call.request.method, bool(call.target.name):
            case "GET", _ if flag(call.request.query, "watch"):
                return await self._watch(call)
            case "GET", False if "list" in call.served.verbs:
                return self._list(call)
            case "GET", True if "get" in call.served.verbs:
                return self._object(call, self._registry.get(call.served, call.target.name, call.target.namespace))
            case "POST", False:
                return await self._create(call)
            case "PUT", True:
                return await self._replace(call)
            case "PATCH", True:
                return await self._patch(call)
            case "DELETE", True:
                return await self._delete(call)
            case "DELETE", False:
                return await self._delete_collection(call)
            case method, _:
                raise errors.method_not_allowed(method)

    # -- reading

    def _list(self, call: Call) -> Reply:
        query = call.request.query
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        selection = self._registry.selection(call.served, labels, fields)
        options = list_options(query)
        current = self._api.store.revision
        if options.not_older_than > current:
            raise errors.too_large_resource_version(options.not_older_than, current)
        try:
            items = self._registry.list(call.served, call.target.namespace, selection, options.revision)
        except ApiError as error:
            raise expired_token(options) if error.gone and options.start is not None else error from None
        revision = current if options.revision is None else options.revision
        part = chunk(items, options, revision, counts=not labels and not fields)
        match self._form(call):
            case Form.TABLE:
                return json_reply(self._table(call, part.items, part.metadata))
            case Form.PARTIAL:
                return json_reply(partial_list(part.items, part.metadata))
        head = _list_of(call.served, [], part.metadata)
        return list_reply(head, [self._registry.as_stored(call.served, item) or encode(item) for item in part.items])

    async def _watch(self, call: Call) -> Reply:
        query = call.request.query
        options = watch_options(query)
        if options.not_older_than > self._api.store.revision:
            raise errors.too_large_resource_version(options.not_older_than, self._api.store.revision)
        fields = query.get("fieldSelector", "")
        if call.target.name:
            fields = ",".join(filter(None, (fields, f"metadata.name={call.target.name}")))
        selection = self._registry.selection(call.served, query.get("labelSelector", ""), fields)
        watch = self._registry.watch(
            call.served,
            call.target.namespace,
            selection,
            after=options.after,
            initial_events=options.initial_events,
            ends_initial=options.ends_initial,
        )
        stream = WatchStream(watch, call.served, self._api.store, options, self._shown_in_turn(call))
        return await stream.send(call.request)

    def _shown_in_turn(self, call: Call) -> Callable[[Object], Object]:
        """Return how the objects of one watch are shown: the columns of a table are told once."""
        told, form = False, self._form(call)

        def shown(obj: Object) -> Object:
            nonlocal told
            whole = self._shown(call, form, obj)
            if told and form is Form.TABLE:
                whole["columnDefinitions"] = None
            told = True
            return whole

        return shown

    def _form(self, call: Call) -> Form:
        return reply_form(call.request.headers.get("Accept", ""))[0]

    def _table(self, call: Call, items: list[Object], metadata: Object) -> Object:
        include = call.request.query.get("includeObject", "Metadata")
        return table(call.served, items, metadata, include, self._api.clock.now())

    def _shown(self, call: Call, form: Form, obj: Object) -> Object:
        """Return `obj` in the form that the client wants to see it in."""
        match form:
            case Form.TABLE:
                return self._table(call, [obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")})
            case Form.PARTIAL:
                return partial(obj)
            case _:
                return obj

    def _object(self, call: Call, obj: Object, status: int = 200, warnings: tuple[str, ...] = ()) -> Reply:
        return json_reply(self._shown(call, self._form(call), obj), status, warnings)

    def _written(self, call: Call, written: Written, status: int = 200) -> Reply:
        return self._object(call, written.object, status, written.warnings)

    # -- writing

    async def _body(self, call: Call) -> Object:
        request = call.request
        body = as_object(decode_body(await request.read(), request.headers.get("Content-Type", "")))
        if call.served.is_custom:
            _require_identity(call.served, body)
        return body

    async def _create(self, call: Call) -> Reply:
        if "create" not in call.served.verbs:
            raise errors.method_not_allowed("POST")
        obj = await self._body(call)
        if call.served.hidden:
            return json_reply(self._api.reviews.answer(call.served, obj, call.user, call.target.namespace), 201)
        namespace = call.target.namespace
        if call.served.resource.namespaced and not namespace:
            raise errors.bad_request("an empty namespace may not be set during creation")
        written = self._registry.create(call.served, obj, namespace, call.options)
        return self._written(call, written, 201)

    async def _replace(self, call: Call, part: str = "") -> Reply:
        target = call.target
        obj = await self._body(call)
        if not (obj.get("metadata") or {}).get("name"):
            raise errors.nameless(target.name)
        where = (target.name, target.namespace)
        written = self._registry.update(call.served, obj, *where, call.options, status=bool(part), subresource=part)
        return self._written(call, written)

    async def _patch(self, call: Call, part: str = "") -> Reply:
        request, target = call.request, call.target
        patch, patch_type = decode_patch(await request.read(), request.headers.get("Content-Type", ""))
        options = patch_options(request.query, call.options, patch_type)
        where = (target.name, target.namespace)
        if patch_type is PatchType.APPLY:
            if part == "approval":
                raise errors.bad_request(
                    "an approval cannot be applied: update it, as kubectl certificate approve does"
                )
            config = as_object(patch)
            self._require_create(call)
            written, is_new = apply(self._registry, call.served, config, *where, options, status=bool(part))
            return self._written(call, written, 201 if is_new else 200)
        require_patchable(patch_type, is_custom=call.served.is_custom)
        written = self._registry.patch(
            call.served, patch, patch_type, *where, options, status=bool(part), subresource=part
        )
        return self._written(call, written)

    def _require_create(self, call: Call) -> None:
        """Raise ApiError Forbidden for who applies what is not there, and may not make it."""
        target = call.target
        if self._api.store.get(Key(call.served.kind_key, target.namespace, target.name)) is None:
            wanted = OnResource(
                "create", target.group, target.plural, target.subresource, target.namespace, target.name
            )
            self._api.authorizer.require(call.user, wanted)

    async def _delete(self, call: Call) -> Reply:
        options = await self._delete_options(call)
        deleted = self._api.deleter.delete(call.served, call.target.name, call.target.namespace, options)
        return self._deleted(call, deleted)

    async def _delete_options(self, call: Call) -> DeleteOptions:
        request = call.request
        return decode_delete_options(await request.read(), request.headers.get("Content-Type", ""), request.query)

    def _deleted(self, call: Call, deleted: Deleted) -> Reply:
        if not deleted.gone:
            return self._object(call, deleted.object)
        resource, metadata = call.served.resource, deleted.object["metadata"]
        details: Object = {"name": metadata["name"], "kind": resource.plural, "uid": metadata["uid"]}
        if resource.group:
            details["group"] = resource.group
        return json_reply(success(details))

    async def _delete_collection(self, call: Call) -> Reply:
        if "deletecollection" not in call.served.verbs or (
            call.served.resource.namespaced and not call.target.namespace
        ):
            raise errors.method_not_allowed("DELETE")
        query = call.request.query
        options = await self._delete_options(call)
        selection = self._registry.selection(
            call.served, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        items = self._registry.list(call.served, call.target.namespace, selection)
        for obj in items:
            self._api.deleter.delete(call.served, obj["metadata"]["name"], call.target.namespace, options)
        return json_reply(_list_of(call.served, items, {"resourceVersion": str(self._api.store.revision)}))

    # -- subresources

    async def _subresource(self, call: Call) -> Reply:
        served, target = call.served, call.target
        match target.subresource, call.request.method:
            case "status", "GET" if served.has_status:
                return self._object(call, self._registry.get(served, target.name, target.namespace))
            case "status", "PUT" if served.has_status:
                return await self._replace(call, "status")
            case "status", "PATCH" if served.has_status:
                return await self._patch(call, "status")
            case "approval", "GET" if served.has_part("approval"):
                return self._object(call, self._registry.get(served, target.name, target.namespace))
            case "approval", "PUT" if served.has_part("approval"):
                return await self._replace(call, "approval")
            case "approval", "PATCH" if served.has_part("approval"):
                return await self._patch(call, "approval")
            case "scale", method if served.scale is not None:
                return await self._scale(call, method)
            case "finalize", "PUT" if served.kind_key == "namespaces":
                finalizers = ((await self._body(call)).get("spec") or {}).get("finalizers") or []
                return json_reply(finalize_namespace(self._registry, served, target.name, finalizers))
            case "log" | "exec" | "attach" | "portforward" as word, method if served.kind_key == "pods":
                return await self._of_running_pod(call, word, method)
            case "token", "POST" if served.kind_key == "serviceaccounts":
                account = self._registry.get(served, target.name, target.namespace)
                return json_reply(self._api.tokens.request(account, await self._body(call)), 201)
            case "eviction", "POST" if served.kind_key == "pods":
                return await self._evict(call)
            case _:
                raise errors.not_found(served.resource, target.name) if served.is_custom else errors.no_such_path()

    async def _scale(self, call: Call, method: str) -> Reply:
        served, target, registry = call.served, call.target, self._registry
        match method:
            case "GET":
                scale = scaling.scale_of(served, registry.get(served, target.name, target.namespace))
            case "PUT":
                body = await self._body(call)
                scale = registry.update_scale(served, body, target.name, target.namespace, call.options)
            case "PATCH":
                content_type = call.request.headers.get("Content-Type", "")
                patch, kind = decode_patch(await call.request.read(), content_type)
                scale = registry.patch_scale(served, patch, kind, target.name, target.namespace, call.options)
            case _:
                raise errors.method_not_allowed(method)
        return json_reply(scale)

    async def _of_running_pod(self, call: Call, word: str, method: str) -> Reply:
        target, request, host = call.target, call.request, self._pods
        if host is None:
            raise errors.no_such_path()
        self._registry.get(call.served, target.name, target.namespace)
        match word, method:
            case "log", "GET":
                query = log_query(request.query, self._api.clock.now())
                text = host.read_log(target.namespace, target.name, request.query.get("container", ""), query)
                return await send_log(request, text)
            case "exec", "GET" | "POST":
                return await serve_exec(request, target, host)
            case "attach", "GET" | "POST":
                return await serve_attach(request, target, host)
            case "portforward", "GET" | "POST":
                return await serve_port_forward(request, target, host)
            case _:
                raise errors.method_not_allowed(method)

    async def _evict(self, call: Call) -> Reply:
        eviction: dict[str, Any] = await self._body(call)
        grace = (eviction.get("deleteOptions") or {}).get("gracePeriodSeconds")
        target = call.target
        self._api.deleter.delete(call.served, target.name, target.namespace, DeleteOptions(grace_seconds=grace))
        return json_reply(success({}), 201)


def _require_identity(served: Served, body: Object) -> None:
    """Raise 400 for an object that does not say of what kind it is, which a server knows of built-in kinds alone."""
    for field, word in (("apiVersion", "apiVersion"), ("kind", "Kind")):
        if not isinstance(body.get(field), str) or not body[field]:
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type {served.resource.kind}): Object '{word}' is "
                "missing in the body"
            )


def _list_of(served: Served, items: list[Object], metadata: Object) -> Object:
    resource = served.resource
    if served.is_custom:
        metadata = {"continue": "", **metadata}
    return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": items}


def _check_served(call: Call) -> None:
    """Raise ApiError for a path that leads nowhere, and for more than a reading of what is only computed."""
    if call.target.namespace and not call.served.resource.namespaced:
        raise errors.no_such_path()
    if call.served.computed is not None and (call.request.method != "GET" or flag(call.request.query, "watch")):
        raise errors.method_not_allowed(call.request.method)
