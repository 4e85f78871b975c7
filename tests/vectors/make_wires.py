"""Write `http1.json`, `bolt.json` and `dubbo.json`: bytes as peers send them, and what they give however they are cut.

    python -m tests.vectors.make_wires

The events are written by hand from RFC 9112 and from frames captured of Java sofa-bolt 1.6, anthunder 0.8 and
dubbo2.js 2.3; no code of ours takes part. Bodies are joined: where one is cut is the wire's own business.
"""

from __future__ import annotations

import json
from pathlib import Path

Event = dict[str, object]


def request(method: str, path: str, host: str, *fields: tuple[str, str], end: bool = True) -> Event:
    return {"request": [method, path, host], "fields": [list(field) for field in fields], "end": end}


def response(status: int, *fields: tuple[str, str], end: bool = False) -> Event:
    return {"response": status, "fields": [list(field) for field in fields], "end": end}


def body(data: bytes) -> Event:
    return {"body": data.hex()}


def fault(status: int) -> Event:
    return {"fault": status}


def trailers(*fields: tuple[str, str]) -> Event:
    return {"trailers": [list(field) for field in fields]}


def vector(name: str, wire: bytes, *seen: Event | str, asked: str = "") -> dict[str, object]:
    """`asked`: method of the request that a client-side vector answers; empty: a server-side vector."""
    return {"name": name, "asked": asked, "wire": wire.hex(), "seen": list(seen)}


HEAD = b"HTTP/1.1\r\nHost: h\r\n"

HTTP1 = [
    vector("get", b"GET /a?b=c " + HEAD + b"Accept: */*\r\n\r\n", request("GET", "/a?b=c", "h", ("accept", "*/*"))),
    vector("empty lines first", b"\r\n\r\nGET / " + HEAD + b"\r\n", request("GET", "/", "h")),
    vector(
        "length",
        b"POST / " + HEAD + b"Content-Length: 5\r\n\r\nhello",
        request("POST", "/", "h", end=False),
        body(b"hello"),
    ),
    vector(
        "chunks and trailers",
        b"PUT / "
        + HEAD
        + b"Transfer-Encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-T: 1\r\nHost: no\r\n\r\n",
        request("PUT", "/", "h", end=False),
        body(b"hello0123456789"),
        trailers(("x-t", "1")),
    ),
    vector("absolute target", b"GET http://o:81/x " + HEAD + b"\r\n", request("GET", "/x", "o:81")),
    vector("options of the server", b"OPTIONS * " + HEAD + b"\r\n", request("OPTIONS", "*", "h")),
    vector("http/1.0 without host", b"GET / HTTP/1.0\r\n\r\n", request("GET", "/", "")),
    vector(
        "hop-by-hop fields",
        b"GET / "
        + HEAD
        + b"Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 9\r\n"
        + b"TE: trailers;q=1, trailers\r\nX: \t v \t\r\n\r\n",
        request("GET", "/", "h", ("te", "trailers"), ("x", "v")),
    ),
    *(
        vector(f"refused: {name}", b"POST / HTTP/1.1\r\n" + rest, fault(status))
        for name, rest, status in [
            ("length and chunks", b"Host: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("two lengths", b"Host: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("hex length", b"Host: h\r\nContent-Length: 0x1\r\n\r\n", 400),
            ("obs-fold", b"Host: h\r\nX: a\r\n b\r\n\r\n", 400),
            ("blank before colon", b"Host : h\r\n\r\n", 400),
            ("bare line feed", b"Host: h\nX: a\r\n\r\n", 400),
            ("bare carriage return", b"Host: h\r\nX: a\rb\r\n\r\n", 400),
            ("nul", b"Host: h\r\nX: a\0\r\n\r\n", 400),
            ("no host", b"\r\n", 400),
            ("two hosts", b"Host: h\r\nHost: h\r\n\r\n", 400),
            ("odd host", b"Host: a/b\r\n\r\n", 400),
            ("unknown coding", b"Host: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ]
    ),
    vector("refused: version", b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", fault(505)),
    vector("refused: connect", b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", fault(405)),
    vector("refused: no target", b"GET HTTP/1.1\r\nHost: h\r\n\r\n", fault(400)),
    *(
        vector(
            f"refused chunk: {name}",
            b"POST / " + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + rest,
            request("POST", "/", "h", end=False),
            fault(400),
        )
        for name, rest in [
            ("no size", b"\r\n"),
            ("sign", b"+1\r\n"),
            ("blank", b"1 \r\nx"),
            ("line feed only", b"1\nx"),
            ("overflow", b"FFFFFFFFFFFFFFFFF\r\n"),
        ]
    ),
    vector(
        "answer by length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: d\r\n\r\nhi",
        response(200, ("date", "d")),
        body(b"hi"),
        asked="GET",
    ),
    vector("answer to head", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", response(200, end=True), asked="HEAD"),
    vector("no content", b"HTTP/1.1 204 No Content\r\n\r\n", response(204, end=True), asked="GET"),
    vector("no reason", b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", response(404, end=True), asked="GET"),
    vector(
        "interim answers",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        {"informational": 100},
        {"informational": 103},
        response(200, end=True),
        asked="GET",
    ),
    *(
        vector(f"refused answer: {name}", rest, fault(502), asked="GET")
        for name, rest in [
            ("not http", b"SSH-2.0-x\r\n\r\n"),
            ("status", b"HTTP/1.1 99 x\r\n\r\n"),
            ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
            ("switch nobody asked for", b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n"),
        ]
    ),
]

JAVA_REQUEST = bytes.fromhex("0101000101000000010100000bb800100000000000046a6176612e6c616e672e537472696e6703626f62")
JAVA_ONEWAY = bytes.fromhex("01020001010000000201ffffffff00100000000000046a6176612e6c616e672e537472696e67036f6e65")
JAVA_HEARTBEAT = bytes.fromhex("01010000010000000501ffffffff0000000000000000")
JAVA_RESPONSE = bytes.fromhex("01000002010000000101000000100000000000076a6176612e6c616e672e537472696e6706686920626f62")
ANTHUNDER_FIELDS = [
    ("sofa_head_target_service", "com.example.HelloService:1.0"),
    ("sofa_head_method_name", "hello"),
    ("sofa_head_target_app", ""),
    ("service", "com.example.HelloService:1.0"),
    ("uid", ""),
    ("rpc_trace_context.sofaTraceId", "7f00000117954578175811000138" + "4"),
    ("rpc_trace_context.sofaRpcId", "1"),
]
ANTHUNDER_REQUEST = (
    bytes.fromhex("01010001013933568c0b00000bb8002c011600000005")
    + b"com.alipay.sofa.rpc.core.request.SofaRequest"
    + b"".join(len(t).to_bytes(4, "big") + t.encode() for pair in ANTHUNDER_FIELDS for t in pair)
    + bytes.fromhex("0a03626f62")
)

# Java sofa-bolt 1.6.8 with protocol 2: version 1 sets the switch and has no checksum, version 2 has one.
V2_REQUEST = bytes.fromhex("02010100010100000001010100000bb800100000000000046a6176612e6c616e672e537472696e6703626f62")
V2_RESPONSE = bytes.fromhex(
    "020100000201000000010101000000100000000000076a6176612e6c616e672e537472696e6706686920626f62"
)
V2_HEARTBEAT = bytes.fromhex("020101000001000000050100ffffffff0000000000000000")
CHECKED_REQUEST = bytes.fromhex(
    "02020100010100000008010100000bb800100000000000046a6176612e6c616e672e537472696e6703626f6246030f28"
)
CHECKED_RESPONSE = bytes.fromhex(
    "020200000201000000080101000000100000000000076a6176612e6c616e672e537472696e6706686920626f62cfecf1ce"
)
CHECKED_ONEWAY = bytes.fromhex(
    "0202020001010000000a0101ffffffff00100000000000046a6176612e6c616e672e537472696e67036f6e653c662232"
)
CHECKED_HEARTBEAT = bytes.fromhex("0202010000010000000f0100ffffffff0000000000000000")
NODE_HEARTBEAT = bytes.fromhex("02020100000100000006010100000bb800000000000000003e99442d")
"""npm sofa-bolt-node: a checksum on a heartbeat too."""

BOLT = [
    vector("version 2, no checksum", V2_REQUEST, request("", "//", "", end=False), body(b"\x03bob")),
    vector("version 2, checksum", CHECKED_REQUEST, request("", "//", "", end=False), body(b"\x03bob")),
    vector(
        "frames of every version on one connection",
        V2_HEARTBEAT + CHECKED_HEARTBEAT + CHECKED_ONEWAY + NODE_HEARTBEAT + JAVA_ONEWAY + V2_REQUEST,
        request("", "//", "", end=False),
        body(b"\x03one"),
        request("", "//", "", end=False),
        body(b"\x03one"),
        request("", "//", "", end=False),
        body(b"\x03bob"),
    ),
    vector(
        "version 2 response",
        V2_RESPONSE.replace(b"\0\0\0\x08", b"\0\0\0\x01"),
        response(200),
        body(b"\x06hi bob"),
        asked="CALL",
    ),
    vector("version 2 response to nothing", CHECKED_RESPONSE, asked="CALL"),
    vector("refused: wrong checksum", CHECKED_REQUEST[:-1] + b"\x29", fault(400)),
    vector("refused: one bit of content", CHECKED_REQUEST.replace(b"bob", b"boc"), fault(400)),
    vector("refused: version 3 of protocol 2", b"\x02\x03\x01", fault(400)),
    vector("java request", JAVA_REQUEST, request("", "//", "", end=False), body(b"\x03bob")),
    vector("java oneway", JAVA_ONEWAY, request("", "//", "", end=False), body(b"\x03one")),
    vector("heartbeats are not events", JAVA_HEARTBEAT + JAVA_HEARTBEAT),
    vector(
        "anthunder request between heartbeats",
        JAVA_HEARTBEAT + ANTHUNDER_REQUEST + JAVA_HEARTBEAT,
        request(
            "hello", "/com.example.HelloService:1.0/hello", "com.example.HelloService:1.0", *ANTHUNDER_FIELDS, end=False
        ),
        body(b"\x0a\x03bob"),
    ),
    vector("unasked answers are dropped", JAVA_RESPONSE),
    vector("java response", JAVA_RESPONSE, response(200), body(b"\x06hi bob"), asked="CALL"),
    vector("timeout status", JAVA_RESPONSE[:10] + b"\x00\x07" + bytes(8), response(504, end=True), asked="CALL"),
    vector("unmatched response", JAVA_RESPONSE[:8] + b"\x63" + JAVA_RESPONSE[9:], asked="CALL"),
    vector("refused: other protocol", b"GET / HTTP/1.1\r\n", fault(400)),
    vector("refused: type", JAVA_REQUEST[:1] + b"\x09" + JAVA_REQUEST[2:], fault(400)),
    vector("refused: command", JAVA_REQUEST[:2] + b"\x00\x09" + JAVA_REQUEST[4:], fault(400)),
    vector("refused: nine mebibytes", JAVA_REQUEST[:18] + (9 << 20).to_bytes(4, "big"), fault(400)),
    vector("refused answer: other protocol", b"\x03\x01", fault(502), asked="CALL"),
]


# dubbo2.js 2.3.9: sayHello("bob").
DUBBO_CALL = bytes.fromhex(
    "dabbc2000000000000000001000000ac05322e302e3218636f6d2e6578616d706c652e48656c6c6f5365727669636505312e302e300873617948656c"
    "6c6f124c6a6176612f6c616e672f537472696e673b03626f62480b6170706c69636174696f6e09647562626f322e6a7309696e746572666163651863"
    "6f6d2e6578616d706c652e48656c6c6f53657276696365047061746818636f6d2e6578616d706c652e48656c6c6f536572766963650776657273696f"
    "6e05312e302e305a"
)
HELLO = "com.example.HelloService"
DUBBO_SEEN = request(
    "sayHello",
    f"/{HELLO}/sayHello",
    HELLO,
    ("dubbo", "2.0.2"),
    ("version", "1.0.0"),
    ("application", "dubbo2.js"),
    ("interface", HELLO),
    ("path", HELLO),
    end=False,
)
DUBBO_VALUE = bytes.fromhex("dabb021400000000000000010000000b910968656c6c6f20626f62")
DUBBO_HEARTBEAT = bytes.fromhex("dabbe2000000000000000002000000014e")
DUBBO_READONLY = bytes.fromhex("dabba2000000000000000003000000020152")
DUBBO_NOT_FOUND = bytes.fromhex("dabb023c000000000000000100000017163430347c726f7574657220756e617661696c61626c65")

DUBBO = [
    vector("call", DUBBO_CALL, DUBBO_SEEN, body(DUBBO_CALL[16:])),
    vector(
        "calls between heartbeats",
        DUBBO_HEARTBEAT + DUBBO_CALL + DUBBO_HEARTBEAT + DUBBO_CALL,
        DUBBO_SEEN,
        body(DUBBO_CALL[16:]),
        DUBBO_SEEN,
        body(DUBBO_CALL[16:]),
    ),
    vector(
        "another serialization",
        DUBBO_CALL[:2] + b"\xd7" + DUBBO_CALL[3:],
        request("", "/", "", end=False),
        body(DUBBO_CALL[16:]),
    ),
    vector("a call without a body", DUBBO_CALL[:12] + bytes(4), request("", "/", "")),
    vector("unasked answers are dropped", DUBBO_VALUE),
    vector("value", DUBBO_VALUE, response(200), body(DUBBO_VALUE[16:]), asked="CALL"),
    vector(
        "exception of the service",
        DUBBO_VALUE[:16] + b"\x90" + DUBBO_VALUE[17:],
        response(500),
        body(b"\x90" + DUBBO_VALUE[17:]),
        asked="CALL",
    ),
    vector("service not found", DUBBO_NOT_FOUND, response(404), body(DUBBO_NOT_FOUND[16:]), asked="CALL"),
    vector("timeout", DUBBO_VALUE[:3] + b"\x1f" + DUBBO_VALUE[4:12] + bytes(4), response(504, end=True), asked="CALL"),
    vector("unmatched response", DUBBO_VALUE[:11] + b"\x63" + DUBBO_VALUE[12:], asked="CALL"),
    vector(
        "readonly, then an answer that was still due",
        DUBBO_READONLY + DUBBO_VALUE,
        "GoAway",
        response(200),
        body(DUBBO_VALUE[16:]),
        asked="CALL",
    ),
    vector("refused: telnet", b"ls\r\n", fault(400)),
    vector("refused: second byte", b"\xda\xbc", fault(400)),
    vector("refused: nine mebibytes", DUBBO_CALL[:12] + (9 << 20).to_bytes(4, "big"), fault(400)),
    vector("refused: long event", DUBBO_HEARTBEAT[:12] + (65).to_bytes(4, "big"), fault(400)),
    vector("refused answer: another protocol", b"HTTP/1.1 200 OK\r\n", fault(502), asked="CALL"),
]


def main() -> None:
    here = Path(__file__).parent
    for name, vectors in (("http1", HTTP1), ("bolt", BOLT), ("dubbo", DUBBO)):
        (here / f"{name}.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
