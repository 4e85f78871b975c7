"""kubectl on files: lists, several documents, replacing, dry runs, differences, pruning, and what kinds look like.

By the oldest that is promised, and by the newest.
"""

from __future__ import annotations

import json

import pytest

from tests.peers.command_line import CommandLine
from tests.peers.manifests import DEPLOYMENT

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

FUNCTION = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello, labels: {app: shop}}
spec: {template: {spec: {containers: [{image: dev.local/hello}]}}}
"""


def config(name: str, value: str = "1") -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{app: shop}}}}\ndata: {{a: '{value}'}}\n"
    )


async def test_lists_and_several_documents_apply_one_by_one(kubectl: CommandLine) -> None:
    several = "---\n".join((config("c"), FUNCTION, DEPLOYMENT))
    expected = ["configmap/c", "service.serving.knative.dev/hello", "deployment.apps/web"]
    assert (await kubectl("apply", "-f", "-", stdin=several)).splitlines() == [f"{name} created" for name in expected]
    items = json.loads(await kubectl("get", "cm/c", "ksvc/hello", "deploy/web", "-o", "json"))
    assert items["kind"] == "List"
    again = await kubectl("apply", "-f", "-", stdin=several)
    assert again.splitlines() == [f"{name} unchanged" for name in expected]
    await kubectl("delete", "cm/c", "ksvc/hello", "deploy/web")
    assert "configmap/c serverside-applied" in await kubectl("apply", "--server-side", "-f", "-", stdin=several)
    await kubectl("delete", "-f", "-", stdin=several)
    wrapped = {"apiVersion": "v1", "kind": "List", "items": [json.loads(strip(item)) for item in items["items"]]}
    made = await kubectl("apply", "-f", "-", stdin=json.dumps(wrapped))
    assert sorted(made.splitlines()) == sorted(f"{name} created" for name in expected)


def strip(item: dict[str, dict[str, object]]) -> str:
    """Return an object as its author wrote it, which kubectl noted in an annotation."""
    annotations = item["metadata"]["annotations"]
    assert isinstance(annotations, dict)
    written: str = annotations["kubectl.kubernetes.io/last-applied-configuration"]
    return written


async def test_list_of_one_kind_is_created(kubectl: CommandLine) -> None:
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in "ab"]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    assert await kubectl("create", "-f", "-", stdin=json.dumps(listed)) == "configmap/a created\nconfigmap/b created\n"


async def test_list_with_a_wrong_item_is_refused(kubectl: CommandLine) -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "datta": {}}
    listed = {"apiVersion": "v1", "kind": "List", "items": [wrong]}
    result = await kubectl.run("create", "-f", "-", stdin=json.dumps(listed))
    assert result.code == 1 and 'unknown field "datta" in io.k8s.api.core.v1.ConfigMap' in result.err


async def test_difference_of_built_in_and_custom_kinds(kubectl: CommandLine) -> None:
    for text, old, new in (
        (DEPLOYMENT, "replicas: 2", "replicas: 7"),
        (FUNCTION, "dev.local/hello", "dev.local/other"),
        (config("c"), "'1'", "'2'"),
    ):
        await kubectl("apply", "-f", "-", stdin=text)
        assert (await kubectl.run("diff", "-f", "-", stdin=text)).code == 0
        result = await kubectl.run("diff", "-f", "-", stdin=text.replace(old, new))
        changed = [line for line in result.out.splitlines() if line.startswith(("-", "+")) and line[1:2] == " "]
        assert result.code == 1 and len(changed) in (2, 4), result.out


async def test_replace_takes_the_place_of_all_that_was_said(kubectl: CommandLine) -> None:
    await kubectl("create", "-f", "-", stdin=config("c"))
    assert await kubectl("replace", "-f", "-", stdin=config("c", "2")) == "configmap/c replaced\n"
    stored = json.loads(await kubectl("get", "cm", "c", "-o", "json"))
    stale = json.dumps({**stored, "data": {"b": "3"}})
    await kubectl("label", "cm", "c", "touched=yes")
    result = await kubectl.run("replace", "-f", "-", stdin=stale)
    assert result.code == 1 and "the object has been modified" in result.err
    await kubectl("create", "-f", "-", stdin=FUNCTION)
    assert "replaced" in await kubectl("replace", "-f", "-", stdin=FUNCTION.replace("dev.local/hello", "dev.local/b"))
    before = json.loads(await kubectl("get", "cm", "c", "-o", "json"))["metadata"]["uid"]
    assert "replaced" in await kubectl("replace", "--force", "-f", "-", stdin=config("c", "5"))
    assert json.loads(await kubectl("get", "cm", "c", "-o", "json"))["metadata"]["uid"] != before
    result = await kubectl.run("replace", "-f", "-", stdin=config("absent"))
    assert 'configmaps "absent" not found' in result.err


@pytest.mark.parametrize("kind", ["deploy/web", "ksvc/hello"])
async def test_edit_sends_the_patch_of_its_kind(kubectl: CommandLine, kind: str) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT + "---" + FUNCTION)
    kubectl.environment["EDITOR"] = "sed -i s#dev.local/#dev.local/edited-#"
    assert "edited" in await kubectl("edit", kind)
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert (await kubectl("get", kind, "-o", image)).startswith("dev.local/edited-")


async def test_create_with_dry_run_shows_defaults_and_stores_nothing(kubectl: CommandLine) -> None:
    shown = json.loads(await kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=DEPLOYMENT))
    assert shown["spec"]["strategy"]["type"] == "RollingUpdate"
    assert "created (server dry run)" in await kubectl("create", "configmap", "x", "--dry-run=server")
    assert await kubectl("get", "cm,deploy", "-l", "app=shop") == ""
    await kubectl("create", "-f", "-", stdin=config("c"))
    for arguments in (("delete", "cm", "c"), ("label", "cm", "c", "a=b"), ("replace", "-f", "-")):
        out = await kubectl(*arguments, "--dry-run=server", stdin=config("c", "9"))
        assert "(server dry run)" in out
    stored = json.loads(await kubectl("get", "cm", "c", "-o", "json"))
    assert stored["data"] == {"a": "1"} and stored["metadata"]["labels"] == {"app": "shop"}


async def test_prune_deletes_what_is_no_longer_in_the_files(kubectl: CommandLine) -> None:
    arguments = ("apply", "--prune", "-l", "app=shop", "-f", "-")
    await kubectl(*arguments, stdin=config("c") + "---\n" + config("d"))
    await kubectl("create", "configmap", "other")
    assert "configmap/d pruned" in await kubectl(*arguments, stdin=config("c"))
    left = (await kubectl("get", "cm", "-o", "name")).split()
    assert left == ["configmap/c", "configmap/other"]
    allowed = ("--prune-allowlist", "serving.knative.dev/v1/Service")
    await kubectl(*arguments, *allowed, stdin=FUNCTION)
    await kubectl("apply", "-f", "-", stdin=FUNCTION.replace("name: hello", "name: second"))
    assert "second pruned" in await kubectl(*arguments, *allowed, stdin=FUNCTION)


async def test_explain_reads_the_schemas_of_every_kind(kubectl: CommandLine) -> None:
    spec = await kubectl("explain", "ksvc.spec")
    assert "template\t<Object>" in spec and "traffic\t<[]Object>" in spec
    assert "latestRevision" in await kubectl("explain", "ksvc", "--recursive")
    assert "managedFields" in await kubectl("explain", "cm.metadata")
    for kind in ("brokers", "triggers", "pods", "leases", "events", "jobs", "roles", "crds"):
        assert "FIELDS" in await kubectl("explain", kind)


async def test_patches_of_every_type(kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT + "---" + FUNCTION)
    container = '{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"A","value":"1"}]}]}}}}'
    await kubectl("patch", "deploy", "web", "-p", container)
    await kubectl("patch", "deploy", "web", "--type=merge", "-p", '{"spec":{"paused":true}}')
    await kubectl(
        "patch", "ksvc", "hello", "--type=json", "-p", '[{"op":"add","path":"/metadata/labels/x","value":"y"}]'
    )
    await kubectl("patch", "deploy", "web", "--subresource=status", "--type=merge", "-p", '{"status":{"replicas":3}}')
    await kubectl("patch", "deploy", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":4}}')
    stored = json.loads(await kubectl("get", "deploy", "web", "-o", "json"))
    container = stored["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "dev.local/web" and container["env"] == [{"name": "A", "value": "1"}]
    assert (stored["spec"]["paused"], stored["spec"]["replicas"], stored["status"]["replicas"]) == (True, 4, 3)
    result = await kubectl.run("patch", "ksvc", "hello", "--type=strategic", "-p", "{}")
    assert result.code == 1 and "strategic" in result.err
    result = await kubectl.run("patch", "deploy", "web", "-p", "{not json")
    assert result.code == 1
