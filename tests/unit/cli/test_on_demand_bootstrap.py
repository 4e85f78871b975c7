"""The flag by which an Envoy asks for hosts on demand."""

from __future__ import annotations

import argparse

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.cli.control.bootstraps import ROLES, add_flags, printed


def asked(*flags: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    found = printed(parser.parse_args([*flags, "--admin", "127.0.0.1:0"]))
    node: dict[str, object] = found["node"]["metadata"]
    return node


def test_an_envoy_says_so_in_its_metadata() -> None:
    assert asked("--for", "envoy", "--on-demand")["on_demand"] is True
    assert "on_demand" not in asked("--for", "envoy")


@pytest.mark.parametrize("role", sorted({*ROLES} - {"envoy"}))
def test_nobody_else_does(role: str) -> None:
    with pytest.raises(UsageError, match=f"--on-demand: {role} asks for no virtual hosts"):
        asked("--for", role, "--on-demand")
