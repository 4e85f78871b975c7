"""The compiled engine. One instance per worker process; not to be shared between threads.

Every method that takes `now` (monotonic seconds) may return actions (`eventmesh.core.actions`); the
caller does them in order. Connections, exchanges and tokens are numbers the engine hands out and never
uses twice. A number that is no longer known is ignored: an event may cross a close.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Self, final
from typing import Protocol as _Protocol

from typing_extensions import disjoint_base

from eventmesh.core.actions import Action, Headers

__all__ = [
    "Engine",
    "EventFault",
    "MAX_ATTRIBUTE_NAME_LENGTH",
    "MAX_ATTRIBUTE_VALUE_BYTES",
    "MAX_EVENT_ATTRIBUTES",
    "MAX_EVENT_DEPTH",
    "Protocol",
    "REQUIRED_ATTRIBUTES",
    "Receiver",
    "Request",
    "Response",
    "UnknownEventFormat",
    "check_event",
    "check_keys",
    "check_pattern",
    "decode_event",
    "decode_event_batch",
    "decode_structured_event",
    "encode_event",
    "event_mode",
    "is_json_type",
]

def check_keys(text: str) -> None:
    """Raise ValueError unless `text` is a key set by which tokens can be verified; it says what is wrong."""

def check_pattern(text: str) -> None:
    """Raise ValueError unless `text` is a regular expression that routes may match by; it says what is wrong."""

MAX_EVENT_ATTRIBUTES: Final[int]
"""Most attributes of one event."""
MAX_ATTRIBUTE_NAME_LENGTH: Final[int]
"""Longest name of an attribute, in characters."""
MAX_ATTRIBUTE_VALUE_BYTES: Final[int]
"""Longest value of an attribute, in UTF-8."""
MAX_EVENT_DEPTH: Final[int]
"""How deep arrays and objects may lie within each other in an event in the JSON format."""
REQUIRED_ATTRIBUTES: Final[tuple[str, str, str, str]]
"""Names of the attributes that every event has."""

class EventFault(ValueError):
    """A message or a set of attributes is no CloudEvent; `args` are the attribute (empty: the message as a whole is at
    fault) and what is wrong."""

class UnknownEventFormat(ValueError):
    """A message is in an event format that is not read."""

def event_mode(headers: Headers) -> Literal["binary", "structured", "batch"] | None:
    """Return the mode in which a message claims to carry events; None: it does not."""

def decode_event(headers: Headers, body: bytes) -> tuple[dict[str, str | int | bool], bytes | None]:
    """Return attributes and data of the event in an HTTP message, in binary or structured mode.

    Names of headers are in lower case, values decoded as Latin-1. Raises EventFault or UnknownEventFormat.
    """

def encode_event(attributes: Mapping[str, str | int | bool], without: str = "") -> list[tuple[str, str]]:
    """Return the headers of an event in binary mode, `content-type` last; the attribute `without` is left out."""

def decode_structured_event(content_type: str, body: bytes) -> tuple[dict[str, str | int | bool], bytes | None]:
    """Return attributes and data of the event that is all of `body`. Raises EventFault or UnknownEventFormat."""

def decode_event_batch(
    headers: Headers, body: bytes, limit: int
) -> list[tuple[dict[str, str | int | bool], bytes | None]]:
    """Return the events of a batch in their order, which may be none. Raises EventFault, also for more than `limit`, or
    UnknownEventFormat."""

def check_event(attributes: dict[str, str | int | bool], changed: Mapping[str, object] | None = None) -> None:
    """Raise EventFault unless these may be the attributes of an event; with `changed` only values of those that it
    names are looked at, and that none is missing or one too many."""

def is_json_type(content_type: str) -> bool:
    """Return whether data of a media type is JSON: subtype `json` or a `+json` suffix, parameters ignored."""

@final
class Request:
    """A whole request, as a handler of this process receives it."""

    method: Final[str]
    authority: Final[str]
    path: Final[str]
    """With the query string."""
    headers: Final[list[tuple[str, str]]]
    """Names in lower case; values decoded as Latin-1. The same list whenever it is asked for: not to be changed."""
    body: Final[bytes]
    protocol: Final[str]
    """`http1`, `http2`, `bolt`, `dubbo` or `framed`."""
    peer: Final[str]
    """Address of the connection's other end."""
    peer_names: Final[list[str]]
    """The names in the certificate that the client has shown and that was believed: its URIs, then its host names."""

@final
class Response:
    """What a `send` ended with."""

    status: Final[int]
    """HTTP status. When no answer came: 503 without capacity or connection, 504 after a timeout, 502 after a
    broken answer; `error` then says which."""
    headers: Final[list[tuple[str, str]]]
    body: Final[bytes]
    """With `connect_failed`: why, in Envoy's words (`TLS: ...` for a certificate that was not believed)."""
    error: Final[str]
    """Empty when the peer answered; otherwise a short code: `no_capacity`, `connect_failed`, `timeout`, `reset`,
    `protocol_error`, `no_route`, `too_large`."""
    frame_status: Final[int]
    """Status of a `call` as its protocol says it (Bolt's, Dubbo's); 0 for all else."""

@final
class Protocol:
    """A private protocol, compiled from its declaration."""

    name: Final[str]
    def __new__(cls, declaration: str) -> Protocol:
        """Compile a declaration in JSON. Raises ValueError naming the field that is wrong."""
    def frames(self, data: bytes) -> tuple[list[tuple[str, int, str, str, list[tuple[str, str]], int]], int]:
        """Return the whole frames at the front of `data` and how many bytes they take.

        A frame is (kind, id, service, method, fields, length). Raises ValueError when the bytes break the protocol.
        """

@final
class Engine:
    """The whole proxy without its sockets."""

    def __new__(cls, seed: int = 0, wall_offset_s: float = 0.0) -> Engine:
        """Make an engine without configuration.

        `seed` feeds its draws and request ids. `wall_offset_s` is wall-clock time minus the clock `now` comes from: the
        access log tells time with it.
        """
    def apply(self, snapshot: bytes, now: float) -> list[Action]:
        """Make `snapshot` (`model.Snapshot.to_core`) the configuration of every request that starts from now on.

        Raises ValueError naming the field; the previous snapshot then stays in force.
        """
    def accepted(self, listener: str, peer: str, now: float) -> tuple[int, list[Action]]:
        """Register an accepted connection; return its number. Raises KeyError for an unknown listener."""
    def opened(self, conn: int, now: float) -> list[Action]: ...
    def open_failed(self, conn: int, why: str, now: float) -> list[Action]: ...
    def received(self, conn: int, data: bytes, now: float) -> list[Action]:
        """Take in what one read brought. The hot path: one call per read, at most one WRITE per connection out."""
    def eof(self, conn: int, now: float) -> list[Action]: ...
    def writable(self, conn: int, yes: bool, backlog: int, now: float) -> list[Action]:
        """Tell that the transport's write buffer has filled (`False`), so that `backlog` bytes wait in it, or drained
        (`True`), whatever is left in it.

        While much waits on all connections together, nothing is read for one that has no room."""
    def parting(self, before: int, after: int) -> None:
        """Tell that of what waits on connections that the engine has let go of, `before` bytes have become `after`."""
    def lost(self, conn: int, why: str, now: float) -> list[Action]: ...
    def tick(self, now: float) -> list[Action]: ...
    def answer(self, token: int, decision: tuple[object, ...], now: float) -> list[Action]:
        """Answer an ASK: `("reply", status, text)` or `("go",)`."""
    def send(
        self,
        route_table: str,
        method: str,
        authority: str,
        path: str,
        headers: Headers,
        body: bytes,
        now: float,
        *,
        timeout_s: float = 0.0,
        hold: bool = True,
        max_response_bytes: int = 1_048_576,
    ) -> tuple[int, list[Action]]:
        """Begin an exchange in this process, routed like any other; its end is the action DONE.

        `hold=False`: a cluster without a free endpoint answers `no_capacity` at once instead of waiting.
        """
    def call(
        self,
        route_table: str,
        frame: bytes,
        now: float,
        *,
        timeout_s: float = 0.0,
        hold: bool = True,
        max_response_bytes: int = 1_048_576,
    ) -> tuple[int, list[Action]]:
        """Begin an exchange with a whole request of Bolt or Dubbo, routed as if it had come on a connection.

        Its end is DONE: `headers` are Bolt's header map, `body` what stands behind the head of the answer. Raises
        ValueError when the frame is no such request. `timeout_s` and `hold` as for `send`.
        """
    def open_stream(
        self,
        route_table: str,
        method: str,
        authority: str,
        path: str,
        headers: Headers,
        now: float,
        *,
        hold: bool = True,
    ) -> tuple[int, list[Action]]:
        """Begin an exchange whose two bodies come and go piece by piece: `feed` and the actions ANSWERED and PIECE.

        Its end is DONE: `headers` then are the trailers, `body` is what the mesh itself answered or why it could not.
        """
    def feed(self, exchange: int, data: bytes, end: bool, now: float) -> tuple[bool, list[Action]]:
        """Send more of a stream's request, or of a conversation's answer; with `end` it is the last of it.

        `False`: more waits inside the mesh than should (64 KiB; of a conversation anything at all), and the action ROOM
        says when to go on. No bytes at all only ask.
        """
    def took(self, exchange: int, size: int, now: float) -> list[Action]:
        """Give back the credit of `size` bytes that PIECE brought: the peer may send as many again."""
    def reply(self, exchange: int, status: int, headers: Headers, body: bytes, now: float) -> list[Action]:
        """Answer a SERVE."""
    def begin_answer(self, exchange: int, status: int, headers: Headers, now: float) -> list[Action]:
        """Begin to answer a CONVERSE; `feed` goes on. Raises ValueError naming what cannot be sent."""
    def finish_answer(self, exchange: int, trailers: Headers, now: float) -> list[Action]:
        """End the answer to a CONVERSE that has begun, whether or not the request has come whole; nothing more is told
        of it. Raises ValueError naming what cannot be sent."""
    def hang_up(self, exchange: int, now: float) -> list[Action]:
        """Reset the connection that a CONVERSE came on; nothing more is told of it."""
    def let_through(self, token: int, set: Headers, remove: Sequence[str], now: float) -> list[Action]:
        """Answer a SCREEN: the request goes on, with the headers `set` and without those in `remove`.

        Raises ValueError naming what cannot be sent, TypeError when `remove` is one text; the request then still waits.
        """
    def turn_away(self, token: int, status: int, headers: Headers, body: bytes, now: float) -> list[Action]:
        """Answer a SCREEN: the request is answered so. Raises ValueError as `let_through` does."""
    def undecided(self, token: int, now: float) -> list[Action]:
        """Answer a SCREEN: nobody can say, and the filter's failure policy decides."""
    def cancel(self, exchange: int, now: float) -> list[Action]:
        """Give up a `send` or a stream; no DONE follows."""
    def drain(self, now: float) -> list[Action]:
        """Finish what is in flight and no more: HTTP/1 answers say `Connection: close`, HTTP/2 says GOAWAY,
        idle connections close."""
    def drain_fixed(self, now: float) -> list[Action]:
        """Do what `drain` does, except to connections that another process can go on to serve (`standing`)."""
    def standing(self, conn: int) -> str:
        """Return whether an accepted connection can be given to another process.

        `fixed`: never (TLS, HTTP/2; or it is not known). `busy`: not now. `whole`: as soon as what it asked is
        answered, if nothing more is read from it. `free`: now.
        """
    def move_out(self, conn: int) -> tuple[bool, list[Action]]:
        """Forget a `free` connection, of which nothing more is ordered then; return whether it was one."""
    def share_limits(self, memory: memoryview) -> None:
        """Keep the state of rate limits in `memory` from now on, in common with every engine, of whatever process, that
        is given the same: unsigned 64-bit numbers, at first zeros, two for each limit.

        A limit for which there is no room is kept by each engine alone. Raises ValueError when it is no such memory.
        """
    def active(self) -> int:
        """Return the number of exchanges in flight, waiting ones included, streams of this process not: no drain waits
        for those."""
    def capacity(self, cluster: str) -> tuple[int, int, int]:
        """Return (endpoints that may take a request now, requests in flight, requests waiting); zeros if unknown."""
    def take_load(self, now: float) -> list[tuple[str, float, int, float, int]]:
        """Return, per cluster with traffic since the last call: (name, average concurrency including waiting
        requests, requests begun, average concurrency and requests of those that came with `K-Proxy-Request`).

        Averages are over the time since the last call: Knative's Stat (knative/serving: pkg/queue/request_metric).
        """
    def take_access_log(self) -> list[tuple[str, bytes]]:
        """Return and forget the access-log lines since the last call, as (path, lines)."""
    def tap(self, terms: bytes) -> None:
        """Look at exchanges that begin from now on, in place of an earlier tap.

        `terms` is JSON: `method`, `host`, `path` (how it begins), `headers` ([name, value]), `statuses`
        ([first, last]), `without` (listeners that are passed over), `millionths` (the share that is drawn),
        `body_bytes` (of each body), `most` (exchanges in all). Raises ValueError.
        """
    def untap(self) -> None:
        """Look no more."""
    def take_tap(self) -> tuple[list[bytes], int, bool]:
        """Return what was seen since the last call: exchanges as JSON objects, secrets included; how many were lost for
        want of room; whether nothing more will come."""
    def take_spans(self) -> list[tuple[str, bytes, int]]:
        """Return and forget the spans recorded since the last call in batches of some 512 KiB, as (listener, spans, how
        many). Listener is empty for those by the snapshot's own tracing. Spans are OTLP: the field `spans` of a
        `ScopeSpans` (opentelemetry-proto), repeated."""
    def cluster_statuses(self) -> bytes:
        """Return how every endpoint fares as JSON: a list of clusters {"name", "judges" (outliers
        are looked for), "success_rate_average" and "success_rate_threshold" (per cent, or null), "endpoints":
        [{"address", "counters", "gauges", "flags" (what speaks against it), "weight", "priority", "locality"
        (region/zone/sub-zone), "canary", "success_rate"}]}. Names are those of Envoy's `/clusters`."""
    def stats(self) -> bytes:
        """Return all counters and histograms as JSON: {"counters": [[name, {label: value}, number]],
        "gauges": [...], "histograms": [[name, labels, [[upper bound, cumulative count]], sum, count]]}."""

class _Owner(_Protocol):
    """Whom a `Receiver` belongs to: these are looked up once, when it is made."""

    @property
    def engine(self) -> Engine: ...
    @property
    def connections(self) -> dict[int, Any]:
        """By number; each has a `write` that takes bytes, and a `transport` that says how many of them it keeps."""
    @property
    def now(self) -> Callable[[], float]: ...
    def perform(self, actions: Iterable[Action]) -> None: ...
    # `failed` takes the receiver, of the class that the owner has made of it.
    @property
    def failed(self) -> Callable[[Any, BaseException], None]: ...

@disjoint_base
class Receiver:
    """The half of an asyncio protocol that bytes come in by. Connections inherit from it."""

    number: int
    """What the engine knows the connection by; 0 before it does and after it has let go."""
    def __new__(cls, owner: _Owner, *_args: object, **_kwargs: object) -> Self: ...
    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes: one array for all connections of an engine, of which little is offered while
        much waits for peers that take nothing."""
    def buffer_updated(self, nbytes: int) -> None:
        """Do what `perform(engine.received(number, data, now()))` does with the data of a read, without a frame of
        Python to read and write.

        A connection whose transport keeps more than 16 KiB of a large write is `writable` no more at once.
        Bytes that come when `number` is 0 are dropped. Whatever goes wrong is told to `failed`.
        """
