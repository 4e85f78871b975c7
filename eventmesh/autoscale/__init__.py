"""The arithmetic of scaling, pure: sliding windows, settings, the decision, the way to zero.

No clock, no sockets, no Kubernetes objects: times are seconds handed in, so every rule is tested in
virtual time. `controllers.autoscaler` feeds it and carries out what it decides.
"""
