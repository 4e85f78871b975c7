"""What becomes of a JobSink's Job for one event."""

from __future__ import annotations

import base64
import json
from typing import Any

from eventmesh.activator.job_sink import job_for, job_name, location, secret_for
from eventmesh.cloudevents.event import Event


def sink(container: dict[str, Any], **pod: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i", **container}], "restartPolicy": "Never", **pod}
    job = {"metadata": {"labels": {"own": "1"}}, "spec": {"completions": 1, "template": {"spec": spec}}}
    return {"metadata": {"name": "reports", "namespace": "shop", "uid": "u"}, "spec": {"job": job}}


def test_the_same_event_is_the_same_job_and_names_fit_a_label() -> None:
    name = job_name("reports", "/s", "1")
    assert name == job_name("reports", "/s", "1")
    others = {job_name("reports", "/s", "2"), job_name("reports", "/s1", ""), job_name("other", "/s", "1")}
    assert name not in others and len(others) == 3
    assert len(job_name("x" * 63, "/s", "1")) <= 63


def test_a_job_finds_its_event_in_every_container() -> None:
    job = job_for(sink({}, initContainers=[{"name": "first", "image": "i"}]), "job-1")
    pod = job["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["volumeMounts"] == [
            {"name": "jobsink-event", "mountPath": "/etc/jobsink-event", "readOnly": True}
        ]
        assert {entry["name"]: entry["value"] for entry in container["env"]} == {
            "K_EVENT_PATH": "/etc/jobsink-event",
            "K_EXECUTION_MODE": "batch",
        }
    assert pod["volumes"] == [{"name": "jobsink-event", "secret": {"secretName": "job-1"}}]
    assert job["metadata"]["labels"] == {
        "own": "1",
        "sinks.knative.dev/job-sink-name": "reports",
        "sinks.knative.dev/job-sink-id": "job-1",
    }
    assert job["metadata"]["ownerReferences"][0]["kind"] == "JobSink"


def test_what_the_author_wrote_stays() -> None:
    own = {"name": "jobsink-event", "mountPath": "/mine"}
    mode = {"name": "K_EXECUTION_MODE", "value": "streaming"}
    written = sink({"volumeMounts": [own], "env": [mode]})
    (container,) = job_for(written, "job-1")["spec"]["template"]["spec"]["containers"]
    assert container["volumeMounts"] == [own]
    assert container["env"] == [mode, {"name": "K_EVENT_PATH", "value": "/mine"}]
    assert written["spec"]["job"]["spec"]["template"]["spec"]["containers"][0]["env"] == [mode]


def test_the_event_lies_whole_in_the_secret() -> None:
    event = Event({"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "team": "x"}, b"\x00\xff")
    secret = secret_for(sink({}), "job-1", event)
    document = json.loads(base64.b64decode(secret["data"]["event"]))
    assert (document["id"], document["team"], document["data_base64"]) == ("1", "x", "AP8=")
    assert secret["immutable"] is True


def test_a_location_survives_what_sources_are_made_of() -> None:
    assert (
        location("shop", "reports", "/a/b?c", "1/2") == "/namespaces/shop/name/reports/sources/%2Fa%2Fb%3Fc/ids/1%2F2"
    )
