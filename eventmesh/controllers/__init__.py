"""Controllers: each keeps the objects of one kind true by reading caches and writing the difference through `kube`."""
