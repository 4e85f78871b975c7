"""The activator: holds requests and events for functions at zero, and keeps the broker.

Holding, waking up and spreading happen in the engine (`model.Cluster.hold`); what is here reports to the
autoscaler and, in `broker`, takes events in durably and delivers them.
"""
