"""Envoy's resources into eventmesh's own values: `schema.tree.Message` in, parts of a `model.Snapshot` out.

One module a resource type; each raises ConfigError with the path of the field that cannot be carried out.
What a resource leaves open (routes by RDS, endpoints by EDS) is named in what comes back; `resources` holds
these values, `client` resolves them.
"""
