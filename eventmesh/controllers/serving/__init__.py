"""Knative Serving: Service, Configuration, Revision, Route and DomainMapping, from defaults and rules to reconcilers.

`admission` says what may be written, `resources` builds each object from its owner (pure), one module a
kind reconciles it, `app` wires them. Scaling is `controllers.autoscaler`'s; endpoints, routes and the
Ready of an ingress are control's.
"""
