"""The Snapshot and its parts: what a data plane does, as immutable values in the field's own terms.

Nothing here knows Envoy's protobuf, Kubernetes objects or sockets: `xds` translates into these values,
the compiled core executes them (`Snapshot.to_core`).
"""
