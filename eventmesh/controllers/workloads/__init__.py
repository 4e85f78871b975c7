"""Deployments become ReplicaSets, ReplicaSets become Pods, Services become EndpointSlices: what Kubernetes' own
controller-manager does, as far as the mesh needs it, for the embedded cluster. On a real cluster these are not run.
"""
