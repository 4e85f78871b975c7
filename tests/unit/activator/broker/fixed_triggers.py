"""Triggers without an API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from eventmesh.activator.broker.triggers import Identity, Subscription
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.model.delivery import DeliveryControls, DeliveryPolicy

BROKER = "demo/shop"
NOBODY = Identity()


class FixedTriggers:
    """A TriggerSource that tests change by hand."""

    def __init__(self) -> None:
        self.known: dict[str, Subscription] = {}
        self.present: set[str] = set()
        """UIDs of Triggers that are there, with a subscriber or without."""
        self.budgets: dict[str, int] = {}
        """Of brokers that have functions woken on a guess."""
        self._listeners: list[Callable[[], None]] = []

    def has_broker(self, broker: str) -> bool:
        return broker == BROKER

    def subscriptions(self) -> Mapping[str, Subscription]:
        return self.known

    def exists(self, uid: str) -> bool:
        return uid in self.present

    def subscribe(self, changed: Callable[[], None]) -> None:
        self._listeners.append(changed)

    def control(self, name: str, controls: DeliveryControls) -> None:
        """Change what the annotations of a Trigger ask for."""
        self.known[f"uid-{name}"] = replace(self.known[f"uid-{name}"], controls=controls)
        self._changed()

    def add(
        self,
        name: str,
        policy: DeliveryPolicy | None = None,
        controls: DeliveryControls | None = None,
        identity: Identity = NOBODY,
        **attributes: str,
    ) -> None:
        passes = compile_trigger_filter({"filter": {"attributes": attributes}})
        made = Subscription(
            f"uid-{name}", "demo", name, BROKER, f"http://{name}/", passes, policy or DeliveryPolicy(retry=0), BROKER
        )
        made = replace(made, controls=controls or DeliveryControls(), identity=identity)
        self.known[made.uid] = made
        self.present.add(made.uid)
        self._changed()

    def unresolve(self, name: str) -> None:
        """Take the subscriber away; the Trigger stays."""
        del self.known[f"uid-{name}"]
        self._changed()

    def _changed(self) -> None:
        for changed in self._listeners:
            changed()
