"""The embedded default: a small Kubernetes of one process, with its store, its API and its runtime."""
