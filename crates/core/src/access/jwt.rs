//! Tokens (RFC 7515, RFC 7519): read, and judged by what they say of themselves.
//!
//! Errors have the words of Envoy's library (`google/jwt_verify_lib`), so that a client finds the same behind either proxy.

use serde_json::{Map, Value};

use crate::base64::URL;
use crate::limits::MAX_TOKEN_BYTES;

/// How a token is signed (RFC 7518 3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // they are names of the standard
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
];

impl Algorithm {
    /// Return its name in tokens and keys.
    pub fn name(self) -> &'static str {
        ALGORITHMS.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// Why a request's token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is none.
    Missing,
    /// It is no token, or says something of itself that it may not.
    Malformed(&'static str),
    /// Nobody is configured for its issuer.
    UnknownIssuer,
    /// It is for others.
    Audience,
    /// It begins later.
    NotYetValid,
    /// It has ended.
    Expired,
    /// No key has its id and algorithm.
    NoSuchKey,
    /// No key has signed it, or what it says of itself is not what was asked for.
    BadSignature,
    /// The keys could not be fetched.
    NoKeys,
}

impl Failure {
    /// Return what the caller is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "Jwt is missing",
            Self::Malformed(what) => what,
            Self::UnknownIssuer => "Jwt issuer is not configured",
            Self::Audience => "Audiences in Jwt are not allowed",
            Self::NotYetValid => "Jwt not yet valid",
            Self::Expired => "Jwt is expired",
            Self::NoSuchKey => "Jwks doesn't have key to match kid or alg from Jwt",
            Self::BadSignature => "Jwt verification fails",
            Self::NoKeys => "Jwks remote fetch is failed",
        }
    }

    /// Return the HTTP status: who is known and may not is told 403, who is not known 401.
    pub fn status(self) -> u16 {
        if self == Self::Audience {
            403
        } else {
            401
        }
    }
}

/// A token, read and not yet believed.
#[derive(Debug)]
pub struct Token<'a> {
    /// How it claims to be signed.
    pub algorithm: Algorithm,
    /// By which key.
    pub key_id: Option<String>,
    /// What was signed.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: Vec<u8>,
    /// The header.
    pub header: Value,
    /// The payload as it was written.
    pub encoded_payload: &'a [u8],
    /// The payload.
    pub payload: Map<String, Value>,
    /// `iss`; empty: none.
    pub issuer: String,
    /// `sub`; empty: none.
    pub subject: String,
    /// `aud`.
    pub audiences: Vec<String>,
    issued_at: u64,
    not_before: u64,
    expires_at: u64,
}

impl<'a> Token<'a> {
    /// Read a token.
    pub fn parse(text: &'a [u8]) -> Result<Self, Failure> {
        const SHAPE: &str = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Failure::Malformed("Jwt is longer than the mesh takes"));
        }
        let mut parts = text.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Failure::Malformed(SHAPE));
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(Failure::Malformed(SHAPE));
        }
        let signed = text.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let header = object(
            header,
            Failure::Malformed("Jwt header is an invalid Base64url encoded"),
            Failure::Malformed("Jwt header is an invalid JSON"),
        )?;
        let (algorithm, key_id) = read_header(&header)?;
        let encoded_payload = payload;
        let payload = object(
            payload,
            Failure::Malformed("Jwt payload is an invalid Base64url encoded"),
            Failure::Malformed("Jwt payload is an invalid JSON"),
        )?;
        let claims = Claims(&payload);
        let issuer = claims.text("iss", "Jwt payload [iss] field is not a string")?;
        let subject = claims.text("sub", "Jwt payload [sub] field is not a string")?;
        let issued_at = claims.time("iat", IAT)?;
        let not_before = claims.time("nbf", NBF)?;
        let expires_at = claims.time("exp", EXP)?;
        claims.text("jti", "Jwt payload [jti] field is not a string")?;
        let audiences = claims.audiences()?;
        let signature =
            URL.decode(signature).ok_or(Failure::Malformed("Jwt signature is an invalid Base64url encoded"))?;
        Ok(Self {
            algorithm,
            key_id,
            signed,
            signature,
            header: Value::Object(header),
            encoded_payload,
            payload,
            issuer,
            subject,
            audiences,
            issued_at,
            not_before,
            expires_at,
        })
    }

    /// Return an error unless the token holds at `now` (seconds since the epoch), give or take `skew` seconds.
    pub fn check_time(&self, now: u64, skew: u64) -> Result<(), Failure> {
        if self.not_before > now.saturating_add(skew) {
            return Err(Failure::NotYetValid);
        }
        if self.expires_at > 0 && self.expires_at.saturating_add(skew) < now {
            return Err(Failure::Expired);
        }
        Ok(())
    }

    /// Return whether the token says when it ends.
    pub fn ends(&self) -> bool {
        self.expires_at > 0
    }

    /// Return for how many seconds the token is good in all; none: it does not end.
    pub fn lifetime(&self) -> Option<u64> {
        let from = if self.issued_at > 0 { self.issued_at } else { self.not_before };
        self.ends().then(|| self.expires_at.saturating_sub(from))
    }
}

fn object(text: &[u8], no_base64: Failure, no_json: Failure) -> Result<Map<String, Value>, Failure> {
    let bytes = URL.decode(text).ok_or(no_base64)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(no_json),
    }
}

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Failure> {
    let Some(Value::String(name)) = header.get("alg") else {
        return Err(Failure::Malformed("Jwt header [alg] field is required and must be a string"));
    };
    let Some((_, algorithm)) = ALGORITHMS.iter().find(|(known, _)| known == name) else {
        return Err(Failure::Malformed("Jwt header [alg] is not supported"));
    };
    // A reader that does not know an extension must refuse the token (RFC 7515 4.1.11); Envoy passes over it.
    if header.contains_key("crit") {
        return Err(Failure::Malformed("Jwt header [crit] names extensions that are not supported"));
    }
    match header.get("kid") {
        None => Ok((*algorithm, None)),
        Some(Value::String(id)) => Ok((*algorithm, Some(id.clone()).filter(|id| !id.is_empty()))),
        Some(_) => Err(Failure::Malformed("Jwt header [kid] field is not a string")),
    }
}

/// What is said of a time that is none: no number, or one that no clock shows.
type BadTime = (&'static str, &'static str);

const IAT: BadTime =
    ("Jwt payload [iat] field is not an integer", "Jwt payload [iat] field is not a positive 64 bit integer");
const NBF: BadTime =
    ("Jwt payload [nbf] field is not an integer", "Jwt payload [nbf] field is not a positive 64 bit integer");
const EXP: BadTime =
    ("Jwt payload [exp] field is not an integer", "Jwt payload [exp] field is not a positive 64 bit integer");

struct Claims<'a>(&'a Map<String, Value>);

impl Claims<'_> {
    fn text(&self, name: &str, wrong: &'static str) -> Result<String, Failure> {
        match self.0.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(Failure::Malformed(wrong)),
        }
    }

    /// Return a time in seconds; 0: none. A fraction of a second is left out.
    fn time(&self, name: &str, (no_number, negative): BadTime) -> Result<u64, Failure> {
        let Some(value) = self.0.get(name) else { return Ok(0) };
        if let Some(seconds) = value.as_u64() {
            return Ok(seconds);
        }
        let Some(seconds) = value.as_f64() else { return Err(Failure::Malformed(no_number)) };
        if !(0.0..=MAX_TIME).contains(&seconds) {
            return Err(Failure::Malformed(negative));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it lies between 0 and MAX_TIME
        Ok(seconds as u64)
    }

    fn audiences(&self) -> Result<Vec<String>, Failure> {
        const WRONG: Failure = Failure::Malformed("Jwt payload [aud] field is not a string or string list");
        match self.0.get("aud") {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(str::to_owned).ok_or(WRONG)).collect(),
            Some(_) => Err(WRONG),
        }
    }
}

/// Latest time that is read: beyond it numbers of JSON are not exact.
const MAX_TIME: f64 = 9_007_199_254_740_992.0;
