"""The manifests of `knative/` let each component read what it watches, and write what every one of them writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventmesh.controllers.autoscaler.app import Autoscaler
from eventmesh.controllers.eventing.app import EventingControllers
from eventmesh.controllers.serving.app import ServingControllers
from eventmesh.controllers.serving.images import AsWritten
from eventmesh.controllers.serving.settings import LocalSettings
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.kube.api import Resource
from eventmesh.kube.client import HttpApi
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import CONFIG_MAP, DEPLOYMENT, EVENT, LEASE, SECRET, SUBJECT_ACCESS_REVIEW, TOKEN_REVIEW
from eventmesh.xds.control.app import Control
from eventmesh.xds.control.root_maps import RootMaps
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.manual_clock import ManualClock

MANIFESTS = Path(__file__).parents[3] / "knative"
WATCHED = {"get", "list", "watch"}
COUNTED_UP = {"get", "create", "patch"}
"""What `kube.events` does to an Event."""
HELD = {"get", "create", "update"}
"""What `kube.lease` does to a Lease."""

ACCOUNT_TOKEN = Resource("", "v1", "serviceaccounts/token", "TokenRequest")

Build = Callable[[HttpApi, Informers, Path], object]


def control(api: HttpApi, informers: Informers, directory: Path) -> object:
    clock = ManualClock()
    identities = Identities(OwnAuthority(RootFiles(directory), clock), clock, "cluster.local")
    maps = RootMaps(api, informers, identities, clock)
    return Control(api, informers, clock, identities=identities, writers=[maps.controller])


def controllers(api: HttpApi, informers: Informers, directory: Path) -> object:
    clock = ManualClock()
    return ServingControllers(api, informers, clock, AsWritten()), EventingControllers(api, informers, clock)


def autoscaler(api: HttpApi, informers: Informers, directory: Path) -> object:
    clock = ManualClock()
    recorder = EventRecorder(api, "autoscaler", clock)
    settings = SettingsStore(informers.of(CONFIG_MAP), clock, recorder, LocalSettings())
    return Autoscaler(api, informers, clock, settings)


def allowed(file: Path, resource: Resource) -> set[str]:
    """Return the verbs that the roles in a manifest grant on a kind."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(file.read_text()))
    rules = (rule for one in documents if one["kind"] in ("ClusterRole", "Role") for rule in one["rules"])
    return {
        verb
        for rule in rules
        if resource.group in rule["apiGroups"] and {"*", resource.plural} & set(rule["resources"])
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize(
    ("manifest", "build", "written"),
    [
        (
            "control/control.yaml",
            control,
            {CONFIG_MAP: {"create", "update"}, SECRET: {"create", "update"}, TOKEN_REVIEW: {"create"}},
        ),
        (
            "controllers/controllers.yaml",
            controllers,
            {SECRET: {"create", "update", "delete"}, ACCOUNT_TOKEN: {"create"}, SUBJECT_ACCESS_REVIEW: {"create"}},
        ),
        ("controllers/autoscaler.yaml", autoscaler, {DEPLOYMENT: {"patch"}}),
    ],
)
def test_a_component_may_do_what_it_does(
    manifest: str, build: Build, written: dict[Resource, set[str]], tmp_path: Path
) -> None:
    api: HttpApi = object()  # type: ignore[assignment]  # nothing is asked of it
    informers = Informers(api, ManualClock())
    build(api, informers, tmp_path)
    watched = [(kind, WATCHED) for kind in informers.kinds()]
    needed = [*watched, (EVENT, COUNTED_UP), (LEASE, HELD), *written.items()]
    file = MANIFESTS / manifest
    lacking = [(f"{kind.group}/{kind.plural}", verbs - allowed(file, kind)) for kind, verbs in needed]
    assert [(kind, verbs) for kind, verbs in lacking if verbs] == []
