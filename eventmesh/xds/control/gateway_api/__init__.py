"""Kubernetes Gateway API as a second front: Gateways, HTTPRoutes and GRPCRoutes become virtual hosts beside KIngresses.

`watcher` keeps what there is, `attaching` tells which route is served where, `backends` whom it leads to, `emitting`
spells it in Envoy's words, `hosts` builds what is new, `status` tells the authors. Conflicts, precedences and reasons
are those of the specification (gateway-api.sigs.k8s.io, v1).
"""
