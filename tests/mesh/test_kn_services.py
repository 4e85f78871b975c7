"""kn's service, revision and route commands against a whole mesh, with the output that its users know."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from eventmesh.kube.resources import POD
from tests.mesh.objects import add_function, until_none
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine

pytestmark = pytest.mark.peer

IMAGE = "dev.local/hello"
ONCE_IN_A_MILLION = 1e-6


@pytest.fixture(scope="module", autouse=True)
def image(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    add_function(shared_mesh, tmp_path_factory.mktemp("image") / "hello")


def row(table: str, name: str) -> list[str]:
    """Return the words of the line about `name` in a table that kn printed."""
    return next(line.split() for line in table.splitlines() if line.split()[0] == name)


async def test_create_returns_when_the_function_answers_at_the_url_it_prints(
    shared_mesh: MeshProcess, kn: CommandLine
) -> None:
    printed = await kn("service", "create", "new", "--image", IMAGE)
    answer = await shared_mesh.get("new")
    assert printed.startswith("Creating service 'new' in namespace 'default':")
    assert "Ready to serve." in printed
    url = f"http://new.default.localhost:{shared_mesh.gateway_port}"
    assert printed.endswith(f"Service 'new' created to latest revision 'new-00001' is available at URL:\n{url}\n")
    assert (answer.status, answer.body.split()[0]) == (200, "new-00001")


async def test_list_and_describe_show_a_ready_function(shared_mesh: MeshProcess, kn: CommandLine) -> None:
    await kn("service", "create", "shown", "--image", IMAGE, "--scale-min", "1", "--label", "tier=web")
    url = f"http://shown.default.localhost:{shared_mesh.gateway_port}"
    service = row(await kn("service", "list"), "shown")
    assert service[1:3] == [url, "shown-00001"] and service[4:] == ["3", "OK", "/", "3", "True"]
    revision = row(await kn("revision", "list", "--service", "shown"), "shown-00001")
    assert revision[1:4] == ["shown", "100%", "1"] and revision[-5:] == ["4", "OK", "/", "4", "True"]
    assert row(await kn("route", "list"), "shown") == ["shown", url, "True"]
    described = await kn("service", "describe", "shown")
    assert f"URL:        {url}" in described
    assert "100%  @latest (shown-00001) [1]" in described
    assert "Replicas:  1/1" in described
    for kind in ("Ready", "ConfigurationsReady", "RoutesReady"):
        assert f"++ {kind}" in described
    assert await kn("service", "describe", "shown", "-o", "url") == url + "\n"
    assert "++ ContainerHealthy" in await kn("revision", "describe", "shown-00001")


async def test_update_makes_a_revision_that_answers_when_kn_returns(shared_mesh: MeshProcess, kn: CommandLine) -> None:
    await kn("service", "create", "changed", "--image", IMAGE)
    printed = await kn("service", "update", "changed", "--env", "COLOUR=blue")
    answers = await shared_mesh.get_many("changed", 20)
    assert "Service 'changed' updated to latest revision 'changed-00002' is available at URL:" in printed
    assert {answer.body.split()[0] for answer in answers} == {"changed-00002"}
    traffic = {name: row(await kn("revision", "list"), name)[2] for name in ("changed-00001", "changed-00002")}
    assert traffic["changed-00002"] == "100%" and traffic["changed-00001"] != "100%"


async def test_delete_waits_and_nothing_is_left(shared_mesh: MeshProcess, kn: CommandLine) -> None:
    await kn("service", "create", "away", "--image", IMAGE, "--scale-min", "1")
    printed = await kn("service", "delete", "away", "--wait")
    assert printed == "Service 'away' successfully deleted in namespace 'default'.\n"
    for group in ("service", "revision", "route"):
        assert "away" not in await kn(group, "list")
    async with shared_mesh.api() as api:
        await until_none(api, POD, "serving.knative.dev/service=away")
    assert (await shared_mesh.get("away")).status == 404


async def test_traffic_is_split_in_halves_and_tags_have_urls_of_their_own(
    shared_mesh: MeshProcess, kn: CommandLine
) -> None:
    await kn("service", "create", "split", "--image", IMAGE, "--scale-min", "1")
    await kn("service", "update", "split", "--env", "COLOUR=blue")
    halves = ("--traffic", "old=50", "--traffic", "@latest=50")
    await kn("service", "update", "split", "--tag", "split-00001=old", *halves)
    answers = await shared_mesh.get_many("split", 1_000)
    assert {answer.status for answer in answers} == {200}
    seen = Counter(answer.body.split()[0] for answer in answers)
    assert set(seen) == {"split-00001", "split-00002"}
    assert abs(seen["split-00001"] - 500) <= widest_deviation(1_000, ONCE_IN_A_MILLION)
    assert (await shared_mesh.get("old-split")).body.startswith("split-00001 ")
    described = await kn("service", "describe", "split")
    assert "50%  @latest (split-00002)" in described and "50%  split-00001 #old" in described
    url = f"URL:  http://old-split.default.localhost:{shared_mesh.gateway_port}"
    assert url in await kn("route", "describe", "split")
    assert row(await kn("revision", "list"), "split-00001")[2:4] == ["50%", "old"]


def widest_deviation(tosses: int, risk: float) -> int:
    """Return the deviation from the mean that a fair coin exceeds with a probability below `risk`."""
    beyond, heads = 0.0, tosses
    while (beyond := beyond + 2 * math.comb(tosses, heads) / 2**tosses) < risk:
        heads -= 1
    return heads - tosses // 2


async def test_all_traffic_goes_to_the_revision_that_is_named(shared_mesh: MeshProcess, kn: CommandLine) -> None:
    await kn("service", "create", "back", "--image", IMAGE)
    await kn("service", "update", "back", "--env", "COLOUR=blue")
    await kn("service", "update", "back", "--traffic", "back-00001=100")
    answers = await shared_mesh.get_many("back", 50)
    assert {answer.body.split()[0] for answer in answers} == {"back-00001"}


async def test_an_unknown_image_is_named_and_the_known_ones_with_it(kn: CommandLine) -> None:
    result = await kn.run("service", "create", "lost", "--image", "dev.local/nobody")
    assert result.code == 1
    assert "RevisionFailed" in result.err
    assert "unknown image 'dev.local/nobody': known are dev.local/hello; `eventmesh images add" in result.err
    assert "False" in row(await kn("service", "list"), "lost")


async def test_a_name_in_use_is_refused_and_the_first_goes_on(shared_mesh: MeshProcess, kn: CommandLine) -> None:
    await kn("service", "create", "twice", "--image", IMAGE)
    result = await kn.run("service", "create", "twice", "--image", "dev.local/other")
    assert result.code == 1 and "the service already exists" in result.err
    assert (await shared_mesh.get("twice")).body.startswith("twice-00001 ")


async def test_yaml_that_is_none_is_refused_with_its_line(kn: CommandLine, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: [x\n")
    result = await kn.run("service", "apply", "-f", str(wrong))
    assert result.code == 1 and "line 3" in result.err


async def test_a_field_that_is_none_is_refused_with_its_path(kn: CommandLine, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: wrong}\n"
        "spec: {template: {spec: {containers: [{image: dev.local/hello}], timeoutSeconds: -1}}}\n"
    )
    result = await kn.run("service", "create", "-f", str(wrong))
    assert result.code == 1 and "spec.template.spec.timeoutSeconds" in result.err
