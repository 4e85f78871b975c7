"""The story: deploy, call, send, sleep, wake. A step that does not happen ends the demo."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from functions.demo.mesh import EVENTMESH, MeshProcess
from functions.demo.tools import Answer, Line, Tools

EXAMPLES = Path("functions/examples")
HERE = Path(__file__).parent
PATIENCE_S = 60.0
WIDEST = 100
"""Characters of an outcome in the closing table."""
T = TypeVar("T")

steps: list[tuple[str, str]] = []


def say(step: str, outcome: str) -> None:
    """Print one step and keep it for the closing table."""
    steps.append((step, outcome))
    print(f"  {step:34} {outcome}", flush=True)


def title(text: str) -> None:
    """Print a headline."""
    print(f"\n{text}", flush=True)


def until(what: str, look: Callable[[], T | None]) -> T:
    """Return what `look` finds; raises SystemExit when it finds nothing in time."""
    began = time.monotonic()
    dots = 0
    while time.monotonic() - began < PATIENCE_S:
        found = look()
        if found is not None:
            if dots and sys.stdout.isatty():
                print("\r" + " " * 78 + "\r", end="", flush=True)
            return found
        dots += 1
        if sys.stdout.isatty():
            print(f"\r  ... {what} ({time.monotonic() - began:.0f} s)", end="", flush=True)
        elif dots == 1:
            print(f"  ... {what}", flush=True)
        time.sleep(0.25)
    raise SystemExit(f"demo: {what}: nothing after {PATIENCE_S:.0f} s")


def ready(tools: Tools, kind: str) -> bool | None:
    """Return True when every object of the kind is Ready."""
    objects = tools.get(kind)
    conditions = [c for obj in objects for c in obj.get("status", {}).get("conditions", ()) if c["type"] == "Ready"]
    return True if len(conditions) == len(objects) and all(c["status"] == "True" for c in conditions) else None


def awake(tools: Tools) -> set[str]:
    """Return the Knative Services that have pods."""
    label = "serving.knative.dev/service"
    return {pod["metadata"]["labels"][label] for pod in tools.get("pod") if label in pod["metadata"].get("labels", {})}


def deploy(tools: Tools) -> None:
    """Make images of the examples and apply their manifests."""
    for example in ("hello-http", "order-events", "order-pipeline", "stock-check", "bolt-hello"):
        tools.eventmesh("images", "add", example, str(EXAMPLES / example))
    tools.apply(HERE / "quick-sleep.yaml")
    began = time.monotonic()
    manifest = EXAMPLES / "hello-http" / "service.yaml"
    url = tools.create_service("hello-http", "dev.local/hello-http", manifest)
    until("hello-http becomes Ready", lambda: ready(tools, "ksvc"))
    say("hello-http deployed", f"{url} ({time.monotonic() - began:.1f} s)")
    for example in ("order-events", "order-pipeline", "stock-check", "bolt-hello"):
        tools.apply(EXAMPLES / example / "manifest.yaml")
    for kind, what in (("ksvc", "functions"), ("broker", "brokers"), ("trigger", "triggers"), ("pingsource", "clocks")):
        until(f"{what} become Ready", lambda kind=kind: ready(tools, kind))  # type: ignore[misc]  # binds the loop's kind
        say(f"{what} Ready", ", ".join(obj["metadata"]["name"] for obj in tools.get(kind)))


def hops(answer: Answer) -> str:
    """Return the way an answer came, from Via, nearest to the function first."""
    return next((value for name, value in answer.headers.items() if name.lower() == "via"), "").replace("1.1 ", "")


def requests(tools: Tools) -> None:
    """Let a function sleep, wake it with a request, call it awake, and call an older service over Bolt."""
    until("hello-http falls asleep", lambda: True if "hello-http" not in awake(tools) else None)
    say("hello-http asleep", "it has no pods")
    first = tools.call("hello-http", "/?name=Ada")
    say("first request woke it", f"{first.status} in {first.ms:.0f} ms: {first.body}")
    say("  its way", hops(first))
    second = tools.call("hello-http", "/?name=Grace")
    say("second request", f"{second.status} in {second.ms:.1f} ms")
    bolt = tools.call("bolt-caller", "/?name=Ada")
    say("SOFARPC (Bolt) through the mesh", f"{bolt.status} in {bolt.ms:.0f} ms: {bolt.body}")
    if {first.status, second.status, bolt.status} != {200}:
        raise SystemExit("demo: a request was not answered 200")


def events(tools: Tools) -> None:
    """Send events to functions that sleep, and see their replies routed."""
    steps_of_order = {"order-events", "order-price", "order-ship"}
    until("the pipeline falls asleep", lambda: True if not steps_of_order & awake(tools) else None)
    say("pipeline asleep", "order-price, order-ship and order-events have no pods")
    accepted = tools.send("orders", "order.placed", {"items": ["tea", "pot"]}, "--subject", "42")
    say("order.placed sent", f"accepted, which means on disk: {accepted}")
    before = None
    for event_type in ("order.placed", "order.priced", "order.shipped"):
        line = until(f"{event_type} reaches the journal", lambda wanted=event_type: journal(tools, wanted))  # type: ignore[misc]
        data = json.dumps(json.loads(line.text)["data"])
        if before is None:
            say(f"{event_type} delivered", data)
        else:
            later_ms = (line.at - before).total_seconds() * 1000
            say(f"reply {event_type} routed", f"{later_ms:.0f} ms later, its function was woken for it: {data}")
        before = line.at
    accepted = tools.send("default", "order.created", {"order": 7, "items": [{"price": 3, "count": 2}]})
    say("order.created sent", accepted)
    confirmed = until("the reply comes back", lambda: first_line(tools, "order-events", "order.confirmed"))
    say("reply routed to a second trigger", confirmed.text)
    ordered = until("the clock calls a function", lambda: first_line(tools, "stock-check", "order "))
    say("clock, channel, function, channel", ordered.text)
    until("they fall asleep again", lambda: True if not steps_of_order & awake(tools) else None)
    say("asleep again", ", ".join(sorted(steps_of_order)))


def journal(tools: Tools, event_type: str) -> Line | None:
    """Return the journal's line about an event of that type, or None."""
    return first_line(tools, "order-journal", f'{{"type": "{event_type}"')


def first_line(tools: Tools, service: str, start: str) -> Line | None:
    """Return the first line that begins so in a function's log; None when there is none, or the function is asleep."""
    if service not in awake(tools):
        return None
    return next((line for line in tools.logs(service) if line.text.startswith(start)), None)


def close(mesh: MeshProcess, tools: Tools, keep: bool) -> None:
    """Print the table, and how to go on by hand."""
    title("What happened")
    for step, outcome in steps:
        print(f"  {step:34} {outcome if len(outcome) <= WIDEST else outcome[: WIDEST - 3] + '...'}")
    if keep:
        title("The mesh goes on running. Try:")
        print(f"  export KUBECONFIG={mesh.kubeconfig} EVENTMESH_DATA_DIR={mesh.directory}")
        print(f"  curl http://hello-http.default.localhost:{mesh.gateway.rpartition(':')[2]}/")
        print(f'  {command()} send --broker default --type order.created --data \'{{"order": 7, "items": []}}\'')
        print(f"  {'kubectl get ksvc,trigger,pod' if tools.kubectl else f'{command()} get ksvc'}")
        print(f"  kill {mesh.process.pid}      # stops everything; its state stays in {mesh.directory}")
    else:
        title("Everything has been stopped. To go on by hand: KEEP=1 make demo, or `eventmesh up`.")


def command() -> str:
    """Return how a shell outside of this environment calls eventmesh."""
    installed = Path(sys.executable).with_name("eventmesh")
    return str(installed) if installed.exists() else " ".join(EVENTMESH)


def main() -> int:
    """Run the demo; return 0 when every step happened."""
    parser = argparse.ArgumentParser(prog="demo")
    parser.add_argument("--keep", action="store_true", help="leave the mesh running")
    keep = parser.parse_args().keep
    directory = Path(tempfile.mkdtemp(prefix="eventmesh-demo-"))
    title("Starting a mesh")
    began = time.monotonic()
    mesh = MeshProcess(directory)
    say("eventmesh up", f"ready after {time.monotonic() - began:.1f} s (Python's start included)")
    done = False
    try:
        tools = Tools(mesh)
        title(f"Deploying the examples, {tools.describe()}")
        deploy(tools)
        title("Requests")
        requests(tools)
        title("Events")
        events(tools)
        done = True
    finally:
        if not (keep and done):
            mesh.stop()
            shutil.rmtree(directory)
    close(mesh, tools, keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
