"""Reads PythonFilter objects, and says of each wrong field what is wrong. Pure.

The shape is Istio's WasmPlugin (extensions.istio.io/v1alpha1) as far as it is not about WebAssembly; what is asked is
told in docs/python-filters.md.
"""

from __future__ import annotations

import json
import re
from typing import Final

from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.objects import key_of
from eventmesh.xds.control.access.reading import read_selector
from eventmesh.xds.control.access.values import PythonFilter
from eventmesh.xds.control.field_reader import FieldReader

MAX_TIMEOUT_S: Final = 60.0
"""What data planes accept (`xds.translate.python_filter`)."""
MAX_PRIORITY: Final = 2**31 - 1
"""WasmPlugin's has 32 bits."""

MAX_CONFIG_BYTES: Final = 65_536
"""As JSON. Every workload that is selected holds it, and is told of it anew with whatever else changes there."""
MAX_CONFIG_DEPTH: Final = 16
"""Objects and lists in each other. Data planes read messages 64 deep, where each of these counts twice and what is
around a filter a dozen."""
_MAX_WHOLE: Final = 2**53
"""Largest whole number that `google.protobuf.Struct`, which has floating-point numbers alone, holds exactly."""

_SPEC: Final = frozenset(("selector", "file", "name", "config", "timeout", "failStrategy", "statusOnError", "priority"))
_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}\.py")
"""A plain name in the directory of filters, as data planes want it (`dataplane.filters`)."""
_FUNCTION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_STRATEGIES: Final = frozenset(("FAIL_CLOSE", "FAIL_OPEN"))


def read_python_filter(obj: Object) -> tuple[PythonFilter | None, list[FieldError]]:
    """Return the PythonFilter, None if anything is wrong with it, and everything that is wrong."""
    read = FieldReader()
    spec = read.mapping(obj, "spec", "", _SPEC)
    config: Object = {
        "file": read.text(spec, "file", "spec", _FILE, needed=True),
        "name": read.text(spec, "name", "spec", _FUNCTION, needed=True),
    }
    if said := _config(read, spec.get("config")):
        config["config"] = said
    seconds = read.seconds(spec, "timeout", "spec")
    if seconds is not None and seconds > MAX_TIMEOUT_S:
        read.wrong("spec.timeout", f"{spec['timeout']} is longer than {MAX_TIMEOUT_S:g}s")
    elif seconds is not None:
        config["timeout"] = f"{seconds:.9f}s"
    strategy = spec.get("failStrategy", "FAIL_CLOSE")
    read.one_of(strategy, _STRATEGIES, "spec.failStrategy")
    if strategy == "FAIL_OPEN":
        config["failure_mode_allow"] = True
    status = read.count(spec, "statusOnError", "spec", 400, 599)
    if status is not None and strategy == "FAIL_OPEN":
        read.wrong("spec.statusOnError", "is answered to nobody under FAIL_OPEN; leave one of the two out")
    if status is not None:
        config["status_on_error"] = {"code": status}
    priority = read.count(spec, "priority", "spec", -MAX_PRIORITY, MAX_PRIORITY)
    selector = read_selector(read, spec)
    if read.errors:
        return None, read.errors
    return PythonFilter(key_of(obj), selector, config, priority or 0), []


def _config(read: FieldReader, said: object) -> Object:
    """Return what the filter is made with; empty when it is wrong or not said."""
    path = "spec.config"
    if said is None:
        return {}
    if not isinstance(said, dict):
        read.wrong(path, f"{said!r} is no object")
        return {}
    before = len(read.errors)
    _look_into(read, said, path, 1)
    if len(read.errors) > before:
        return {}
    try:
        size = len(json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode())
    except UnicodeEncodeError:
        read.wrong(path, "holds half a surrogate pair, which is no text")
        return {}
    if size > MAX_CONFIG_BYTES:
        read.wrong(path, f"has {size} bytes as JSON; accepted are {MAX_CONFIG_BYTES}")
        return {}
    return said


def _look_into(read: FieldReader, value: object, path: str, depth: int) -> None:
    """Take note of what could not be sent as it was written."""
    inside: list[tuple[str, object]] = []
    match value:
        case dict():
            inside = [(f"{path}.{name}", one) for name, one in value.items()]
        case list():
            inside = [(f"{path}[{at}]", one) for at, one in enumerate(value)]
        case int() if abs(value) > _MAX_WHOLE:
            read.wrong(path, f"{value} is a whole number beyond 2^53, which is not sent exactly; write it as a text")
    if inside and depth > MAX_CONFIG_DEPTH:
        read.wrong(path, f"is nested more than {MAX_CONFIG_DEPTH} deep")
    else:
        for where, one in inside:
            _look_into(read, one, where, depth + 1)
