"""JobSinks: a POST takes one event and starts a Job for it; 202 means that event and Job are in the API.

After knative/eventing: cmd/jobsink. The Job is named by the event's identity, so that the same event twice is one Job.
The event lies in a Secret, which is there before the Job and goes with it.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from eventmesh.activator.broker.admittance import Admittance, Refused, read
from eventmesh.activator.broker.ingress import MAX_EVENT_BYTES
from eventmesh.activator.gatekeeper import job_sink_key
from eventmesh.base import log
from eventmesh.base.errors import UnavailableError
from eventmesh.cloudevents import json_format
from eventmesh.cloudevents.event import Event
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.informer import Informer
from eventmesh.kube.knative import JOB_SINK_INGRESS
from eventmesh.kube.objects import is_deleting, key_of, owner_reference
from eventmesh.kube.resources import JOB, JOB_SINK, SECRET
from eventmesh.kube.status import TRUE, condition
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Route, Serve, VirtualHost
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request

HANDLER: Final = "job-sink"
"""Name under which the handler is registered, and that its Serve route names."""

HOST = VirtualHost(
    HANDLER,
    (JOB_SINK_INGRESS, f"{JOB_SINK_INGRESS}.*"),
    (Route(RouteMatch("/"), Serve(HANDLER, MAX_EVENT_BYTES), name=HANDLER),),
)
"""The hosts that JobSinks are addressed by, on the listener that takes events in. A Secret holds the event: what
brokers and channels may be told to take has no effect here."""

NAME_LABEL: Final = "sinks.knative.dev/job-sink-name"
ID_LABEL: Final = "sinks.knative.dev/job-sink-id"
VOLUME: Final = "jobsink-event"
MOUNT_PATH: Final = "/etc/jobsink-event"

RETRY_AFTER_S: Final = 1
"""What a sender is asked to wait when the API cannot take the Job now."""

_HEAD: Final = 30
"""Characters of the sink's name in that of a Job: with the digest it is a label value (63 characters)."""

_log = log.get("activator.job_sink")


class JobSinks:
    """The `ExchangeHandler` of all JobSinks."""

    def __init__(self, api: Api, sinks: Informer, admittance: Admittance) -> None:
        self._api = api
        self._admittance = admittance
        self._sinks = sinks

    async def handle(self, request: Request) -> Reply:
        """Answer one request: 202 started (or running since before), 400 no event, 401 and 403 not from this sender,
        404 nobody there, 415, 500, 503."""
        parts = [part for part in request.path.partition("?")[0].split("/") if part]
        try:
            if request.method == "GET":
                return await self._state(parts, request)
            if request.method != "POST":
                return Reply(405, (("allow", "GET, POST"),), b"send events with POST, ask for a job with GET\n")
            return await self._start(parts, request)
        except Refused as error:
            return error.reply()
        except UnavailableError as error:
            _log.error("API not reachable", path=request.path, reason=error)
            body = b"the job could not be started; send the event again later\n"
            return Reply(503, (("retry-after", str(RETRY_AFTER_S)),), body)
        except ApiError as error:
            _log.warning("job not started", path=request.path, reason=error.message)
            return Reply.text(500, f"{error.message}\n")

    async def _start(self, parts: list[str], request: Request) -> Reply:
        if len(parts) != 2:
            return Reply.text(400, f"path {request.path} is not /<namespace>/<jobsink>\n")
        sink = self._sink(*parts)
        if sink is None:
            return Reply.text(404, f'no jobsink "{parts[1]}" in namespace "{parts[0]}"\n')
        key = job_sink_key(*parts)
        sender = await self._admittance.sender(key, request.headers)
        event = read(request)
        self._admittance.admit(key, sender, event)
        name = job_name(parts[1], event.source, event.id)
        # The Secret first: a Job whose pods find no event would fail before it is there.
        namespace, sink_name = parts
        await self._once(SECRET, secret_for(sink, name, event))
        job = await self._once(JOB, job_for(sink, name))
        if job is not None:
            owner = {"metadata": {"ownerReferences": [owner_reference(JOB, job, block_owner_deletion=False)]}}
            await self._api.patch(SECRET, name, owner, namespace)
        return Reply(202, (("location", location(namespace, sink_name, event.source, event.id)),))

    async def _once(self, resource: Resource, obj: Object) -> Object | None:
        """Create the object and return it; None when it was there already."""
        try:
            return await self._api.create(resource, obj, obj["metadata"]["namespace"])
        except ApiError as error:
            if not error.already_exists:
                raise
            return None

    async def _state(self, parts: list[str], request: Request) -> Reply:
        """Tell how the Job of an event stands: 200 complete, 202 not yet, 400 failed."""
        path = request.path
        if len(parts) != 8 or parts[0::2] != ["namespaces", "name", "sources", "ids"]:
            return Reply.text(400, f"path {path} is not a job's: that is in Location of the answer to an event\n")
        namespace, sink, source, event_id = (unquote(part) for part in parts[1::2])
        await self._admittance.sender(job_sink_key(namespace, sink), request.headers)
        try:
            job = await self._api.get(JOB, job_name(sink, source, event_id), namespace)
        except ApiError as error:
            if not error.not_found:
                raise
            return Reply.text(404, f'jobsink "{sink}" has no job for the event "{event_id}" of {source}\n')
        for kind, status in (("Failed", 400), ("Complete", 200)):
            if (condition(job, kind) or {}).get("status") == TRUE:
                return Reply(status, (("reason", kind),))
        return Reply(202, (("location", path),))

    def _sink(self, namespace: str, name: str) -> Object | None:
        sink = self._sinks.get(name, namespace)
        return None if sink is None or is_deleting(sink) else sink


def job_name(sink: str, source: str, event_id: str) -> str:
    """Return the name of the Job (and Secret) of an event: the same for the same event, whoever sends it."""
    digest = hashlib.sha256(f"{sink}\n{source}\n{event_id}".encode()).hexdigest()[:32]
    return f"{sink[:_HEAD].rstrip('-.')}-{digest}"


def location(namespace: str, sink: str, source: str, event_id: str) -> str:
    """Return the path at which the state of an event's Job is told."""
    where = (quote(part, safe="") for part in (namespace, sink, source, event_id))
    return "/namespaces/{}/name/{}/sources/{}/ids/{}".format(*where)


def secret_for(sink: Object, name: str, event: Event) -> Object:
    """Return the Secret that holds the event, in the JSON format."""
    data = base64.b64encode(json_format.encode(event)).decode()
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": _metadata(sink, name, {}),
        "immutable": True,
        "type": "Opaque",
        "data": {"event": data},
    }


def job_for(sink: Object, name: str) -> Object:
    """Return the Job of an event: the sink's own, with the event mounted into every container."""
    job = sink["spec"]["job"]
    template = job["spec"]["template"]
    pod = dict(template["spec"])
    for field in ("initContainers", "containers"):
        if pod.get(field):
            pod[field] = [_with_event(container) for container in pod[field]]
    if not any(volume["name"] == VOLUME for volume in pod.get("volumes") or ()):
        pod["volumes"] = [*(pod.get("volumes") or ()), {"name": VOLUME, "secret": {"secretName": name}}]
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": _metadata(sink, name, job.get("metadata") or {}),
        "spec": {**job["spec"], "template": {**template, "spec": pod}},
    }


def _metadata(sink: Object, name: str, own: Object) -> Object:
    labels = {**(own.get("labels") or {}), NAME_LABEL: sink["metadata"]["name"], ID_LABEL: name}
    owner = owner_reference(JOB_SINK, sink, block_owner_deletion=False)
    return {
        "name": name,
        "namespace": key_of(sink).namespace,
        "labels": labels,
        "annotations": own.get("annotations") or {},
        "ownerReferences": [owner],
    }


def _with_event(container: Object) -> Object:
    mounts, env = container.get("volumeMounts") or [], container.get("env") or []
    mounted = next((mount["mountPath"] for mount in mounts if mount["name"] == VOLUME), "")
    if not mounted:
        mounts = [*mounts, {"name": VOLUME, "mountPath": MOUNT_PATH, "readOnly": True}]
    added = {"K_EVENT_PATH": mounted or MOUNT_PATH, "K_EXECUTION_MODE": "batch"}
    known = {variable["name"] for variable in env}
    variables = [{"name": key, "value": value} for key, value in added.items() if key not in known]
    return {**container, "volumeMounts": mounts, "env": [*env, *variables]}
