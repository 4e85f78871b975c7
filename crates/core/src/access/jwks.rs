//! Key sets (RFC 7517, RFC 7518, RFC 8037), and signatures judged by them.

use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

use crate::access::jwt::{Algorithm, Failure, Token};
use crate::base64::URL;
use crate::limits::{MAX_KEYS, MAX_KEY_SET_BYTES};

/// The public keys of an issuer.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    public: Public,
}

#[derive(Debug)]
enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Keys {
    /// Read a key set. Keys of kinds that are not supported are passed over; the error says what is wrong, or that none is left.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > MAX_KEY_SET_BYTES {
            return Err(format!("{} bytes are more than the limit of {MAX_KEY_SET_BYTES}", text.len()));
        }
        let set: Value = serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))?;
        let Some(all) = set.get("keys").and_then(Value::as_array) else {
            return Err("has no list of `keys`".to_owned());
        };
        if all.len() > MAX_KEYS {
            return Err(format!("{} keys are more than the limit of {MAX_KEYS}", all.len()));
        }
        let keys: Vec<Key> = all.iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err("has no RSA, EC (P-256, P-384) or Ed25519 key that can be read".to_owned());
        }
        Ok(Self { keys })
    }

    /// Return whether one of the keys has signed `token`.
    pub fn verify(&self, token: &Token<'_>) -> Result<(), Failure> {
        let name = token.algorithm.name();
        let mut meant = self.keys.iter().filter(|key| {
            let same_id = token.key_id.is_none() || key.id.is_none() || token.key_id == key.id;
            same_id && key.algorithm.as_deref().is_none_or(|algorithm| algorithm == name)
        });
        let mut tried = false;
        let good = meant.any(|key| {
            tried = true;
            key.public.has_signed(token)
        });
        match (good, tried) {
            (true, _) => Ok(()),
            (false, true) => Err(Failure::BadSignature),
            (false, false) => Err(Failure::NoSuchKey),
        }
    }
}

impl Key {
    fn read(key: &Value) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL.decode(text(name)?.as_bytes()).filter(|bytes| !bytes.is_empty());
        let point = |size: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            (x.len() == size && y.len() == size).then(|| [&[4][..], &x, &y].concat())
        };
        let public = match (text("kty")?, text("crv")) {
            ("RSA", _) => Public::Rsa { modulus: bytes("n")?, exponent: bytes("e")? },
            ("EC", Some("P-256")) => Public::P256(point(32)?),
            ("EC", Some("P-384")) => Public::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Public::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        Some(Self { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), public })
    }
}

impl Public {
    /// Return whether this key has made the signature of `token`. The token says by which algorithm, but a key takes part
    /// in those of its own kind alone.
    fn has_signed(&self, token: &Token<'_>) -> bool {
        let by = |algorithm: &'static dyn VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(token.signed, &token.signature).is_ok()
        };
        match (self, token.algorithm) {
            (Self::Rsa { modulus, exponent }, algorithm) => {
                let (n, e) = (without_zeros(modulus), without_zeros(exponent));
                let key = RsaPublicKeyComponents { n, e };
                rsa(algorithm).is_some_and(|by| key.verify(by, token.signed, &token.signature).is_ok())
            }
            (Self::P256(point), Algorithm::Es256) => by(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), Algorithm::Es384) => by(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Self::Ed25519(point), Algorithm::EdDsa) => by(&signature::ED25519, point),
            _ => false,
        }
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

/// Return a number without leading zeros: some issuers write them, and the library takes none.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
