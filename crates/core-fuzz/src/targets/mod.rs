//! What is fuzzed, each with the promises that hold for any bytes.

mod authz;
mod cloudevents;
mod config;
mod endpoints;
mod engine;
mod hpack;
mod jwt;
mod tls;
mod wires;

/// One thing to fuzz.
pub struct Target {
    /// Also the name of its corpus folder.
    pub name: &'static str,
    /// Words of its grammar, for the mutator.
    pub words: &'static [&'static [u8]],
    /// Run one input; the second argument seeds what is not the input's: where it is cut, the engine's dice. Return a
    /// digest of the behaviour seen, or the broken promise.
    pub run: fn(&[u8], u64) -> Result<u64, String>,
}

pub static ALL: &[Target] = &[
    Target { name: "http1-server", words: HTTP1_WORDS, run: wires::http1_server },
    Target { name: "http1-client", words: HTTP1_WORDS, run: wires::http1_client },
    Target { name: "chunked", words: CHUNKED_WORDS, run: wires::chunked },
    Target { name: "hpack", words: &[], run: hpack::run },
    Target { name: "http2-server", words: HTTP2_WORDS, run: wires::http2_server },
    Target { name: "http2-client", words: HTTP2_WORDS, run: wires::http2_client },
    Target { name: "bolt-server", words: BOLT_WORDS, run: wires::bolt_server },
    Target { name: "bolt-client", words: BOLT_WORDS, run: wires::bolt_client },
    Target { name: "dubbo-server", words: DUBBO_WORDS, run: wires::dubbo_server },
    Target { name: "dubbo-client", words: DUBBO_WORDS, run: wires::dubbo_client },
    Target { name: "framed-server", words: FRAMED_WORDS, run: wires::framed_server },
    Target { name: "framed-client", words: FRAMED_WORDS, run: wires::framed_client },
    Target { name: "tls-server", words: TLS_WORDS, run: tls::server },
    Target { name: "tls-client", words: TLS_WORDS, run: tls::client },
    Target { name: "jwt", words: JWT_WORDS, run: jwt::token },
    Target { name: "jwks", words: JWKS_WORDS, run: jwt::keys },
    Target { name: "authz", words: AUTHZ_WORDS, run: authz::run },
    Target { name: "cloudevents", words: CLOUDEVENTS_WORDS, run: cloudevents::run },
    Target { name: "config", words: CONFIG_WORDS, run: config::run },
    Target { name: "engine", words: ENGINE_WORDS, run: engine::run },
];

const HTTP1_WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"GET / HTTP/1.1\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
];

const CHUNKED_WORDS: &[&[u8]] = &[
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"\r\n",
    b"\n",
    b"ffffffffffffffff\r\n",
    b"00000000000000000000005\r\n",
    b";a=b\r\n",
    b"Trailer: x\r\n",
    b"0x5\r\n",
    b"+5\r\n",
    b" 5\r\n",
];

/// The preface, and frames that follow each other well or badly.
const HTTP2_WORDS: &[&[u8]] = &[
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\0\0\0\x04\0\0\0\0\0",
    b"\0\0\0\x04\x01\0\0\0\0",
    b"\0\0\x04\x01\x05\0\0\0\x01\x82\x86\x84\x81",
    b"\0\0\x04\x01\x04\0\0\0\x03\x83\x86\x84\x81",
    b"\0\0\0\0\x01\0\0\0\x01",
    b"\0\0\x05\0\0\0\0\0\x01hello",
    b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    b"\0\0\x08\x06\0\0\0\0\0pingpong",
    b"\0\0\x04\x08\0\0\0\0\0\0\0\xff\xff",
    b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\xff",
    b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"\0\0\0\x09\x04\0\0\0\x01",
    b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x01",
];

/// Fixed parts of requests, one-way requests, responses and heartbeats.
const BOLT_WORDS: &[&[u8]] = &[
    b"\x01\x01\0\x01\x01\0\0\0\x01\x01\0\0\x0b\xb8\0\x01\0\0\0\0\0\0C",
    b"\x01\x02\0\x01\x01\0\0\0\x02\x01\0\0\x0b\xb8\0\x01\0\0\0\0\0\x02Chi",
    b"\x01\0\0\x02\x01\0\0\0\x01\x01\0\0\0\x01\0\0\0\0\0\x02Chi",
    b"\x01\x01\0\0\x01\0\0\0\x07\x01\0\0\x0b\xb8\0\0\0\0\0\0\0\0",
    b"\x02\x01\x01\0\x01\x01\0\0\0\x01\x01\x01\0\0\x0b\xb8\0\x01\0\0\0\0\0\0C",
    b"\x02\x02\0\0\x02\x01\0\0\0\x01\x01\0\0\0\0\x01\0\0\0\0\0\x02Chi",
    b"\0\0\0\x07service\0\0\0\x05S:1.0",
    b"\xff\xff\xff\xff",
];

/// Heads of calls, answers and events, and pieces of Hessian.
const DUBBO_WORDS: &[&[u8]] = &[
    b"\xda\xbb\xc2\0\0\0\0\0\0\0\0\x01\0\0\0\x0d\x052.0.2\x01S\x011\x01m",
    b"\xda\xbb\x02\x14\0\0\0\0\0\0\0\x01\0\0\0\x03\x91\x01a",
    b"\xda\xbb\xe2\0\0\0\0\0\0\0\0\x02\0\0\0\x01N",
    b"\xda\xbb\xa2\0\0\0\0\0\0\0\0\x03\0\0\0\x02\x01R",
    b"\x04La;I",
    b"C\x01c\x92\x01x\x01y",
    b"H\x05group\x01bZ",
    b"X\x4f",
    b"S\xff\xff",
    b"W",
    b"Z",
];

/// Frames of the toy protocol, whole and in part.
const FRAMED_WORDS: &[&[u8]] = &[
    b"ab\0\x1a\0\0\0\0\0\x07\0\0\0\0\0\0\0\x01me\0\0\0\x01S\0\0\0\0",
    b"ab\0\x19\0\0\0\x01\x80\0\0\0\0\0\0\0\0\x01me\0\0\0\0\0\0\0\0",
    b"ab\0\x19\0\0\0\x09\0\0\0\0\0\0\0\0\0\x01me\0\0\0\0\0\0\0\0",
    b"\0\0\0\x09\0\x06budget\0\x01",
    b"\xff\xff",
];

/// Heads of records and of handshake messages, an alert.
const TLS_WORDS: &[&[u8]] = &[
    b"\x16\x03\x01\0\x04",
    b"\x16\x03\x03\x40\0",
    b"\x17\x03\x03\0\x10",
    b"\x14\x03\x03\0\x01\x01",
    b"\x15\x03\x03\0\x02\x01\0",
    b"\x01\0\0\x20\x03\x03",
    b"\x02\0\0\x20\x03\x03",
    b"\0\x2b\0\x03\x02\x03\x04",
    b"\0\x10\0\x05\0\x03\x02h2",
    b"\xff\xff",
];

/// Parts of tokens: `{}`, `{"alg":"ES256"}`, `{"alg":"none"}`.
const JWT_WORDS: &[&[u8]] =
    &[b".", b"..", b"e30", b"eyJhbGciOiJFUzI1NiJ9", b"eyJhbGciOiJub25lIn0", b"AA", b"=", b"-_", b"+/", b"\0"];

const AUTHZ_WORDS: &[&[u8]] = &[
    b"\x0a\x02\x08\x07",
    b"\x0a\x02\x08\x00",
    b"\x12\x05\x0a\x03\x08\x91\x03",
    b"\x1a\x0a\x12\x08\x0a\x06\x0a\x01a\x12\x01b",
    b"\x2a\x03x-a",
    b"\x22\x09\x0a\x07\x0a\x01k\x12\x02\x1a\x00",
    b":path",
    b"\r\n",
    b"\xff\xff\xff\xff\x0f",
];

/// Headers, members of JSON and fields of protobuf.
const CLOUDEVENTS_WORDS: &[&[u8]] = &[
    b"\n",
    b"\n\n",
    b"content-type:application/cloudevents+json\n",
    b"content-type:application/cloudevents-batch+json\n",
    b"content-type:application/cloudevents+protobuf\n",
    b"content-type:application/cloudevents-batch+protobuf\n",
    b"content-type:application/json\n",
    b"ce-id:1\n",
    b"ce-time:2024-02-29T23:59:60.1Z\n",
    b"ce-x:\"a\\\"%E2%82%AC\"\n",
    b"%",
    b"%C0",
    b"\"id\":\"1\",\"source\":\"/s\",\"specversion\":\"1.0\",\"type\":\"t\"",
    b",\"data\":",
    b",\"data_base64\":\"AA==\"",
    b",\"datacontenttype\":\"text/plain\"",
    b",\"x\":2147483648",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b"[[[[[[[[",
    b"null",
    b"\x0a\x011\x12\x02/s\x1a\x031.0\x22\x01t",
    b"\x2a\x08\x0a\x01x\x12\x03\x1a\x01v",
    b"\x2a\x0b\x0a\x01x\x12\x06\x3a\x04\x08\x01\x10\x02",
    b"\x42\x08\x0a\x03a/b\x12\x01\x07",
];

const JWKS_WORDS: &[&[u8]] = &[
    b"{\"keys\":[",
    b"\"kty\":\"RSA\"",
    b"\"kty\":\"EC\"",
    b"\"kty\":\"OKP\"",
    b"\"crv\":\"P-256\"",
    b"\"crv\":\"Ed25519\"",
    b"\"n\":\"",
    b"\"e\":\"AQAB\"",
    b"\"x\":\"",
    b"[]",
    b"{}",
    b",",
];

const CONFIG_WORDS: &[&[u8]] = &[
    b"\"\"",
    b"[]",
    b"{}",
    b"null",
    b"0",
    b"-1",
    b"1e308",
    b"4294967296",
    b"\"*\"",
    b"\"*.example.com\"",
    b"\"www.*\"",
    b"\"exact\"",
    b"\"weight\": 0",
    b"\"path_kind\": \"separated_prefix\"",
    b"\"host_rewrite\": \"a\\r\\nb\"",
    b"\\u0000",
    b",",
    b"}",
];

/// Operations of `engine`'s scripts.
const ENGINE_WORDS: &[&[u8]] = &[
    b"a\0",
    b"a\x01",
    b"a\x02",
    b"a\x03",
    b"a\x04",
    b"a\x05",
    b"o\0",
    b"f\0",
    b"l\0",
    b"l\x01",
    b"e\x01",
    b"w\0",
    b"w\x01",
    b"t\x08",
    b"t\xff",
    b"y\x03",
    b"s\x02",
    b"s\x04",
    b"c\0",
    b"n\0",
    b"p\0",
    b"d\0",
    b"r\0\0\x1fGET /h1/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"r\0\0\x1fGET /h2/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"r\x01\0\x28HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"r\x00\x00L\xda\xbb\xc2\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00<\x052.0.2\x13com.example.Greeter\x051.0.0\x02hi\x12Ljava/lang/String;\x03bobHZ",
    b"r\x01\x00\x13\xda\xbb\x02\x14\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x03\x91\x01a",
    b"r\x00\x00\x1dab\x00\x1a\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x01me\x00\x00\x00\x01S\x00\x00\x00\x00",
    b"r\x01\x00\x1cab\x00\x19\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01me\x00\x00\x00\x00\x00\x00\x00\x00",
];
