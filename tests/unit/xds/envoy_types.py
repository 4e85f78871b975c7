"""The reference: envoy-data-plane's classes by full message name, and its encoder."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from envoy_data_plane.message_pool import default_message_pool

from eventmesh.xds.schema.table import ALIASES

OWN_PACKAGES = (
    "bolt",
    "declared_inspector",
    "dubbo",
    "framed",
    "istio_ca",
    "protobuf",
    "python_filter",
    "workload_identity",
)
"""Packages of the table that envoy-data-plane lacks, or knows only as Python's own types."""


def import_all() -> None:
    """Fill the pool with every package the table names."""
    for alias, package in ALIASES.items():
        if alias not in OWN_PACKAGES:
            import_module(f"envoy_data_plane.{package}")


def class_of(full_name: str) -> Any:
    """Return the reference's class for a message."""
    return default_message_pool.url_to_type[f"type.googleapis.com/{full_name}"]
