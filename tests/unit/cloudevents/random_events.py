"""Random events, and what it means that two programs read the same in them."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

PLAIN = string.ascii_letters + string.digits + "!#$&'()*+,-./:;<=>?@[]^_`{|}~"
"""What is written in a header as it is."""
ALPHABETS = (string.ascii_letters + string.digits, "".join(map(chr, range(0x20, 0x7F))), "aé€😀ß漢 %\"\\'")
BASE = datetime(2020, 1, 1, tzinfo=UTC)


def text(drawn: random.Random, most: int = 20) -> str:
    return "".join(drawn.choices(drawn.choice(ALPHABETS), k=drawn.randrange(1, most)))


def word(drawn: random.Random) -> str:
    return "".join(drawn.choices(string.ascii_lowercase + string.digits, k=drawn.randrange(1, 12)))


def value(drawn: random.Random, depth: int = 0) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: drawn.random() < 0.5,
        lambda: drawn.randrange(-(2**53), 2**53),
        lambda: drawn.random(),
        lambda: text(drawn),
    ]
    if depth < 3:
        kinds.append(lambda: [value(drawn, depth + 1) for _ in range(drawn.randrange(4))])
        kinds.append(lambda: {text(drawn): value(drawn, depth + 1) for _ in range(drawn.randrange(4))})
    return drawn.choice(kinds)()


def attributes(drawn: random.Random, spell: Callable[[random.Random], str] = text) -> dict[str, str]:
    """Return attributes of an event; `spell` makes those that may be any text."""
    made = {
        "id": spell(drawn),
        "source": f"/{word(drawn)}/{word(drawn)}",
        "type": f"com.{word(drawn)}.{word(drawn)}",
        "specversion": "1.0",
        # Where there is none, the package says that the event has happened now.
        "time": (BASE + timedelta(seconds=drawn.randrange(10**8))).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if drawn.random() < 0.5:
        made["subject"] = spell(drawn)
    if drawn.random() < 0.3:
        made["dataschema"] = f"https://{word(drawn)}.test/{word(drawn)}"
    for _ in range(drawn.randrange(4)):
        made[f"x{word(drawn)}"] = spell(drawn)
    return made


def plain(drawn: random.Random) -> str:
    """Return text that needs no escapes in a header."""
    return "".join(drawn.choices(PLAIN, k=drawn.randrange(1, 20)))


def drawn_event(drawn: random.Random, spell: Callable[[random.Random], str] = text) -> tuple[dict[str, str], Any]:
    """Return attributes, and data as a program has it: JSON, text, bytes or none."""
    made = attributes(drawn, spell)
    match drawn.randrange(4):
        case 0:
            made["datacontenttype"] = "application/json"
            # In binary mode the package writes objects as JSON, and all else as Python shows it.
            return made, {"a": value(drawn)}
        case 1:
            made["datacontenttype"] = "text/plain"
            return made, text(drawn)
        case 2:
            made["datacontenttype"] = "application/octet-stream"
            # Bytes that are text would be read as text, by the package: these are none.
            return made, b"\xff" + drawn.randbytes(drawn.randrange(40))
    return made, None


def octets(data: Any, content_type: str) -> bytes | None:
    if data is None:
        return None
    if content_type == "application/json":
        return json.dumps(data).encode()
    return data.encode() if isinstance(data, str) else bytes(data)


def same(ours: bytes | None, theirs: Any, content_type: str) -> bool:
    if theirs is None or ours is None:
        return (ours or None) == (theirs or None)
    if content_type == "application/json":
        return bool(json.loads(ours) == theirs)
    return ours == (theirs.encode() if isinstance(theirs, str) else bytes(theirs))


def moment(said: Any) -> Any:
    """A time as a moment: the package makes a datetime of it."""
    return datetime.fromisoformat(said) if isinstance(said, str) else said


def expected(made: dict[str, str]) -> dict[str, Any]:
    return {name: moment(said) if name == "time" else said for name, said in made.items()}
