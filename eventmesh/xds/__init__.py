"""Configuration over xDS, both ends: objects become resources and are served to any data plane, and a data
plane reads a bootstrap and subscribes.

Client end: `schema` knows Envoy's v3 messages, `bootstrap` and `translate` turn them into a `model.Snapshot`,
`client` subscribes to a control plane; none of it loads aiohttp, kubernetes or envoy_data_plane, because a
sidecar starts with every pod. The serving end is the package `control`.
"""
