"""The embedded default: a Kubernetes-compatible API over SQLite, and a runtime whose pods are local processes."""
