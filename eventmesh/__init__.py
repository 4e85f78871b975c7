"""eventmesh: a serverless event-routing mesh for Knative.

The rooms and their order stand in ARCHITECTURE.md; imports point down only (`.importlinter`).
"""

__version__ = "0.1.0"
