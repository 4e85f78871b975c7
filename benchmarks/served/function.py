"""A function that the mesh's helper serves: what starts is an interpreter, an engine and this."""

from eventmesh.functions import http_function


@http_function
def well(request: object) -> str:
    """Answer."""
    return "well"
