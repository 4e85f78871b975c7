"""The sidecar of a function's pod, and the edge gateway: a data plane with Knative's queue-proxy contract around it.

Nothing here, and nothing it imports, may load aiohttp, kubernetes or envoy_data_plane: a sidecar starts with every pod.
"""
