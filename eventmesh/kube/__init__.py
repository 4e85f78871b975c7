"""The Kubernetes client side: one small interface (`api.Api`), informers, work queues, reconcilers.

Objects are raw JSON (`dict`); no typed models. Controllers never ask whether the API behind the
interface is the embedded one or a cluster's.
"""
