"""The smallest function. Any language and any server that listens on $PORT would do (docs/functions.md)."""

import os

from eventmesh.functions import http_function


@http_function
def hello(request):
    """Greet; the revision shows which version answered."""
    name = request.query.get("name", os.environ.get("TARGET", "world"))
    return {"greeting": f"Hello, {name}!", "revision": os.environ.get("K_REVISION", "")}
