"""Whether kn and kubectl are at hand, and known to work with us."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

from eventmesh.cli.check.findings import Finding, ok, warning

OLDEST_KUBECTL: Final = (1, 29)
"""The oldest that our tests run."""

OLDEST_KN: Final = (1, 12)
"""The oldest that our tests run: earlier ones ask for DomainMappings of a version that Serving has no more."""

_TIMEOUT_S: Final = 10.0
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")


def findings() -> Iterator[Finding]:
    """Yield one finding a tool."""
    yield _tool(
        "kubectl", ("version", "--client", "-o", "json"), OLDEST_KUBECTL, "https://kubernetes.io/docs/tasks/tools"
    )
    yield _tool("kn", ("version", "-o", "json"), OLDEST_KN, "https://knative.dev/docs/client/install-kn")


def _tool(name: str, words: tuple[str, ...], oldest: tuple[int, int], where: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return warning(
            name, "is not on PATH", f"`eventmesh get`, `apply` and `logs` do without it; install it: {where}"
        )
    try:
        done = subprocess.run([path, *words], capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return warning(name, f"{path} does not run: {error}", f"install it anew: {where}")
    version = version_in(done.stdout)
    if version is None:
        return ok(name, f"{path}, of a version that it does not tell")
    text = f"{version[0]}.{version[1]}"
    if version < oldest and version[0] > 0:
        least = ".".join(map(str, oldest))
        return warning(
            name, f"{path} is {text}; the oldest we know to work is {least}", f"install a newer one: {where}"
        )
    return ok(name, f"{text} ({path})")


def version_in(text: str) -> tuple[int, int] | None:
    """Return major and minor version of what kubectl or kn prints about itself; None when it says nothing of the kind.

    kubectl calls it gitVersion, kn Version; a kn built by hand calls itself after its commit.
    """
    try:
        told = json.loads(text)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    client = told.get("clientVersion")
    word = client.get("gitVersion") if isinstance(client, dict) else told.get("Version", told.get("version"))
    found = _VERSION.match(str(word or ""))
    return (int(found[1]), int(found[2])) if found else None
