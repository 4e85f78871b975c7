"""Every command group of kn, by the oldest that is promised and the newest that is to be had, a namespace for each.

What one version prints in detail is held by the files beside (`test_kn_services`, `test_kn_events`, `test_kn_sources`).
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import yaml

from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

IMAGE = ("--image", "dev.local/hello")


@pytest.fixture(scope="module", autouse=True)
def image(shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    add_function(shared_mesh, tmp_path_factory.mktemp("image") / "hello")


@pytest.fixture(scope="module", params=["kn-oldest", "kn"])
def kn(
    request: pytest.FixtureRequest, shared_mesh: MeshProcess, tmp_path_factory: pytest.TempPathFactory
) -> CommandLine:
    """One version of kn, with a kubeconfig whose namespace has the version's name."""
    home = tmp_path_factory.mktemp(request.param)
    kubeconfig = Path(shutil.copy(shared_mesh.kubeconfig, home))
    kubectl = CommandLine("kubectl", kubeconfig, home)
    asyncio.run(kubectl("create", "namespace", request.param))
    asyncio.run(kubectl("config", "set-context", "--current", "--namespace", request.param))
    # Without it an ApiServerSource may read nothing.
    viewer = ("--clusterrole=view", f"--serviceaccount={request.param}:default")
    asyncio.run(kubectl("create", "rolebinding", "viewer", *viewer))
    return CommandLine(request.param, kubeconfig, home)


@pytest.fixture
def namespace(kn: CommandLine) -> str:
    """The namespace that this version of kn works in."""
    return Path(kn.path).name


async def listed(kn: CommandLine, *group: str, name: str, ready: bool = True) -> str:
    """Return the line about `name` once `list` shows it, and shows it Ready if it is to be."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for line in (await kn(*group, "list")).splitlines():
                words = line.split()
                if words[:1] == [name] and ("True" in words or not ready):
                    return line


async def test_apply_makes_a_revision_of_a_change_only(kn: CommandLine) -> None:
    made = await kn("service", "apply", "applied", *IMAGE)
    again = await kn("service", "apply", "applied", *IMAGE)
    changed = await kn("service", "apply", "applied", *IMAGE, "--env", "COLOUR=blue")
    assert "Service 'applied' created to latest revision 'applied-00001' is available at URL:" in made
    assert again.startswith("No changes to apply to service 'applied'.\n")
    assert "Service 'applied' applied to latest revision 'applied-00002' is available at URL:" in changed
    assert "applied-00003" not in await kn("revision", "list", "--service", "applied")


async def test_containers_are_added_and_what_was_made_of_them_is_applied(
    kn: CommandLine, shared_mesh: MeshProcess, namespace: str, tmp_path: Path
) -> None:
    add_function(shared_mesh, tmp_path / "helper", "helper", "import time; time.sleep(3600)")
    helper = ("--image", "dev.local/helper")
    # kn reads whatever is a pipe, and an empty one is an error to it.
    first = await kn("container", "add", "first", *helper, stdin="containers: []")
    both = await kn("container", "add", "second", *helper, "--env", "COLOUR=blue", "--containers", "-", stdin=first)
    assert sorted(each["name"] for each in yaml.safe_load(both)["containers"]) == ["first", "second"]
    file = tmp_path / "several.yaml"
    offline = ("--containers", "-", "--target", str(file))
    await kn("service", "create", "several", *IMAGE, "--port", "8080", *offline, stdin=both)
    written = file.read_text()
    assert len(yaml.safe_load(written)["spec"]["template"]["spec"]["containers"]) == 3
    made = await kn("service", "apply", "several", "-f", str(file))
    assert "Service 'several' created to latest revision 'several-00001' is available at URL:" in made
    (answer,) = await shared_mesh.ask(f"several.{namespace}.localhost")
    assert answer.body.startswith("several-00001 ")
    file.write_text(written.replace("blue", "green"))
    changed = await kn("service", "apply", "several", "-f", str(file))
    assert "Service 'several' applied to latest revision 'several-00002'" in changed
    file.write_text("kind: [")
    broken = await kn.run("service", "apply", "several", "-f", str(file))
    assert broken.code == 1 and broken.err


async def test_without_plugins_the_list_of_them_is_empty(
    kn: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes each `kn-NAME` on the path for one, and so the other version, where `make` puts them there.
    monkeypatch.setitem(kn.environment, "PATH", str(tmp_path))
    listed = await kn.run("plugin", "list")
    assert (listed.code, listed.out) == (0, "No plugins found.\n")


async def test_waits_end_when_it_is_ready_or_their_time_is_over(
    kn: CommandLine, shared_mesh: MeshProcess, namespace: str
) -> None:
    created = await kn("service", "create", "waited", *IMAGE, "--no-wait")
    assert created == f"Service 'waited' created in namespace '{namespace}'.\n"
    told = await kn("service", "wait", "waited", "--wait-timeout", "60")
    assert told.endswith(f"Service 'waited' in namespace '{namespace}' is ready.\n")
    (answer,) = await shared_mesh.ask(f"waited.{namespace}.localhost")
    assert answer.body.startswith("waited-00001 ")
    unknown = ("--image", "dev.local/nobody", "--wait-window", "0")
    failed = await kn.run("service", "create", "failed", *unknown)
    assert failed.code == 1 and "RevisionFailed: " in failed.err
    late = await kn.run("service", "wait", "failed", "--wait-timeout", "0", "--wait-window", "20")
    assert late.code == 1 and "timeout: service 'failed' not ready after 0 seconds" in late.err
    missing = await kn.run("service", "wait", "nobody", "--wait-timeout", "1")
    assert missing.code == 1 and "nobody" in missing.err
    assert await kn("service", "delete", "waited", "--wait", "--wait-timeout", "60") == (
        f"Service 'waited' successfully deleted in namespace '{namespace}'.\n"
    )


async def test_what_was_exported_is_imported_with_its_revisions_and_their_shares(
    kn: CommandLine, shared_mesh: MeshProcess, namespace: str, tmp_path: Path
) -> None:
    await kn("service", "create", "moved", *IMAGE, "--revision-name", "one")
    await kn("service", "update", "moved", "--env", "COLOUR=blue", "--revision-name", "two")
    await kn("service", "update", "moved", "--tag", "moved-one=old", "--traffic", "old=50,@latest=50")
    replayed = yaml.safe_load(
        await kn("service", "export", "moved", "--with-revisions", "--mode", "replay", "-o", "yaml")
    )
    names = [item["spec"]["template"]["metadata"]["name"] for item in replayed["items"]]
    assert (replayed["kind"], names) == ("List", ["moved-one", "moved-two"])
    exported = await kn("service", "export", "moved", "--with-revisions", "--mode", "export", "-o", "yaml")
    (old,) = yaml.safe_load(exported)["spec"]["revisions"]
    assert set(old["metadata"]["labels"]) == {
        f"serving.knative.dev/{label}"
        for label in ("configuration", "configurationGeneration", "routingState", "service")
    }
    file = tmp_path / "moved.yaml"
    file.write_text(exported)
    await kn("service", "delete", "moved", "--wait")
    assert "Service 'moved' imported to latest revision 'moved-two'" in await kn("service", "import", str(file))
    (answer,) = await shared_mesh.ask(f"old-moved.{namespace}.localhost")
    assert answer.body.startswith("moved-one ")
    shares = {line.split()[0]: line.split()[2] for line in (await kn("revision", "list", "-s", "moved")).splitlines()}
    assert (shares["moved-one"], shares["moved-two"]) == ("50%", "50%")
    again = await kn.run("service", "import", str(file))
    assert again.code == 1 and "because the service already exists" in again.err
    nowhere = await kn.run("service", "import", str(tmp_path / "none"))
    assert nowhere.code == 1 and "no such file or directory" in nowhere.err


async def test_revisions_are_described_deleted_and_pruned(kn: CommandLine, namespace: str) -> None:
    await kn("service", "create", "grown", *IMAGE)
    for colour in ("blue", "green"):
        await kn("service", "update", "grown", "--env", f"COLOUR={colour}")
    assert "++ Ready" in await kn("revision", "describe", "grown-00003")
    some = await kn.run("revision", "delete", "grown-00001", "nobody")
    assert some.code == 1
    assert some.out == f"Revision 'grown-00001' deleted in namespace '{namespace}'.\n"
    assert 'revisions.serving.knative.dev "nobody" not found' in some.err
    pruned = await kn("revision", "delete", "--prune", "grown", "--wait")
    assert pruned == f"Revision 'grown-00002' deleted in namespace '{namespace}'.\n"
    assert f"grown.{namespace}.localhost" in await kn("route", "describe", "grown")
    assert "grown" in await kn("route", "list")
    deleted = await kn.run("service", "delete", "grown", "nobody")
    assert (deleted.code, deleted.out) == (1, f"Service 'grown' successfully deleted in namespace '{namespace}'.\n")
    assert 'services.serving.knative.dev "nobody" not found' in deleted.err


async def test_a_domain_leads_to_a_function(kn: CommandLine, shared_mesh: MeshProcess, namespace: str) -> None:
    host = f"{namespace}.example.com"
    await kn("service", "create", "named", *IMAGE)
    await kn("domain", "create", host, "--ref", "ksvc:named")
    await listed(kn, "domain", name=host)
    (answer,) = await shared_mesh.ask(host)
    assert answer.body.startswith("named-00001 ")
    assert "++ Ready" in await kn("domain", "describe", host)
    await kn("domain", "update", host, "--ref", "ksvc:named")
    deleted = await kn("domain", "delete", host)
    assert deleted == f"Domain mapping '{host}' deleted in namespace '{namespace}'.\n"


async def test_brokers_channels_and_what_hangs_on_them_are_made_listed_described_and_deleted(kn: CommandLine) -> None:
    await kn("service", "create", "reader", *IMAGE)
    for group, name, words in (
        ("broker", "post", ()),
        ("trigger", "letters", ("--broker", "post", "--filter", "type=letter", "--sink", "ksvc:reader")),
        ("channel", "pipe", ()),
        ("subscription", "tap", ("--channel", "pipe", "--sink", "ksvc:reader")),
        ("eventtype", "orders", ("--type", "order", "--source", "/shop", "--broker", "post")),
    ):
        await kn(group, "create", name, *words)
        await listed(kn, group, name=name)
        assert "++ Ready" in await kn(group, "describe", name), group
    await kn("broker", "update", "post", "--retry", "3", "--backoff-delay", "PT1S")
    await kn("trigger", "update", "letters", "--filter", "type=parcel")
    assert "parcel" in await kn("trigger", "describe", "letters")
    assert "EventMesh" in await kn("broker", "describe", "post")
    for group, name in (
        ("eventtype", "orders"),
        ("subscription", "tap"),
        ("channel", "pipe"),
        ("trigger", "letters"),
        ("broker", "post"),
    ):
        assert "deleted" in await kn(group, "delete", name)


async def test_sources_are_made_listed_described_and_deleted(kn: CommandLine) -> None:
    await kn("broker", "create", "sink")
    to = ("--sink", "broker:sink")
    for kind, words in (
        ("ping", ("--schedule", "0 0 1 1 *", "--data", "a tick")),
        ("apiserver", ("--resource", "ConfigMap:v1")),
        ("container", IMAGE),
        ("binding", ("--subject", "Deployment:apps/v1:app=none")),
    ):
        await kn("source", kind, "create", f"the-{kind}", *words, *to)
        line = await listed(kn, "source", kind, name=f"the-{kind}")
        # kn writes the kind as it likes.
        assert "broker:sink" in line.lower()
        assert "++ Ready" in await kn("source", kind, "describe", f"the-{kind}"), kind
    everything = await kn("source", "list")
    for kind in ("ping", "apiserver", "container", "binding"):
        assert f"the-{kind}" in everything
        assert "deleted" in await kn("source", kind, "delete", f"the-{kind}")
    types = await kn("source", "list-types")
    assert all(kind in types for kind in ("ApiServerSource", "ContainerSource", "PingSource", "SinkBinding"))


async def test_sources_and_subscriptions_are_updated_and_lists_reach_over_namespaces(
    kn: CommandLine, namespace: str
) -> None:
    for broker in ("one", "two"):
        await kn("broker", "create", broker)
    to = ("--sink", "broker:one")
    for kind, words, change, shown in (
        ("ping", ("--schedule", "0 0 1 1 *", "--data", "a"), ("--schedule", "0 0 2 2 *"), "0 0 2 2 *"),
        ("apiserver", ("--resource", "ConfigMap:v1"), ("--mode", "Resource"), "Resource"),
        ("container", IMAGE, ("--env", "COLOUR=blue"), "COLOUR:  blue"),
        ("binding", ("--subject", "Deployment:apps/v1:app=none"), ("--ce-override", "colour=blue"), "blue"),
    ):
        name = f"changed-{kind}"
        await kn("source", kind, "create", name, *words, *to)
        assert "updated" in await kn("source", kind, "update", name, *change, "--sink", "broker:two")
        described = await kn("source", kind, "describe", name)
        assert shown in described and "two" in described, described
    typed = await kn("source", "list", "--type", "PingSource")
    assert "changed-ping" in typed and "changed-binding" not in typed
    await kn("channel", "create", "river")
    await kn("subscription", "create", "mill", "--channel", "river", "--sink", "broker:one")
    await kn("subscription", "update", "mill", "--sink", "broker:two", "--sink-dead-letter", "broker:one")
    line = await listed(kn, "subscription", name="mill", ready=False)
    assert "broker:two" in line and "broker:one" in line
    url = f"http://broker-ingress.knative-eventing.svc.cluster.local/{namespace}/one"
    assert (await kn("broker", "describe", "one", "-o", "url")).strip() == url
    everywhere = await kn("broker", "list", "-A")
    assert any(line.split()[:2] == [namespace, "two"] for line in everywhere.splitlines())
    nobody = await kn.run("broker", "list", "--as", "nobody")
    assert nobody.code == 1 and 'User "nobody" cannot list resource "brokers"' in nobody.err


async def test_a_function_is_described_for_programs(kn: CommandLine, namespace: str) -> None:
    await kn("service", "create", "spoken", *IMAGE)
    url = (await kn("service", "describe", "spoken", "-o", "url")).strip()
    assert url.startswith(f"http://spoken.{namespace}.localhost:")
    path = "jsonpath={.status.latestReadyRevisionName}"
    assert await kn("service", "describe", "spoken", "-o", path) == "spoken-00001"
    listed_url = "jsonpath={.items[?(@.metadata.name=='spoken')].status.url}"
    assert await kn("service", "list", "-o", listed_url) == url
    forced = await kn("service", "create", "spoken", *IMAGE, "--force", "--env", "A=b")
    assert "Service 'spoken' replaced to latest revision 'spoken-00002' is available at URL:" in forced
