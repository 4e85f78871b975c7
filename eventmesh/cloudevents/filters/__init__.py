"""Trigger filters, one file a dialect: each compiles its argument once into a function from event to bool.

A dialect's module has `compile_argument(argument, path) -> Filter`; `path` is where the argument
stands in the Trigger (`spec.filters[0].any[1].exact`), so that a refusal can point at the fault. The
semantics are those of cloudevents/spec: subscriptions/spec.md, section Filters.
"""

from eventmesh.cloudevents.filters.compile import Filter, FilterError, compile_trigger_filter

__all__ = ["Filter", "FilterError", "compile_trigger_filter"]
