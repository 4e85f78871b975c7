"""From a Service to Ready, and what its status says on the way."""

from tests.unit.controllers.serving.world import World


async def test_a_service_becomes_ready_when_all_have_done_their_part(world: World) -> None:
    await world.deploy()
    service = await world.ready()
    status = service["status"]
    assert status["url"] == "http://hello.default.localhost:8080"
