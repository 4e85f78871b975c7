//! Every bound of the core that a Snapshot does not set, with its argument. Checked before memory is spent.

/// Body bytes of one exchange and direction that may wait inside the mesh before the source is paused: enough to keep a
/// fast pair busy. The read that crosses it is kept, too. While more than `EASY_BACKLOG` waits there is no such credit.
pub const MAX_EXCHANGE_BUFFER: usize = 64 * 1024;

/// Bytes that may wait in the transports' buffers and behind windows for all peers of a process before reads become small and whoever takes
/// nothing is read for no more: what some twenty readers that stall in the middle of a large answer leave. A crowd of
/// them then costs one small read each, 400 less than 32 MiB in all (ADR 0094).
pub const EASY_BACKLOG: usize = 4 * 1024 * 1024;

/// Bytes that may wait for all peers of a process before an HTTP/2 client is cut off that goes on asking and opens its
/// windows for no answer: half of what slow readers may cost in all. An answer that is whole in the mesh is in nobody's
/// way, so that neither its source nor `max_requests` bounds how many there are.
pub const FULL_BACKLOG: usize = 16 * 1024 * 1024;

/// Bytes of whole answers that such a client may leave untaken even then: 400 of them stay below 32 MiB.
pub const MAX_WHOLE_UNTAKEN: usize = 64 * 1024;

/// Body bytes of a request that are kept so that it can be sent again, on routes with a retry policy. As much as may wait
/// inside the mesh for one exchange anyway; a longer request is sent once.
pub const MAX_REPLAY_BYTES: usize = 64 * 1024;

/// Body bytes of a request that are kept for copies of it (`request_mirror_policies`); a longer one is not copied. Envoy's
/// own bound, a connection's buffer.
pub const MAX_MIRROR_BYTES: usize = 1024 * 1024;

/// Body bytes of all requests that are being copied: sixteen large ones at once; copying must not cost what serving has.
pub const MAX_MIRRORED: usize = 16 * 1024 * 1024;

/// Bytes of exchanges seen by a tap that are kept while nobody takes them: some 500 of them, looked at several times a second.
pub const MAX_TAPPED_BYTES: usize = 1024 * 1024;

/// Bytes of each body that a tap may ask for: enough to see what it is.
pub const MAX_TAPPED_BODY: usize = 4096;

/// Numbers of requests that a cluster's queue may still hold although they have left it from the middle, beyond as many as wait:
/// clients that come and go while others wait must not make it longer. Looking through the queue then costs a step for each.
pub const MAX_LEFT_BEHIND: usize = 64;

/// Most points of a hash ring (Envoy's bound). One takes 16 bytes.
pub const MAX_RING_SIZE: usize = 8 * 1024 * 1024;

/// Most places of a Maglev table (Envoy's bound). One takes 8 bytes.
pub const MAX_MAGLEV_TABLE: usize = 5_000_011;

/// Longest service name in a gRPC health check, so that its length is one byte on the wire.
pub const MAX_CHECKED_SERVICE: usize = 120;

/// Longest answer to a health check: a page of text; what matters is its status.
pub const MAX_CHECK_BYTES: usize = 64 * 1024;

/// Bytes read behind the current request of an HTTP/1 connection (pipelining) before it is paused.
pub const MAX_PIPELINED: usize = 64 * 1024;

/// Body bytes thrown away after an early answer, to keep the connection. Beyond, closing is cheaper.
pub const MAX_DISCARD: u64 = 64 * 1024;

/// How long a connection that was told to go away may still talk before it is closed hard: long enough for the answer to
/// be read before a reset can destroy it (RFC 9112 9.6).
pub const LINGER_S: f64 = 1.0;

/// How long a caller of a protocol of frames is left alone after its last answer when we drain. Java's clients hand answers to
/// threads of a pool and fail whatever still waits there when the connection ends; one that calls again meanwhile is served.
pub const PARTING_S: f64 = 1.0;

/// How long an endpoint that refused a connection is spared while requests can wait: a process that is started again is
/// missed by a tenth of a second at most, and a dead one is dialled ten times a second whatever waits.
pub const REFUSED_REST_S: f64 = 0.1;

/// Connections that may leave (GOAWAY) one after the other without having seen a request before it is given up. Those to one
/// endpoint leave together when it reloads, and a request that one leaves behind goes to the next. As often as Go's client
/// sends a request again, without its pauses: each time it is on another connection.
pub const MAX_LEAVERS: u8 = 6;

/// How long an endpoint that said it shuts down (Dubbo's READONLY, Bolt's `GoAway`) is given nothing while there is another:
/// as long as Dubbo waits for what is in flight. One that is back under its address has lost these seconds, no call.
pub const GOING_REST_S: f64 = 10.0;

/// Longest chunk-size line, extensions included. Nobody uses extensions; they are a favourite of smugglers.
pub const MAX_CHUNK_LINE: usize = 256;

/// Longest head of a response and longest block of trailers (Envoy's default of 60 KiB for heads).
pub const MAX_RESPONSE_HEAD: usize = 61_440;

/// Most fields in a response head or a trailer block (Envoy's default).
pub const MAX_RESPONSE_FIELDS: usize = 100;

/// Interim (1xx) responses before the final one: 103 and 100 make two; the rest is a flood.
pub const MAX_INFORMATIONAL: u32 = 16;

/// Largest Bolt content. SOFARPC's `transport.payload.max` is 8 MiB; a frame must be whole before it may enter a shared
/// upstream connection.
pub const MAX_BOLT_CONTENT: usize = 8 * 1024 * 1024;

/// Largest Bolt header map: Java reads the length as a signed short, so beyond this no Java peer can follow.
pub const MAX_BOLT_HEADER: usize = 32_767;

/// Largest Bolt class name: as for the header map; real names have some 50 bytes.
pub const MAX_BOLT_CLASS: usize = 32_767;

/// Most pairs in a Bolt header map. SOFARPC sends about ten.
pub const MAX_BOLT_FIELDS: usize = 256;

/// Bytes written for one slow caller of a protocol of whole frames beyond which it is cut off alone: the upstream it shares is never paused for it.
pub const MAX_FRAMES_BACKLOG: usize = 16 * 1024 * 1024;

/// Bytes written for an HTTP/2 client that does not read beyond which it is not read from either. Bodies are bounded by
/// windows; this bounds what no window does, a megabyte being 60,000 acknowledgements of pings.
pub const MAX_HTTP2_BACKLOG: usize = 1024 * 1024;

/// Buffers above this are given back to the allocator once empty: those of exchanges, and what a connection has read when it
/// ends.
pub const KEEP_BUFFER: usize = 64 * 1024;

/// What a connection writes from keeps this much while the connection lives: small messages find it there. A larger one
/// is written from memory that all connections share, one after the other.
pub const KEEP_OUT: usize = 16 * 1024;

/// The most that the shared memory keeps: what some reads of 256 KiB make in one turn. The answer of a handler may be
/// hundreds of MiB, once.
pub const KEEP_SPARE: usize = 1024 * 1024;

/// As `KEEP_BUFFER`, on a connection that carries a conversation with this process: one message of some hundred bytes now
/// and then, on each of thousands.
pub const KEEP_SILENT_BUFFER: usize = 512;

/// Largest frame that a declared protocol may ask for: a frame must be whole before it may enter a shared connection,
/// so this is memory for each connection at once. Twice the 8 MiB that SOFARPC and Dubbo allow.
pub const MAX_FRAMED_FRAME: usize = 16 * 1024 * 1024;

/// Largest frame of a protocol whose declaration does not say (Motan's limit).
pub const DEFAULT_FRAMED_FRAME: usize = 10 * 1024 * 1024;

/// Longest head of a frame, up to the last thing that is read. It is copied for each message; service names and
/// attachments that route requests have a few hundred bytes.
pub const MAX_FRAMED_HEAD: usize = 64 * 1024;

/// Most pairs in a header block. Motan sends about fifteen.
pub const MAX_FRAMED_FIELDS: usize = 256;

/// Elements of a declared frame, and parts of a template: the walk over them is what a message costs.
pub const MAX_FRAMED_ELEMENTS: usize = 32;

/// Named numbers of a declared frame, and named texts: they are kept in arrays on each connection.
pub const MAX_FRAMED_NAMES: usize = 8;

/// Longest text in an error of our own: it is for people, and a caller may have allotted little for it.
pub const MAX_FRAMED_TEXT: usize = 1024;

/// Requests in flight on one connection of a framed protocol, either side.
pub const MAX_FRAMED_STREAMS: usize = 65_536;

/// Declared protocols of one configuration, those included that a connection still speaks as they were before.
pub const MAX_DECLARED_PROTOCOLS: usize = 256;

/// Largest body of a Dubbo frame: Dubbo's own `payload`.
pub const MAX_DUBBO_BODY: usize = 8 * 1024 * 1024;

/// Largest body of a Dubbo event. Dubbo 3 takes 15 bytes; Java's serialization of a letter has a few more.
pub const MAX_DUBBO_EVENT: usize = 64;

/// Values of a Hessian body that are skipped on the way to its attachments. Beyond, a call is routed by what stands before its
/// arguments: to walk through lists of thousands is work for the service, not for each hop.
pub const MAX_HESSIAN_VALUES: usize = 2_048;

/// Characters of a Hessian body that are counted one by one, which those outside of ASCII need: some 0.1 ms.
pub const MAX_HESSIAN_TEXT: usize = 64 * 1024;

/// Depth of a Hessian value: objects of real calls nest some ten deep, and each level is a frame of our stack.
pub const MAX_HESSIAN_DEPTH: usize = 32;

/// Classes that a Hessian body may define.
pub const MAX_HESSIAN_CLASSES: usize = 128;

/// Depth of the questions in an access rule: authors nest three or four deep, and each level is a frame of our stack.
pub const MAX_RULE_DEPTH: usize = 32;

/// Longest token. Those of large directories, with hundreds of groups, have some 16 KiB; a request head has 60 KiB by default.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// Bytes of a request's body that an authorization service may be told, and that wait for it: an API's message, not an upload.
pub const MAX_AUTHZ_BODY: usize = 1024 * 1024;

/// Longest answer of an authorization service: a page that a refused caller is shown.
pub const MAX_AUTHZ_ANSWER: usize = 256 * 1024;

/// Longest time that an authorization service may be given: its caller waits with what it holds.
pub const MAX_AUTHZ_TIMEOUT_S: f64 = 60.0;

/// Requests that filters written in Python decide about at once; one more counts as one that got no decision. A filter that takes
/// a millisecond has a second's work then, and each of these holds its head.
pub const MAX_FILTERED: usize = 1_024;

/// Longest time that such a filter may be given: its caller waits with what it holds.
pub const MAX_FILTER_S: f64 = 60.0;

/// Longest key set: issuers publish two to ten keys, a few KiB with their certificates.
pub const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// Most keys of a set: a token without a key id is tried against each.
pub const MAX_KEYS: usize = 64;

/// Services and methods whose routes are remembered, of those that were asked for last: what one client calls in turn, a few
/// times over, since some share a place.
pub const RECENT_ROUTES: usize = 64;

/// Longest service and method, together, that are remembered so. Java's names have some hundred bytes.
pub const MAX_RECENT_BYTES: usize = 512;
