"""The table of `eventmesh control status`."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cli.control.status import show_status


def client(node: str, rare: str, state: str) -> dict[str, Any]:
    known = {"state": "SYNCED", "version": "6b549886", "resources": 2}
    types = {"rds": known, "vhds": {**known, "state": "NOT_ASKED"}, "ecds": {**known, "state": "NOT_ASKED"}}
    types[rare] = {**known, "state": state}
    said = {"node": node, "role": "gateway", "namespace": "", "identity": "", "certificateExpires": ""}
    return {**said, "types": types, "connectedSeconds": 1.0}


@pytest.mark.parametrize(("states", "is_shown"), [(["NOT_ASKED"] * 2, False), (["NOT_ASKED", "SYNCED"], True)])
@pytest.mark.parametrize("rare", ["vhds", "ecds"])
def test_what_few_ask_for_has_a_column_where_somebody_does(
    rare: str, states: list[str], is_shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    clients = [client(f"n{number}", rare, state) for number, state in enumerate(states)]
    assert show_status({"clients": clients, "generation": 1, "awaited": 0}, "table") == 0
    heads, *rows = capsys.readouterr().out.splitlines()
    assert [head for head in ("VHDS", "ECDS") if head in heads.split()] == ([rare.upper()] if is_shown else [])
    assert [row.count("SYNCED") for row in rows[:2]] == [1 + (state == "SYNCED") for state in states]
