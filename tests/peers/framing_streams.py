"""Streams of HTTP/1 requests, right and wrong."""

from __future__ import annotations

import random
import re

_BASES = (
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://h/b?q HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PUT /f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET /g HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    b"DELETE /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
)
_LINES = (
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length : 3\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"transfer-encoding: CHUNKED\r\n",
    b" X: folded\r\n",
    b"X: 1\n",
    b"X: a\rContent-Length: 3\r\n",
    b"Host: other\r\n",
)
_BYTES = (b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b";", b",", b"\x0b", b"\x80", b"0", b"5", b"a", b"F")
END = b"GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
"""Ends each stream, so that whoever has understood all of it closes."""


def stream(seed: int) -> bytes:
    """Return one to three requests, changed in one to three places."""
    dice = random.Random(seed)  # noqa: S311  # a test's own dice
    text = b"".join(dice.choice(_BASES) for _ in range(dice.randint(1, 3)))
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(text))
        match dice.randrange(5):
            case 0:
                text = text[:at] + dice.choice(_BYTES) + text[at:]
            case 1:
                text = text[:at] + text[at + 1 :]
            case 2:
                text = text[:at] + dice.choice(_BYTES) + text[at + 1 :]
            case _:
                ends = [found.end() for found in re.finditer(rb"\r\n", text)]
                at = dice.choice(ends)
                text = text[:at] + dice.choice(_LINES) + text[at:]
    return text + END
