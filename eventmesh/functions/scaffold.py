"""A new function: code, manifest, README and test, written from a template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from eventmesh.base.errors import UsageError

_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label that begins with a letter: the name of a Knative Service, and of an image."""

_EVENT_CODE: Final = '''"""$name: answers an event with another one."""

from eventmesh.functions import function, reply_to


@function
def handle(event):
    """Return the event that answers `event`, or None when there is nothing to say."""
    print(f"{event.get_type()} {event.get_id()}")
    return reply_to(event, "$name.done", {"received": event.get_data()})
'''

_EVENT_TEST: Final = '''"""What $name promises. Run it with `pytest`."""

from cloudevents.core.v1.event import CloudEvent
from function import handle


def test_an_event_is_answered_with_its_data():
    event = CloudEvent({"id": "1", "source": "/test", "type": "greeting"}, {"name": "Ada"})
    reply = handle(event)
    assert reply.get_type() == "$name.done"
    assert reply.get_data() == {"received": {"name": "Ada"}}
'''

_EVENT_TRY: Final = """curl -s http://127.0.0.1:8080 -H 'ce-id: 1' -H 'ce-source: /me' -H 'ce-type: greeting' \\
  -H 'ce-specversion: 1.0' -H 'content-type: application/json' -d '{"name": "Ada"}'
"""

_EVENT_USE: Final = """kubectl wait --for=condition=Ready broker/default trigger/$name ksvc/$name
eventmesh send --broker default --type greeting --data '{"name": "Ada"}'
kubectl logs -l serving.knative.dev/service=$name
"""

_EVENT_MANIFEST: Final = """---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata:
  name: default
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: $name
spec:
  broker: default
  filter:
    attributes:
      type: greeting
  subscriber:
    ref:
      apiVersion: serving.knative.dev/v1
      kind: Service
      name: $name
"""

_SERVICE_MANIFEST: Final = """apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: $name
spec:
  template:
    spec:
      containers:
        - image: dev.local/$name
"""

_HTTP_CODE: Final = '''"""$name: answers HTTP requests."""

from eventmesh.functions import http_function


@http_function(methods=["GET"])
def handle(request):
    """Greet whoever `?name=` names."""
    return {"greeting": f"Hello, {request.query.get('name', 'world')}!"}
'''

_HTTP_TEST: Final = '''"""What $name promises. Run it with `pytest`."""

from eventmesh.functions import Request
from function import handle


def test_it_greets_by_name():
    assert handle(Request("GET", "/", {"name": "Ada"})) == {"greeting": "Hello, Ada!"}
'''

_HTTP_TRY: Final = "curl -s 'http://127.0.0.1:8080/?name=Ada'\n"

_HTTP_USE: Final = """kubectl wait --for=condition=Ready ksvc/$name
curl -s "$$(kn service describe $name -o url)?name=Ada"
"""

_BOLT_CODE: Final = '''"""$name: a SOFARPC service, called over Bolt by its interface."""

from eventmesh.functions import bolt_function


@bolt_function("com.example.Greeter:1.0", method="greet")
def greet(call):
    """Greet whoever the call names."""
    return {"greeting": f"Hello, {call.json()['name']}!"}
'''

_BOLT_TEST: Final = '''"""What $name promises. Run it with `pytest`."""

from eventmesh.functions import Call
from function import greet


def test_it_greets_by_name():
    call = Call("com.example.Greeter:1.0", "greet", content=b'{"name": "Ada"}')
    assert greet(call) == {"greeting": "Hello, Ada!"}
'''

_BOLT_TRY: Final = "curl -s http://127.0.0.1:8080/health/readiness\n"

_BOLT_USE: Final = """kubectl rollout status deployment/$name
eventmesh get service $name
"""

_BOLT_MANIFEST: Final = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: $name
spec:
  selector:
    matchLabels:
      app: $name
  template:
    metadata:
      labels:
        app: $name
    spec:
      containers:
        - name: function
          image: dev.local/$name
          env:
            - name: PORT
              value: "12200"
          ports:
            - name: bolt
              containerPort: 12200
---
apiVersion: v1
kind: Service
metadata:
  name: $name
  annotations:
    eventmesh.io/service-interfaces: com.example.Greeter:1.0
spec:
  selector:
    app: $name
  ports:
    - name: bolt
      port: 12200
      targetPort: bolt
      appProtocol: bolt
"""

_README: Final = """# $name

On its own, in one terminal and the other:

```sh
eventmesh functions run
${try_}```

In a mesh (`eventmesh up`, and the `KUBECONFIG` it prints):

```sh
eventmesh images add $name .
kubectl apply -f manifest.yaml
${use}```

Its test: `pytest`.
"""


def _files(code: str, test: str, manifest: str, try_: str, use: str) -> Mapping[str, str]:
    readme = _README.replace("${try_}", try_).replace("${use}", use)
    return {"function.py": code, "test_function.py": test, "manifest.yaml": manifest, "README.md": readme}


TEMPLATES: Final[Mapping[str, Mapping[str, str]]] = {
    "event": _files(_EVENT_CODE, _EVENT_TEST, _SERVICE_MANIFEST + _EVENT_MANIFEST, _EVENT_TRY, _EVENT_USE),
    "http": _files(_HTTP_CODE, _HTTP_TEST, _SERVICE_MANIFEST, _HTTP_TRY, _HTTP_USE),
    "bolt": _files(_BOLT_CODE, _BOLT_TEST, _BOLT_MANIFEST, _BOLT_TRY, _BOLT_USE),
}
"""Template -> file -> text, with `$name` where the function's name stands."""


def init(name: str, template: str, parent: Path) -> list[Path]:
    """Write a new function into `parent/name`; return its files.

    Raises UsageError for a name that no Service can have, and for a directory that is there already: nothing is
    written over.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"function name {name!r}: use lower-case letters, digits and -, at most 63, the first a letter, "
            "the last no -: Services and images are named so"
        )
    directory = parent / name
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{directory} is there already: choose another name, or remove it") from None
    except OSError as error:
        raise UsageError(f"{directory} cannot be made: {error.strerror}") from error
    written = []
    for file, text in TEMPLATES[template].items():
        path = directory / file
        path.write_text(Template(text).substitute(name=name), encoding="utf-8")
        written.append(path)
    return written
