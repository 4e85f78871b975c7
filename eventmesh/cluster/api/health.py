"""`/livez`, `/readyz`, `/healthz`: what is looked at, in the words of Kubernetes (`apiserver/pkg/server/healthz`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web
from multidict import MultiMapping

from eventmesh.cluster.api.embedded import EmbeddedApi

Check = Callable[[], str]
"""Returns what is wrong; empty = nothing."""


class Health:
    """The pages of one API. A check is asked at each request."""

    def __init__(self, api: EmbeddedApi) -> None:
        alive: dict[str, Check] = {"ping": lambda: "", "etcd": api.store.failure}
        ready: dict[str, Check] = {
            **alive,
            "informer-sync": lambda: "" if api.is_in_step else "changes are not followed",
        }
        self._pages: Mapping[str, Mapping[str, Check]] = {"healthz": alive, "livez": alive, "readyz": ready}

    def page(self, name: str, check: str, query: MultiMapping[str]) -> web.Response | None:
        """Return the page `name` or, unless `check` is empty, what that check of it says; None when there is none."""
        checks = self._pages[name]
        if not check:
            return _summary(name, checks, frozenset(query.getall("exclude", [])), is_verbose="verbose" in query)
        if check not in checks:
            return None
        wrong = checks[check]()
        return _text("ok") if not wrong else _text(f"internal server error: {wrong}\n", 500)


def _summary(name: str, checks: Mapping[str, Check], excluded: frozenset[str], *, is_verbose: bool) -> web.Response:
    lines, is_well = [], True
    for check, ask in checks.items():
        if check in excluded:
            lines.append(f"[+]{check} excluded: ok")
        elif ask():
            # Why is for who may see the check by itself: this page is for everybody.
            lines.append(f"[-]{check} failed: reason withheld")
            is_well = False
        else:
            lines.append(f"[+]{check} ok")
    if unknown := sorted(excluded - checks.keys()):
        named = ",".join(f'"{check}"' for check in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {named}")
    if is_well and not is_verbose:
        return _text("ok")
    verdict = f"{name} check {'passed' if is_well else 'failed'}\n"
    return _text("\n".join([*lines, verdict]), 200 if is_well else 500)


def _text(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, headers={"X-Content-Type-Options": "nosniff"})
