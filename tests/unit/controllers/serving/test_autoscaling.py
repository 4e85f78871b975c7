"""PodAutoscalers over the embedded API: waking, going to sleep, and the order in which things are written."""

import asyncio

from eventmesh.autoscale.stat import Stat
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.resources import DEPLOYMENT, KSERVICE, POD_AUTOSCALER, REVISION, SERVERLESS_SERVICE, SERVICE
from eventmesh.kube.status import condition
from tests.unit.controllers.serving.world import World

REV = "hello-00001"
AUTOSCALING = "autoscaling.knative.dev"
SHORT = {"window": "6s", "target-burst-capacity": "0"}


def annotated(**annotations: str) -> Object:
    return {"annotations": {f"{AUTOSCALING}/{name.replace('_', '-')}": value for name, value in annotations.items()}}


class Scene:
    """A ready revision `hello-00001`, and the time of its autoscaler in the test's hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.autoscaler = world.autoscaler

    @classmethod
    async def of(cls, world: World, **annotations: str) -> "Scene":
        await world.configure("config-autoscaler", {"scale-to-zero-grace-period": "6s"})
        await world.deploy(metadata=annotated(**annotations))
        await world.ready()
        return cls(world)

    def passes(self, seconds: float) -> None:
        """Let time pass, renew all decisions, and look again at what waits for a deadline."""
        self.world.clock.ahead_s += seconds
        self.autoscaler.deciders.tick()
        self.autoscaler.autoscalers.controller.enqueue(self.world.key(REV))

    def idle(self) -> None:
        """Have the pods say that nothing is asked of them."""
        self.world.report(REV, 0.0)

    async def falls_asleep(self) -> None:
        """Be idle for a window, let control acknowledge the activator, and wait for the last pod to go."""
        self.passes(7)
        self.idle()
        self.passes(0)
        await self.mode("Proxy")
        await self.world.until_condition(POD_AUTOSCALER, REV, "Active", "False", "NoTraffic")
        await self.world.control_acknowledges(REV)
        await self.looked()
        self.passes(6)
        await self.replicas(0)
        await self.world.pod_ends(REV)

    async def looked(self) -> None:
        """Have the controller look at the revision once more, from caches that know everything written so far."""
        for _ in range(20):
            await asyncio.sleep(0)
        while True:
            try:
                return await self.autoscaler.autoscalers.reconcile(self.world.key(REV))
            except ApiError as error:
                # Its own worker wrote at the same time.
                assert error.conflict
                await asyncio.sleep(0)

    async def replicas(self, number: int) -> Object:
        return await self.world.until(
            DEPLOYMENT, f"{REV}-deployment", lambda obj: bool(obj["spec"]["replicas"] == number)
        )

    async def mode(self, mode: str) -> Object:
        return await self.world.until(SERVERLESS_SERVICE, REV, lambda obj: bool(obj["spec"]["mode"] == mode))

    async def count(self) -> int:
        deployment = await self.world.get(DEPLOYMENT, f"{REV}-deployment")
        number: int = deployment["spec"]["replicas"]
        return number


async def test_a_new_revision_starts_behind_the_activator(world: World) -> None:
    scene = await Scene.of(world)
    serverless = await scene.mode("Proxy")
    assert serverless["spec"] == {
        "mode": "Proxy",
        "objectRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{REV}-deployment"},
        "protocolType": "http1",
        "numActivators": 2,
    }
    autoscaler = await world.get(POD_AUTOSCALER, REV)
    assert {key: value for key, value in autoscaler["status"].items() if key != "conditions"} == {
        "observedGeneration": autoscaler["metadata"]["generation"],
        "serviceName": REV,
        "metricsServiceName": f"{REV}-private",
        "actualScale": 1,
        "desiredScale": 1,
    }
    for kind in ("Active", "ScaleTargetInitialized", "SKSReady", "Ready"):
        assert (condition(autoscaler, kind) or {})["status"] == "True", kind


async def test_the_services_of_a_revision_are_knatives(world: World) -> None:
    await Scene.of(world)
    revision = await world.get(REVISION, REV)
    public, private = await world.get(SERVICE, REV), await world.get(SERVICE, f"{REV}-private")
    assert "selector" not in public["spec"]
    assert private["spec"]["selector"] == {"serving.knative.dev/revisionUID": revision["metadata"]["uid"]}
    ports = [(port["name"], port["port"], port["targetPort"]) for port in private["spec"]["ports"]]
    assert ports == [("http", 80, 8012), ("http-autometric", 9090, 9090), ("http-usermetric", 9091, 9091)]
    for service, kind in ((public, "Public"), (private, "Private")):
        labels = service["metadata"]["labels"]
        assert labels["networking.internal.knative.dev/serviceType"] == kind
        assert labels["networking.internal.knative.dev/serverlessservice"] == REV


async def test_going_to_sleep_moves_the_routes_before_the_last_pod_goes(world: World) -> None:
    scene = await Scene.of(world, **SHORT)
    world.report(REV, 1.0)
    scene.passes(0)
    await scene.mode("Serve")
    await world.control_acknowledges(REV)
    scene.passes(7)
    scene.idle()
    scene.passes(0)
    await scene.mode("Proxy")
    await world.until_condition(POD_AUTOSCALER, REV, "Active", "False", "NoTraffic")
    # However long it lasts: without the data plane's acknowledgement the pod stays.
    scene.passes(3600)
    await scene.looked()
    assert await scene.count() == 1
    await world.control_acknowledges(REV)
    await world.until(POD_AUTOSCALER, REV, lambda obj: bool(obj["status"]["desiredScale"] == 0))
    scene.passes(0)
    await scene.replicas(0)


async def test_a_revision_that_sleeps_is_still_ready(world: World) -> None:
    scene = await Scene.of(world, **SHORT)
    await scene.falls_asleep()
    revision = await world.until_condition(REVISION, REV, "Active", "False", "NoTraffic")
    assert (condition(revision, "Ready") or {})["status"] == "True"
    await world.until(
        REVISION,
        REV,
        lambda obj: (obj["status"]["actualReplicas"], obj["status"]["desiredReplicas"]) == (0, 0),
    )


async def test_the_first_waiting_request_wakes_a_revision_without_waiting_for_a_tick(world: World) -> None:
    scene = await Scene.of(world, **SHORT)
    await scene.falls_asleep()
    world.report(REV, 1.0)
    await scene.replicas(1)
    await world.until_condition(POD_AUTOSCALER, REV, "Active", "Unknown", "Queued")
    await world.pod_runs(REV)
    await world.until_condition(POD_AUTOSCALER, REV, "Active", "True")


async def test_a_restarted_autoscaler_wakes_a_sleeping_revision_too(world: World) -> None:
    scene = await Scene.of(world, **SHORT)
    await scene.falls_asleep()
    key = world.key(REV)
    scene.autoscaler.deciders.forget(key)
    scene.autoscaler.autoscalers.controller.enqueue(key)
    await scene.looked()
    await scene.mode("Proxy")
    assert await scene.count() == 0
    world.report(REV, 1.0)
    await scene.replicas(1)


async def test_a_burst_that_always_fits_lets_the_activator_leave_and_one_that_does_not_keeps_it(world: World) -> None:
    scene = await Scene.of(world, target="10", target_burst_capacity="15")
    world.report(REV, 1.0)
    scene.passes(0)
    await scene.looked()
    await scene.mode("Proxy")
    await world.pod_runs(REV, 1)
    await world.until(POD_AUTOSCALER, REV, lambda obj: bool(obj["status"]["actualScale"] == 2))
    scene.passes(2)
    await scene.mode("Serve")


async def test_load_scales_up_within_the_bounds(world: World) -> None:
    scene = await Scene.of(world, target="10", max_scale="4")
    for _ in range(6):
        world.report(REV, 25.0)
        scene.passes(1)
    await scene.replicas(4)


async def test_a_part_reported_twice_counts_once(world: World) -> None:
    scene = await Scene.of(world, target="10", target_utilization_percentage="100")
    key = world.key(REV)
    collector = scene.autoscaler.deciders
    collector.report(key, Stat("activator", average_concurrent_requests=15.0, request_count=15.0))
    pod = Stat("pod", average_concurrent_requests=15.0, average_proxied_concurrent_requests=15.0)
    collector.report(key, pod)
    scene.passes(0)
    await scene.replicas(2)


async def test_min_scale_holds_until_no_route_leads_there(world: World) -> None:
    scene = await Scene.of(world, window="6s", min_scale="1")
    scene.passes(30)
    scene.idle()
    scene.passes(0)
    await scene.looked()
    assert await scene.count() == 1
    autoscaler = await world.get(POD_AUTOSCALER, REV)
    assert (condition(autoscaler, "Active") or {})["status"] == "True"


async def test_initial_scale_must_be_reached_before_the_revision_is_ready(world: World) -> None:
    await world.deploy(metadata=annotated(initial_scale="2"))
    await world.until(DEPLOYMENT, f"{REV}-deployment", lambda obj: bool(obj["spec"]["replicas"] == 2))
    await world.pod_runs(REV, 0)
    await world.control_acknowledges(REV)
    await world.until(POD_AUTOSCALER, REV, lambda obj: bool((obj.get("status") or {}).get("actualScale") == 1))
    autoscaler = await world.get(POD_AUTOSCALER, REV)
    assert (condition(autoscaler, "ScaleTargetInitialized") or {})["status"] == "Unknown"
    await world.pod_runs(REV, 1)
    await world.until_condition(REVISION, REV, "Ready", "True")


async def test_a_revision_may_start_asleep_where_that_is_allowed(world: World) -> None:
    await world.configure("config-autoscaler", {"allow-zero-initial-scale": "true", "initial-scale": "0"})
    await world.deploy()
    await world.until(DEPLOYMENT, f"{REV}-deployment", lambda obj: bool(obj["spec"]["replicas"] == 0))
    await world.control_acknowledges(REV)
    revision = await world.until_condition(REVISION, REV, "Ready", "True")
    assert (condition(revision, "Active") or {})["reason"] == "NoTraffic"


async def test_an_activation_that_never_succeeds_is_given_up(world: World) -> None:
    await world.configure("config-autoscaler", {"scale-to-zero-grace-period": "6s"})
    deadline = {"serving.knative.dev/progress-deadline": "270s"}
    await world.deploy(metadata={"annotations": deadline})
    await world.until(POD_AUTOSCALER, REV, lambda obj: "status" in obj)
    await world.until(DEPLOYMENT, f"{REV}-deployment", lambda obj: True)
    await world.control_acknowledges(REV)
    scene = Scene(world)
    # Thirty seconds are on top of it; the clock goes on by itself, too, while a busy machine does all this.
    scene.passes(200)
    await scene.looked()
    assert await scene.count() == 1
    scene.passes(101)
    await scene.replicas(0)
    await world.until_condition(POD_AUTOSCALER, REV, "Active", "False", "TimedOut")
    revision = await world.until_condition(REVISION, REV, "ResourcesAvailable", "False")
    assert (condition(revision, "Ready") or {})["message"] == "Initial scale was never achieved"


async def test_another_autoscaler_class_is_left_alone(world: World) -> None:
    await world.deploy(metadata=annotated(**{"class": "autoscaler.example.com"}))
    await world.until(POD_AUTOSCALER, REV, lambda obj: bool(obj["spec"]["reachability"] == "Reachable"))
    await world.until(DEPLOYMENT, f"{REV}-deployment", lambda obj: True)
    await Scene(world).looked()
    assert "status" not in await world.get(POD_AUTOSCALER, REV)
    assert await world.names(SERVERLESS_SERVICE) == set()


async def test_a_reported_revision_that_nobody_knows_is_ignored(world: World) -> None:
    world.report("nobody", 5.0)
    world.autoscaler.deciders.tick()
    assert world.autoscaler.deciders.specs() == []


async def test_a_deleted_revision_is_forgotten(world: World) -> None:
    scene = await Scene.of(world)
    assert [key for key, _ in scene.autoscaler.deciders.specs()] == [world.key(REV)]
    await world.user.delete(KSERVICE, "hello", "default")
    await world.until_gone(POD_AUTOSCALER, REV)
    await scene.looked()
    assert scene.autoscaler.deciders.specs() == []
