"""xDS: control turns Kubernetes objects into resources and serves them; the client turns resources into a Snapshot."""
