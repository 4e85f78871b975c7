"""`eventmesh protocol`: check the declaration of a private protocol, and show what it sees in captured bytes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from eventmesh.base.errors import UsageError
from eventmesh.core import Protocol
from eventmesh.protocols.declaration import read_declaration

MAX_SHOWN_BYTES: Final = 1_048_576
"""Most bytes of frames that are looked at: more is a capture to be cut, not something to read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the declaration, YAML or JSON")
    parser.add_argument("--hex", metavar="BYTES", help="frames in hexadecimal; blanks do not matter")


def run(args: argparse.Namespace) -> int:
    """Print one line a frame; a declaration that is wrong, or frames that break it, are errors."""
    declaration = read_declaration(args.file, "FILE")
    if args.hex is None:
        sys.stdout.write(f"{declaration.name}: the declaration is sound\n")
        return 0
    try:
        data = bytes.fromhex(args.hex)
    except ValueError:
        raise UsageError("--hex: not bytes in hexadecimal") from None
    if len(data) > MAX_SHOWN_BYTES:
        raise UsageError(f"--hex: {len(data)} bytes; at most {MAX_SHOWN_BYTES} are shown")
    try:
        frames, used = Protocol(declaration.text).frames(data)
    except ValueError as error:
        raise UsageError(f"--hex: {error}") from None
    for kind, number, service, method, fields, length in frames:
        words = "".join(f" {name}={value}" for name, value in fields)
        sys.stdout.write(f"{kind} id={number} service={service or '-'} method={method or '-'} bytes={length}{words}\n")
    if used < len(data):
        raise UsageError(f"--hex: {len(data) - used} bytes after byte {used} are the beginning of a longer frame")
    return 0
