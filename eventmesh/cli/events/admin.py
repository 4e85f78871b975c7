"""The admin port of the activator, where events are told of."""

from __future__ import annotations

from eventmesh.cli.admin_port import ACTIVATOR, Json

__all__ = ["Json", "add_flags", "address_of", "ask", "cancel", "order"]

add_flags = ACTIVATOR.add_flags
address_of = ACTIVATOR.address_of
ask = ACTIVATOR.ask
order = ACTIVATOR.order
cancel = ACTIVATOR.cancel
