"""What `eventmesh control status` prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from eventmesh.cli import output


def show_status(found: Mapping[str, Any], form: str) -> int:
    """Print what control says of its clients; return the exit code."""
    if form != "table":
        output.document(found, form)
        return 0
    rows = []
    refusals = []
    shown = _shown(found["clients"])
    for client in found["clients"]:
        types = client["types"]
        rows.append(
            (
                client["node"],
                client["role"],
                client["namespace"] or "-",
                client["identity"].removeprefix("spiffe://") or "-",
                client["certificateExpires"] or "-",
                *(_progress(types[short]) for short in shown),
                f"{client['connectedSeconds']:.0f}s",
            )
        )
        refusals += [
            f"{client['node']} refused {short} {', '.join(known['refused'])}: {known['reason']}"
            for short, known in types.items()
            if "refused" in known
        ]
    heads = [short.upper() for short in shown]
    if rows:
        output.table(("NODE", "ROLE", "NAMESPACE", "IDENTITY", "EXPIRES", *heads, "CONNECTED"), rows)
    else:
        sys.stdout.write("nobody is connected\n")
    for line in refusals:
        sys.stdout.write(f"{line}\n")
    waiting = found["awaited"]
    sys.stdout.write(f"generation {found['generation']}; objects awaiting acknowledgement: {waiting}\n")
    return 0


_RARE = ("vhds", "ecds")
"""Virtual hosts on demand, and filters by name."""


def _shown(clients: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the types that have a column: those that few ask for only where somebody does."""
    types = list(clients[0]["types"]) if clients else []
    asked = {short for client in clients for short, known in client["types"].items() if known["state"] != "NOT_ASKED"}
    return [short for short in types if short not in _RARE or short in asked]


def _progress(known: Mapping[str, Any]) -> str:
    if known["state"] == "NOT_ASKED":
        return "-"
    return f"{known['state']} {known['version'][:8] or 'none'} ({known['resources']})"
