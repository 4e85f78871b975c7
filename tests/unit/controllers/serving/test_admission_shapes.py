"""Whatever shape an object has: it is admitted or refused, and never tripped over."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from eventmesh.controllers.serving.admission.kinds import serving_admissions
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.kube.admission import AdmissionRequest, FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIGURATION, KSERVICE, REVISION, ROUTE

WHOLE: Object = {
    "metadata": {
        "name": "hello",
        "namespace": "default",
        "labels": {"networking.knative.dev/visibility": "cluster-local"},
        "annotations": {"serving.knative.dev/rollout-duration": "10s"},
    },
    "spec": {
        "traffic": [{"percent": 100, "tag": "a", "revisionName": "hello-1", "configurationName": "c"}],
        "template": {
            "metadata": {"name": "hello-v1", "annotations": {"autoscaling.knative.dev/min-scale": "1"}},
            "spec": {
                "serviceAccountName": "me",
                "timeoutSeconds": 10,
                "containerConcurrency": 1,
                "initContainers": [{"name": "first", "image": "i"}],
                "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
                "containers": [
                    {
                        "name": "c",
                        "image": "dev.local/hello",
                        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}],
                        "envFrom": [{"configMapRef": {"name": "n"}}],
                        "ports": [{"containerPort": 80, "name": "h2c", "protocol": "TCP"}],
                        "readinessProbe": {"httpGet": {"path": "/"}, "periodSeconds": 1},
                        "livenessProbe": {"exec": {"command": ["true"]}},
                        "resources": {"requests": {"cpu": "1"}},
                        "securityContext": {"runAsUser": 1},
                        "volumeMounts": [{"name": "v", "mountPath": "/x"}],
                    }
                ],
            },
        },
    },
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything below `spec` in `value`."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in entries:
        found += places(item, (*path, key))
    return found


def replaced(path: tuple[Any, ...], junk: Any) -> Object:
    """Return the whole object with `junk` at `path` below `spec`."""
    obj = copy.deepcopy(WHOLE)
    node = obj["spec"]
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = junk
    return obj


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=400)
@given(st.sampled_from(places(WHOLE["spec"])), JUNK, st.booleans())
def test_any_value_anywhere_is_admitted_or_refused(path: tuple[Any, ...], junk: Any, update: bool) -> None:
    doors = serving_admissions(ServingSettings)
    request = AdmissionRequest("alice", old=WHOLE if update else None)
    for resource in (KSERVICE, CONFIGURATION, ROUTE):
        obj = replaced(path, junk)
        defaulted = doors[resource].default(obj, request)
        assert all(isinstance(error, FieldError) for error in doors[resource].validate(defaulted, request))
    revision = {**replaced(path, junk), "spec": replaced(path, junk)["spec"]["template"]}
    revision["spec"] = revision["spec"].get("spec") if isinstance(revision["spec"], dict) else revision["spec"]
    defaulted = doors[REVISION].default(revision, AdmissionRequest("alice"))
    doors[REVISION].validate(defaulted, AdmissionRequest("alice"))
