"""How shares of requests are told."""

from __future__ import annotations

MILLION = 1_000_000
"""Shares of requests are told in millionths."""
