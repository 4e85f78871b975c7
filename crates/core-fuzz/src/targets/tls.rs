//! TLS on either side: any bytes, cut anywhere, are an error or are waited on; they bring no plain text and little out.

use std::sync::{Arc, OnceLock};

use eventmesh_core::tls::{ClientContext, ClientTerms, Clock, Layer, ServerContext, ServerTerms};

/// What may be said to a peer that has not finished its handshake: hello, certificate, alerts, a retry request.
const MAX_SAID: usize = 16 * 1024;

const CERTIFICATE: &str = include_str!("../../../../tests/vectors/tls/server.pem");
const KEY: &str = include_str!("../../../../tests/vectors/tls/server.key");

pub fn server(input: &[u8], seed: u64) -> Result<u64, String> {
    static CONTEXT: OnceLock<Arc<ServerContext>> = OnceLock::new();
    let context = CONTEXT.get_or_init(|| Arc::new(server_context().unwrap_or_else(|why| panic!("{why}"))));
    feed(Layer::server(context)?, input, seed)
}

pub fn client(input: &[u8], seed: u64) -> Result<u64, String> {
    static CONTEXT: OnceLock<ClientContext> = OnceLock::new();
    let context = CONTEXT.get_or_init(|| client_context().unwrap_or_else(|why| panic!("{why}")));
    feed(Layer::client(context)?, input, seed)
}

fn server_context() -> Result<ServerContext, String> {
    let certificate = eventmesh_core::tls::Certificate { chain: CERTIFICATE.to_owned(), key: KEY.to_owned() };
    ServerContext::new(&ServerTerms::showing(certificate), &Arc::new(Clock::default()))
}

fn client_context() -> Result<ClientContext, String> {
    ClientContext::new(&ClientTerms::asking("example.com"), &Arc::new(Clock::default()))
}

fn feed(mut layer: Layer, input: &[u8], seed: u64) -> Result<u64, String> {
    let (mut plain, mut said) = (Vec::new(), Vec::new());
    layer.send(&[], &mut said);
    let step = usize::try_from(seed % 64).unwrap_or(0) + 1;
    let mut pieces = 0_u64;
    for piece in input.chunks(step) {
        pieces += 1;
        let outcome = layer.receive(piece, &mut plain);
        layer.send(&[], &mut said);
        if !plain.is_empty() {
            return Err("plain text came out of a handshake that nobody can have finished".to_owned());
        }
        if said.len() > MAX_SAID {
            return Err(format!("{} bytes were said in a handshake", said.len()));
        }
        if outcome.is_err() {
            break;
        }
    }
    // Keys are drawn anew each time: what is alike between runs is how much was said, and after how much was heard.
    Ok(said.len() as u64 ^ pieces.min(8) << 32)
}
