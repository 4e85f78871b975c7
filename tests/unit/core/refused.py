"""HTTP/1 messages that nobody may pass on: two parsers could read them two ways, or they are none at all.

Each stands for one way of being wrong; RFC 9112 and 9110 say why, and most have been a smuggled request somewhere.
"""

from __future__ import annotations

_LINE = b"POST / HTTP/1.1\r\n"
_HOST = b"Host: h\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_BODY = b"5\r\nhello\r\n0\r\n\r\n"


def _request(*fields: bytes, body: bytes = b"", line: bytes = _LINE, host: bytes = _HOST) -> bytes:
    return line + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


REQUESTS: dict[str, bytes] = {
    # The request line.
    "no target": _request(line=b"GET HTTP/1.1\r\n"),
    "no version": _request(line=b"GET /\r\n"),
    "two blanks": _request(line=b"GET  / HTTP/1.1\r\n"),
    "a tab between method and target": _request(line=b"GET\t/ HTTP/1.1\r\n"),
    "a blank behind the version": _request(line=b"GET / HTTP/1.1 \r\n"),
    "a blank before the method": _request(line=b" GET / HTTP/1.1\r\n"),
    "a blank in the target": _request(line=b"GET /a b HTTP/1.1\r\n"),
    "a control character in the target": _request(line=b"GET /\x01 HTTP/1.1\r\n"),
    "a NUL in the target": _request(line=b"GET /\x00 HTTP/1.1\r\n"),
    "a bare CR in the target": _request(line=b"GET /\rX HTTP/1.1\r\n"),
    "a bare CR behind the version": b"GET / HTTP/1.1\rXHost: h\r\n\r\n",
    "a bare CR behind the version, before a length": b"POST / HTTP/1.1\rXContent-Length: 5\r\nHost: h\r\n\r\nhello",
    "a DEL in the target": _request(line=b"GET /\x7f HTTP/1.1\r\n"),
    "a method that is no token": _request(line=b"GE(T / HTTP/1.1\r\n"),
    "an empty method": _request(line=b" / HTTP/1.1\r\n"),
    "version 2.0 in a line": _request(line=b"GET / HTTP/2.0\r\n"),
    "version 1.2": _request(line=b"GET / HTTP/1.2\r\n"),
    "version 0.9 with fields": _request(line=b"GET / HTTP/0.9\r\n"),
    "a version in lower case": _request(line=b"GET / http/1.1\r\n"),
    "a version with two digits": _request(line=b"GET / HTTP/1.10\r\n"),
    "a target of another shape": _request(line=b"GET a HTTP/1.1\r\n"),
    "a star for a method that has none": _request(line=b"GET * HTTP/1.1\r\n"),
    # Ends of lines.
    "a bare LF behind the line": b"GET / HTTP/1.1\nHost: h\r\n\r\n",
    "a bare LF behind a field": b"GET / HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n",
    "a bare LF at the end of the head": b"GET / HTTP/1.1\r\nHost: h\r\n\n",
    "a bare CR in a value": _request(b"X: a\rb"),
    "a CR before the CRLF": _request(b"X: a\r"),
    "a line folded": _request(b"X: a\r\n b"),
    "a field folded before its value": _request(b"X:\r\n\tb"),
    "a blank line before the first field": b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    # Fields.
    "a blank before the colon": _request(b"X : 1"),
    "a tab before the colon": _request(b"X\t: 1"),
    "a field without a colon": _request(b"X"),
    "an empty name": _request(b": 1"),
    "a name that is no token": _request(b"X@: 1"),
    "a NUL in a name": _request(b"X\x00: 1"),
    "a NUL in a value": _request(b"X: a\x00b"),
    "a control character in a value": _request(b"X: a\x01b"),
    "a byte beyond ASCII in a name": _request(b"X\xe9: 1"),
    # Host.
    "no host": _request(host=b""),
    "two hosts": _request(b"Host: i"),
    "two equal hosts": _request(b"Host: h"),
    "a host with a path": _request(host=b"Host: h/x\r\n"),
    "a host with a user": _request(host=b"Host: u@h\r\n"),
    "two hosts in one": _request(host=b"Host: h, i\r\n"),
    "a host with a blank": _request(host=b"Host: h i\r\n"),
    # Lengths.
    "length and chunks": _request(b"Content-Length: 5", _CHUNKED.strip(), body=_BODY),
    "chunks and length": _request(_CHUNKED.strip(), b"Content-Length: 5", body=_BODY),
    "two lengths that differ": _request(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "two lengths in one that differ": _request(b"Content-Length: 5, 6", body=b"hello!"),
    "two equal lengths": _request(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "two equal lengths in one": _request(b"Content-Length: 5, 5", body=b"hello"),
    "a length with a sign": _request(b"Content-Length: +5", body=b"hello"),
    "a negative length": _request(b"Content-Length: -5", body=b"hello"),
    "a length in hexadecimal": _request(b"Content-Length: 0x5", body=b"hello"),
    "a length with a fraction": _request(b"Content-Length: 5.0", body=b"hello"),
    "a length with blanks inside": _request(b"Content-Length: 5 0", body=b"hello"),
    "an empty length": _request(b"Content-Length:", body=b"hello"),
    "a length beyond 64 bits": _request(b"Content-Length: 99999999999999999999", body=b"hello"),
    "a length with an underscore": _request(b"Content-Length: 1_0", body=b"hello"),
    # Transfer codings.
    "a coding that is not chunked": _request(b"Transfer-Encoding: gzip", body=b"hello"),
    "chunked before another coding": _request(b"Transfer-Encoding: chunked, gzip", body=_BODY),
    "chunked twice": _request(b"Transfer-Encoding: chunked, chunked", body=_BODY),
    "chunked in two fields": _request(_CHUNKED.strip(), _CHUNKED.strip(), body=_BODY),
    "identity": _request(b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello"),
    "a coding with a tab before it that hides it": _request(b"Transfer-Encoding: \x0bchunked", body=_BODY),
    "a coding in quotes": _request(b'Transfer-Encoding: "chunked"', body=_BODY),
    "an empty coding": _request(b"Transfer-Encoding:", b"Content-Length: 5", body=b"hello"),
    "chunks in HTTP/1.0": _request(_CHUNKED.strip(), line=b"POST / HTTP/1.0\r\n", body=_BODY),
}
"""Answered 400 (or 501, 505) and closed; nothing of them may reach an endpoint."""


def _response(*fields: bytes, body: bytes = b"", line: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    return line + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


RESPONSES: dict[str, bytes] = {
    # The status line.
    "no status": _response(line=b"HTTP/1.1\r\n"),
    "a status of two digits": _response(line=b"HTTP/1.1 20 OK\r\n"),
    "a status of four digits": _response(line=b"HTTP/1.1 2000 OK\r\n"),
    "a status below 100": _response(line=b"HTTP/1.1 099 Odd\r\n"),
    "a status of letters": _response(line=b"HTTP/1.1 abc Odd\r\n"),
    "a signed status": _response(line=b"HTTP/1.1 +20 Odd\r\n"),
    "two blanks before the status": _response(line=b"HTTP/1.1  200 OK\r\n"),
    "a tab before the status": _response(line=b"HTTP/1.1\t200 OK\r\n"),
    "a blank before the version": _response(line=b" HTTP/1.1 200 OK\r\n"),
    "version 2.0": _response(line=b"HTTP/2.0 200 OK\r\n"),
    "version 1.2": _response(line=b"HTTP/1.2 200 OK\r\n"),
    "version 0.9": _response(line=b"HTTP/0.9 200 OK\r\n"),
    "a version in lower case": _response(line=b"http/1.1 200 OK\r\n"),
    "another protocol": _response(line=b"ICY 200 OK\r\n"),
    "no line at all": b"hello\r\n\r\n",
    "an empty line first": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "a NUL in the reason": _response(line=b"HTTP/1.1 200 O\x00K\r\n"),
    "a control character in the reason": _response(line=b"HTTP/1.1 200 O\x01K\r\n"),
    "a bare CR in the reason": _response(line=b"HTTP/1.1 200 O\rK\r\n"),
    "a bare CR behind the reason": b"HTTP/1.1 200 OK\rXContent-Length: 5\r\n\r\nhello",
    "a bare CR behind the status": b"HTTP/1.1 200\rXTransfer-Encoding: chunked\r\n\r\n" + _BODY,
    # Ends of lines.
    "a bare LF behind the line": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "a bare LF behind a field": b"HTTP/1.1 200 OK\r\nX: 1\nContent-Length: 0\r\n\r\n",
    "a bare LF at the end of the head": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
    "a bare CR in a value": _response(b"X: a\rb"),
    "a CR before the CRLF": _response(b"X: a\r"),
    "a line folded": _response(b"X: a\r\n b"),
    "a field folded before its value": _response(b"X:\r\n\tb"),
    "a folded first line": b"HTTP/1.1 200 OK\r\n X: 1\r\n\r\n",
    # Fields.
    "a blank before the colon": _response(b"X : 1"),
    "a tab before the colon": _response(b"X\t: 1"),
    "a field without a colon": _response(b"X"),
    "an empty name": _response(b": 1"),
    "a name that is no token": _response(b"X@: 1"),
    "a NUL in a name": _response(b"X\x00: 1"),
    "a NUL in a value": _response(b"X: a\x00b"),
    "a control character in a value": _response(b"X: a\x01b"),
    "a DEL in a value": _response(b"X: a\x7fb"),
    "a byte beyond ASCII in a name": _response(b"X\xe9: 1"),
    "a length with a blank before its colon": _response(b"Content-Length : 5", body=b"hello"),
    "a coding with a blank before its colon": _response(b"Transfer-Encoding : chunked", body=_BODY),
    # Lengths.
    "length and chunks": _response(b"Content-Length: 5", _CHUNKED.strip(), body=_BODY),
    "chunks and length": _response(_CHUNKED.strip(), b"Content-Length: 5", body=_BODY),
    "two lengths that differ": _response(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "two lengths in one that differ": _response(b"Content-Length: 5, 6", body=b"hello!"),
    "two equal lengths": _response(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "two equal lengths in one": _response(b"Content-Length: 5, 5", body=b"hello"),
    "a length with a sign": _response(b"Content-Length: +5", body=b"hello"),
    "a negative length": _response(b"Content-Length: -5", body=b"hello"),
    "a length in hexadecimal": _response(b"Content-Length: 0x5", body=b"hello"),
    "a length with a fraction": _response(b"Content-Length: 5.0", body=b"hello"),
    "a length with blanks inside": _response(b"Content-Length: 5 0", body=b"hello"),
    "an empty length": _response(b"Content-Length:", body=b"hello"),
    "a length beyond 64 bits": _response(b"Content-Length: 99999999999999999999", body=b"hello"),
    "a length with an underscore": _response(b"Content-Length: 1_0", body=b"hello"),
    # Transfer codings.
    "a coding that is not chunked": _response(b"Transfer-Encoding: gzip", body=b"hello"),
    "chunked before another coding": _response(b"Transfer-Encoding: chunked, gzip", body=_BODY),
    "chunked twice": _response(b"Transfer-Encoding: chunked, chunked", body=_BODY),
    "chunked in two fields": _response(_CHUNKED.strip(), _CHUNKED.strip(), body=_BODY),
    "identity": _response(b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello"),
    "a coding with a vertical tab": _response(b"Transfer-Encoding: \x0bchunked", body=_BODY),
    "a coding in quotes": _response(b'Transfer-Encoding: "chunked"', body=_BODY),
    "an empty coding": _response(b"Transfer-Encoding:", b"Content-Length: 5", body=b"hello"),
    "chunks in HTTP/1.0": _response(_CHUNKED.strip(), line=b"HTTP/1.0 200 OK\r\n", body=_BODY),
}
"""Answered 502; nothing of them may reach a client."""

CHUNKS: dict[str, bytes] = {
    "a size that is no number": b"x\r\nhello\r\n0\r\n\r\n",
    "a size with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size with a blank before it": b" 5\r\nhello\r\n0\r\n\r\n",
    "a size with an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "an empty size": b"\r\nhello\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size line that ends with LF": b"5\nhello\r\n0\r\n\r\n",
    "a size line with a bare CR": b"5\rx\r\nhello\r\n0\r\n\r\n",
    "a NUL in an extension": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    "data longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "data that ends with LF": b"5\r\nhello\n0\r\n\r\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nX: 1\r\n y\r\n\r\n",
    "a trailer without a colon": b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    "a trailer that ends with LF": b"5\r\nhello\r\n0\r\nX: 1\n\r\n",
}
"""Bodies in chunks that break off both ways: the other side must not take them for whole."""
