"""Reads PythonFilter objects, and says of each wrong field what is wrong. Pure.

The shape is Istio's WasmPlugin (extensions.istio.io/v1alpha1) as far as it is not about WebAssembly; what is asked is
told in docs/python-filters.md.
"""

from __future__ import annotations

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

_SPEC: Final = frozenset(("selector", "file", "name", "timeout", "failStrategy", "statusOnError", "priority"))
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
