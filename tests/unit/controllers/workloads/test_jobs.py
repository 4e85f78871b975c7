"""Jobs over the real embedded API, in virtual time; tests play the runtime."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eventmesh.base.clock import rfc3339
from eventmesh.controllers.workloads.app import WorkloadControllers
from eventmesh.controllers.workloads.job_plan import TRACKING, back_off_s
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import EVENT, JOB, POD
from eventmesh.kube.status import condition
from tests.unit.controllers.workloads.cluster import Cluster


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    await cluster.start()
    yield cluster
    await cluster.stop()


def job(policy: str = "Never", **spec: Any) -> Object:
    pod = {"containers": [{"name": "work", "image": "dev.local/work"}], "restartPolicy": policy}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once", "namespace": "default"},
        "spec": {"template": {"spec": pod}, **spec},
    }


async def create(cluster: Cluster, policy: str = "Never", **spec: Any) -> None:
    await cluster.api.create(JOB, job(policy, **spec), "default")


async def stored(cluster: Cluster) -> Object:
    (found,) = await cluster.all(JOB)
    return found


async def end(cluster: Cluster, pod: Object, phase: str) -> None:
    """Tell that the pod has ended now."""
    ended = {"exitCode": 0 if phase == "Succeeded" else 1, "finishedAt": rfc3339(cluster.clock.now())}
    status = {"phase": phase, "containerStatuses": [{"name": "work", "state": {"terminated": ended}}]}
    await cluster.api.patch(POD, pod["metadata"]["name"], {"status": status}, "default", subresource="status")


async def active(cluster: Cluster) -> list[Object]:
    return [pod for pod in await cluster.pods() if pod["status"]["phase"] in ("Pending", "Running")]


def said(obj: Object, kind: str) -> tuple[str, str]:
    found = condition(obj, kind)
    assert found is not None, obj.get("status")
    return found["status"], found["reason"]


async def test_a_job_runs_one_pod_and_is_complete_when_it_succeeds(cluster: Cluster) -> None:
    await create(cluster)
    (pod,) = await cluster.pods()
    assert pod["metadata"]["name"].startswith("once-")
    assert pod["metadata"]["labels"]["job-name"] == "once"
    found = await stored(cluster)
    assert (found["status"]["active"], found["status"]["startTime"]) == (1, "2026-01-01T00:00:00Z")
    await end(cluster, pod, "Succeeded")
    found = await stored(cluster)
    assert said(found, "Complete") == ("True", "CompletionsReached")
    assert said(found, "SuccessCriteriaMet") == ("True", "CompletionsReached")
    assert (found["status"]["succeeded"], found["status"]["completionTime"]) == (1, rfc3339(cluster.clock.now()))
    assert "active" not in found["status"]
    assert found["status"]["uncountedTerminatedPods"] == {}
    assert TRACKING not in str(await cluster.pods())
    reasons = {event["reason"] for event in await cluster.all(EVENT)}
    assert reasons == {"SuccessfulCreate", "Completed"}


async def test_completions_are_reached_with_no_more_at_once_than_parallelism_allows(cluster: Cluster) -> None:
    await create(cluster, completions=5, parallelism=2)
    for done in range(5):
        running = await active(cluster)
        assert len(running) == min(2, 5 - done)
        await end(cluster, running[0], "Succeeded")
    found = await stored(cluster)
    assert (found["status"]["succeeded"], said(found, "Complete")[0]) == (5, "True")
    assert len(await cluster.pods()) == 5


async def test_without_completions_one_success_is_enough_and_the_others_may_finish(cluster: Cluster) -> None:
    await create(cluster, parallelism=3)
    first, second, third = await active(cluster)
    await end(cluster, first, "Succeeded")
    assert condition(await stored(cluster), "Complete") is None
    await end(cluster, second, "Failed")
    assert len(await active(cluster)) == 1
    await end(cluster, third, "Succeeded")
    found = await stored(cluster)
    assert (found["status"]["succeeded"], found["status"]["failed"]) == (2, 1)
    assert said(found, "Complete")[0] == "True"


async def test_a_pod_that_failed_is_replaced_after_a_back_off_that_doubles(cluster: Cluster) -> None:
    await create(cluster, backoffLimit=3)
    for wait_s in (10.0, 20.0, 40.0):
        (pod,) = await active(cluster)
        await end(cluster, pod, "Failed")
        assert await active(cluster) == []
        await cluster.clock.advance(wait_s - 1.0)
        assert await active(cluster) == []
        await cluster.clock.advance(2.0)
        assert len(await active(cluster)) == 1
    assert (await stored(cluster))["status"]["failed"] == 3


async def test_a_job_has_failed_when_more_pods_have_than_its_limit(cluster: Cluster) -> None:
    await create(cluster, backoffLimit=0, parallelism=2, completions=2)
    first, second = await active(cluster)
    await end(cluster, first, "Failed")
    found = await stored(cluster)
    assert said(found, "FailureTarget") == ("True", "BackoffLimitExceeded")
    assert condition(found, "Failed") is None
    (left,) = [pod for pod in await cluster.all(POD) if "deletionTimestamp" in pod["metadata"]]
    assert left["metadata"]["uid"] == second["metadata"]["uid"]
    await cluster.remove()
    found = await stored(cluster)
    assert said(found, "Failed") == ("True", "BackoffLimitExceeded")
    assert found["status"]["failed"] == 2
    assert "completionTime" not in found["status"]


async def test_restarts_inside_a_pod_count_against_the_limit(cluster: Cluster) -> None:
    await create(cluster, "OnFailure", backoffLimit=2)
    (pod,) = await active(cluster)
    for restarts, failed in ((1, False), (2, True)):
        status = {"phase": "Running", "containerStatuses": [{"name": "work", "restartCount": restarts}]}
        await cluster.api.patch(POD, pod["metadata"]["name"], {"status": status}, "default", subresource="status")
        assert (condition(await stored(cluster), "FailureTarget") is not None) is failed


async def test_a_job_past_its_deadline_ends_its_pods_and_has_failed(cluster: Cluster) -> None:
    await create(cluster, activeDeadlineSeconds=30)
    await cluster.clock.advance(29.0)
    assert len(await active(cluster)) == 1
    await cluster.clock.advance(2.5)
    assert await active(cluster) == []
    await cluster.remove()
    assert said(await stored(cluster), "Failed") == ("True", "DeadlineExceeded")


async def test_a_job_that_was_suspended_has_no_pods_no_failures_and_goes_on_when_resumed(cluster: Cluster) -> None:
    await create(cluster)
    assert len(await active(cluster)) == 1
    await cluster.api.patch(JOB, "once", {"spec": {"suspend": True}}, "default")
    assert await active(cluster) == []
    await cluster.remove()
    found = await stored(cluster)
    assert said(found, "Suspended") == ("True", "JobSuspended")
    assert "startTime" not in found["status"]
    assert not found["status"].get("failed")
    await cluster.api.patch(JOB, "once", {"spec": {"suspend": False}}, "default")
    (pod,) = await active(cluster)
    found = await stored(cluster)
    assert (said(found, "Suspended"), "startTime" in found["status"]) == (("False", "JobResumed"), True)
    await end(cluster, pod, "Succeeded")
    assert said(await stored(cluster), "Complete")[0] == "True"


async def test_fewer_in_parallel_takes_pods_back_without_counting_them(cluster: Cluster) -> None:
    await create(cluster, parallelism=3, completions=5)
    assert len(await active(cluster)) == 3
    await cluster.api.patch(JOB, "once", {"spec": {"parallelism": 1}}, "default")
    assert len(await active(cluster)) == 1
    await cluster.remove()
    found = await stored(cluster)
    assert (found["status"]["active"], found["status"].get("failed", 0)) == (1, 0)


async def test_a_pod_that_somebody_deletes_has_failed_and_is_replaced(cluster: Cluster) -> None:
    await create(cluster)
    (pod,) = await active(cluster)
    await cluster.api.delete(POD, pod["metadata"]["name"], "default")
    await cluster.remove()
    assert (await stored(cluster))["status"]["failed"] == 1
    await cluster.clock.advance(60.0)
    assert len(await active(cluster)) == 1


async def test_a_finished_job_goes_with_its_pods_when_its_time_is_over(cluster: Cluster) -> None:
    await create(cluster, ttlSecondsAfterFinished=60)
    (pod,) = await active(cluster)
    await end(cluster, pod, "Succeeded")
    await cluster.clock.advance(59.0)
    assert len(await cluster.all(JOB)) == 1
    await cluster.clock.advance(3.0)
    assert await cluster.all(JOB) == []
    assert await cluster.all(POD) == []


async def test_a_job_that_is_deleted_takes_its_pods_with_it(cluster: Cluster) -> None:
    await create(cluster)
    assert len(await active(cluster)) == 1
    await cluster.api.delete(JOB, "once", "default")
    await cluster.remove()
    assert await cluster.all(POD) == []


async def test_what_ended_before_a_restart_is_counted_once_after_it(cluster: Cluster) -> None:
    await create(cluster, completions=2, parallelism=2)
    first, _ = await active(cluster)
    await cluster.workloads.stop()
    await end(cluster, first, "Succeeded")
    cluster.workloads = WorkloadControllers(cluster.api, cluster.informers, cluster.clock)
    cluster.workloads.start()
    found = await stored(cluster)
    assert (found["status"]["succeeded"], len(await active(cluster))) == (1, 1)


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"policy": "Always"}, 'spec.template.spec.restartPolicy: Unsupported value: "Always"'),
        ({"parallelism": -1}, "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        ({"completionMode": "Indexed"}, 'spec.completionMode: Unsupported value: "Indexed"'),
        ({"successPolicy": {"rules": []}}, "spec.successPolicy: Forbidden: is not supported in the local cluster"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_field(cluster: Cluster, spec: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ApiError) as refused:
        await create(cluster, **spec)
    assert refused.value.code == 422
    assert refusal in refused.value.message


async def test_the_template_of_a_job_never_changes(cluster: Cluster) -> None:
    await create(cluster)
    found = copy.deepcopy(await stored(cluster))
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "dev.local/other"
    with pytest.raises(ApiError) as refused:
        await cluster.api.replace(JOB, found)
    assert "spec.template: Invalid value" in refused.value.message


def test_the_back_off_ends_at_ten_minutes() -> None:
    assert [back_off_s(n) for n in (0, 1, 2, 3, 50)] == [0.0, 10.0, 20.0, 40.0, 600.0]
