"""kubectl's server-side apply: who owns what, who may change it, and what goes when it is no longer applied.

By the oldest that is promised, and by the newest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peers.command_line import CommandLine

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c, labels: {tier: web}}
data: {a: "1", b: "2"}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: dev.local/web
        env: [{name: A, value: "1"}]
        ports: [{containerPort: 8080}]
"""
SIDECAR = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers: [{name: side, image: dev.local/side}]
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tables.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: tables, singular: table, kind: Table}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              guests:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, seat: {type: integer}, meal: {type: string}}
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              order: {type: array, items: {type: string}}
"""


async def read(kubectl: CommandLine, *what: str) -> dict[str, Any]:
    """Return an object with its managedFields."""
    found: dict[str, Any] = json.loads(await kubectl("get", *what, "-o", "json", "--show-managed-fields"))
    return found


def owned(obj: dict[str, Any], manager: str) -> Any:
    """Return the fields that a manager owns."""
    return next(entry["fieldsV1"] for entry in obj["metadata"]["managedFields"] if entry["manager"] == manager)


async def apply(kubectl: CommandLine, text: str, *more: str) -> str:
    return await kubectl("apply", "--server-side", "-f", "-", *more, stdin=text)


async def test_apply_creates_changes_and_leaves_alone(kubectl: CommandLine) -> None:
    assert await apply(kubectl, CONFIG) == "configmap/c serverside-applied\n"
    first = await read(kubectl, "cm", "c")
    assert owned(first, "kubectl") == {
        "f:data": {"f:a": {}, "f:b": {}},
        "f:metadata": {"f:labels": {"f:tier": {}}},
    }
    assert await apply(kubectl, CONFIG) == "configmap/c serverside-applied\n"
    assert (await read(kubectl, "cm", "c"))["metadata"] == first["metadata"]
    await apply(kubectl, CONFIG.replace('"1"', '"9"'))
    assert (await read(kubectl, "cm", "c"))["data"] == {"a": "9", "b": "2"}


async def test_what_is_no_longer_applied_goes_unless_another_owns_it(kubectl: CommandLine) -> None:
    await apply(kubectl, CONFIG)
    await apply(kubectl, CONFIG.replace('a: "1", ', ""), "--field-manager=other")
    assert (await apply(kubectl, CONFIG.replace('a: "1", b: "2"', 'c: "3"'))) == "configmap/c serverside-applied\n"
    assert (await read(kubectl, "cm", "c"))["data"] == {"b": "2", "c": "3"}


async def test_conflict_names_manager_and_field_and_force_takes_over(kubectl: CommandLine) -> None:
    await apply(kubectl, CONFIG)
    changed = CONFIG.replace('"1"', '"5"')
    result = await kubectl.run("apply", "--server-side", "--field-manager=rival", "-f", "-", stdin=changed)
    assert result.code == 1
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in result.err
    assert "--force-conflicts" in result.err
    await apply(kubectl, changed, "--field-manager=rival", "--force-conflicts")
    stored = await read(kubectl, "cm", "c")
    assert stored["data"]["a"] == "5"
    assert "f:a" not in owned(stored, "kubectl")["f:data"] and "f:a" in owned(stored, "rival")["f:data"]
    # The loser may go on applying what it shares, but not what it lost.
    result = await kubectl.run("apply", "--server-side", "-f", "-", stdin=CONFIG)
    assert 'conflict with "rival": .data.a' in result.err


async def test_ordinary_writers_own_what_they_change(kubectl: CommandLine) -> None:
    await apply(kubectl, DEPLOYMENT)
    await kubectl("scale", "deploy", "web", "--replicas=5")
    program = Path(kubectl.path).name  # what a client that names no manager is called by
    await kubectl("label", "deploy", "web", "seen=yes")
    stored = await read(kubectl, "deploy", "web")
    entries = {(entry["manager"], entry.get("subresource", "")) for entry in stored["metadata"]["managedFields"]}
    assert entries == {("kubectl", ""), (program, "scale"), ("kubectl-label", "")}
    result = await kubectl.run("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    assert f'conflict with "{program}" with subresource "scale" using apps/v1: .spec.replicas' in result.err
    # Who leaves the number to the autoscaler does not say it.
    await apply(kubectl, DEPLOYMENT.replace("  replicas: 2\n", ""))
    assert (await read(kubectl, "deploy", "web"))["spec"]["replicas"] == 5


async def test_two_managers_share_a_list_of_containers(kubectl: CommandLine) -> None:
    await apply(kubectl, DEPLOYMENT)
    await apply(kubectl, SIDECAR, "--field-manager=injector")
    await apply(kubectl, DEPLOYMENT.replace("dev.local/web", "dev.local/newer").replace('{name: A, value: "1"}', ""))
    stored = await read(kubectl, "deploy", "web")
    main, side = stored["spec"]["template"]["spec"]["containers"]
    assert (main["name"], main["image"], side["name"]) == ("main", "dev.local/newer", "side")
    assert "env" not in main and main["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    template = owned(stored, "kubectl")["f:spec"]["f:template"]["f:spec"]["f:containers"]
    port = 'k:{"containerPort":8080,"protocol":"TCP"}'
    assert template['k:{"name":"main"}']["f:ports"] == {port: {".": {}, "f:containerPort": {}}}
    assert 'k:{"name":"side"}' not in template


async def test_custom_kinds_merge_by_the_keys_of_their_schema(kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=DEFINITION)
    head = "apiVersion: example.com/v1\nkind: Table\nmetadata: {name: t}\nspec:\n"
    mine = head + "  guests: [{name: ann, seat: 1}, {name: bob, seat: 2}]\n  tags: [a, b]\n  order: [x]\n"
    yours = head + "  guests: [{name: bob, meal: soup}, {name: cid}]\n  tags: [b, c]\n"
    await apply(kubectl, mine)
    await apply(kubectl, yours, "--field-manager=kitchen")
    spec = (await read(kubectl, "table", "t"))["spec"]
    assert spec["guests"] == [{"name": "ann", "seat": 1}, {"name": "bob", "seat": 2, "meal": "soup"}, {"name": "cid"}]
    assert spec["tags"] == ["a", "b", "c"]
    result = await kubectl.run("apply", "--server-side", "--field-manager=z", "-f", "-", stdin=head + "  order: [y]\n")
    assert 'conflict with "kubectl": .spec.order' in result.err
    await apply(kubectl, head + "  guests: [{name: ann, seat: 1}]\n")
    spec = (await read(kubectl, "table", "t"))["spec"]
    assert spec == {
        "guests": [{"name": "ann", "seat": 1}, {"name": "bob", "meal": "soup"}, {"name": "cid"}],
        "tags": ["b", "c"],
    }


async def test_what_cannot_be_merged_is_refused_by_field(kubectl: CommandLine, namespace: str) -> None:
    twice = DEPLOYMENT.replace("[{containerPort: 8080}]", "[{containerPort: 8080}, {containerPort: 8080}]")
    result = await kubectl.run("apply", "--server-side", "-f", "-", stdin=twice)
    assert 'duplicate entries for key [containerPort=8080,protocol="TCP"]' in result.err
    nameless = DEPLOYMENT.replace("{name: A, value", "{value")
    result = await kubectl.run("apply", "--server-side", "-f", "-", stdin=nameless)
    assert '.env: element 0: associative list with keys has an element that omits key field "name"' in result.err
    unknown = DEPLOYMENT.replace("replicas: 2", "replicaz: 2")
    result = await kubectl.run("apply", "--server-side", "-f", "-", stdin=unknown)
    assert f"({namespace}/web; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema" in result.err
    assert await kubectl("get", "deploy") == ""


async def test_objects_of_client_side_apply_move_over(kubectl: CommandLine) -> None:
    await kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    await apply(kubectl, DEPLOYMENT.replace("replicas: 2", "replicas: 3"))
    stored = await read(kubectl, "deploy", "web")
    assert stored["spec"]["replicas"] == 3
    managers = {(entry["manager"], entry["operation"]) for entry in stored["metadata"]["managedFields"]}
    assert ("kubectl", "Apply") in managers and ("kubectl-client-side-apply", "Update") not in managers


async def test_dry_run_shows_and_stores_nothing(kubectl: CommandLine) -> None:
    out = await apply(kubectl, CONFIG, "--dry-run=server", "-o", "json", "--show-managed-fields")
    assert "f:a" in owned(json.loads(out), "kubectl")["f:data"]
    assert (await kubectl.run("get", "cm", "c")).code == 1
    result = await kubectl.run("diff", "--server-side", "-f", "-", stdin=CONFIG)
    assert result.code == 1 and '+  a: "1"' in result.out


# The oldest cannot apply to a subresource.
@pytest.mark.parametrize("kubectl_home", ["kubectl-newest"], indirect=True)
async def test_status_has_owners_of_its_own(kubectl: CommandLine) -> None:
    await apply(kubectl, DEPLOYMENT)
    status = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nstatus: {replicas: 2, readyReplicas: 1}\n"
    await apply(kubectl, status, "--subresource=status", "--field-manager=keeper")
    stored = await read(kubectl, "deploy", "web")
    assert stored["status"]["readyReplicas"] == 1
    entry = next(entry for entry in stored["metadata"]["managedFields"] if entry["manager"] == "keeper")
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"] == {"f:status": {"f:readyReplicas": {}, "f:replicas": {}}}


async def test_apply_sets_are_pruned(kubectl: CommandLine, namespace: str) -> None:
    kubectl.environment["KUBECTL_APPLYSET"] = "true"
    second = CONFIG.replace("name: c,", "name: d,")
    arguments = ("--prune", "--applyset=set", "-n", namespace)
    await apply(kubectl, CONFIG + "---" + second, *arguments)
    listed = ("get", "cm", "-o", "name", "--field-selector", "metadata.name!=kube-root-ca.crt")
    assert (await kubectl(*listed)).split() == ["configmap/c", "configmap/d"]
    assert "configmap/d pruned" in await apply(kubectl, CONFIG, *arguments)
    assert (await kubectl(*listed)).split() == ["configmap/c"]


async def test_settings_of_a_filter_in_python_are_kept_as_they_were_applied(kubectl: CommandLine) -> None:
    config = {"headers": ["accept"], "most": {"a": 1, "b": 0.5}}
    spec = {"file": "headers.py", "name": "allow_list", "config": config}
    obj = {"apiVersion": "eventmesh.io/v1alpha1", "kind": "PythonFilter", "metadata": {"name": "f"}, "spec": spec}
    await apply(kubectl, json.dumps(obj))
    await kubectl("apply", "--validate=strict", "-f", "-", stdin=json.dumps(obj))
    assert (await read(kubectl, "pythonfilter", "f"))["spec"]["config"] == config
    wrong = json.dumps({**obj, "spec": {**spec, "config": ["accept"]}})
    refused = await kubectl.run("apply", "--validate=false", "-f", "-", stdin=wrong)
    assert refused.code == 1 and "spec.config" in refused.err
