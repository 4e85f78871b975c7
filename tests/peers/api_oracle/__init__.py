"""The embedded API beside Kubernetes' own server of custom resources: the same requests to both, answers compared."""
