"""Metadata by which endpoints are told apart: of endpoints, routes and subsets alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from eventmesh.xds.schema.tree import Message

if TYPE_CHECKING:
    from eventmesh.model.policy import Labels

LB_METADATA = "envoy.lb"
"""Key of the metadata that subsets are made by."""


def read_labels(owner: Message, field: str) -> Labels:
    """Return what a `core.Metadata` in `field` says under `envoy.lb`."""
    metadata = owner.child(field)
    return labels(metadata.structs_by_key("filter_metadata").get(LB_METADATA, {})) if metadata else ()


def labels(members: object) -> Labels:
    """Return the members of a struct as labels, sorted by key, values as JSON in one spelling."""
    if not isinstance(members, dict):
        return ()
    return tuple((key, json.dumps(members[key], sort_keys=True)) for key in sorted(members))
