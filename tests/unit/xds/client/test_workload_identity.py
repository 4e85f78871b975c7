"""Keys are made by another process, and one that cannot be started keeps nobody from trying again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.xds.client.workload_identity import _new_key


async def test_a_process_that_cannot_be_started_is_a_failure_that_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(UnavailableError, match="no key was made: No such file"):
        await _new_key("spiffe://cluster.local/ns/shop/sa/robot")


async def test_a_process_that_makes_no_key_says_why_in_its_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho first >&2\necho out of entropy >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(UnavailableError, match="no key was made: out of entropy"):
        await _new_key("spiffe://cluster.local/ns/shop/sa/robot")
