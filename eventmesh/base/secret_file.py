"""Files that hold a secret: there whole or not at all, and readable by nobody but their owner, at no moment."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_secret(file: Path, data: bytes, *, durable: bool = True) -> None:
    """Put `data` in place of what `file` held; `durable`: on disk when this returns.

    Raises OSError; the file is then as it was, and nothing is left beside it.
    """
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            if durable:
                out.flush()
                os.fsync(out.fileno())
        new.rename(file)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
