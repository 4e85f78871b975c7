"""Deployments become ReplicaSets, these and Jobs become Pods, CronJobs become Jobs, Services become EndpointSlices.

What Kubernetes' own controller-manager does, as far as the mesh needs it, for the embedded cluster. On a real cluster
these are not run.
"""
