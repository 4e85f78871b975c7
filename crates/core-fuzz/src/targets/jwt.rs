//! Tokens and key sets: any bytes are one or a reason, and nothing verifies that nobody has signed.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use eventmesh_core::{Keys, Token};

use crate::corpus::Corpus;

/// The keys that have signed the stored tokens.
static KEYS: LazyLock<Result<Keys, String>> = LazyLock::new(|| Keys::parse(include_bytes!("jwt-keys.json")));

/// The signed parts of the stored tokens that verify.
static SIGNED: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| {
    let stored = Corpus::load("jwt").map(|corpus| corpus.stored()).unwrap_or_default();
    let signed = |text: &Vec<u8>| {
        let token = Token::parse(text).ok()?;
        KEYS.as_ref().ok()?.verify(&token).ok().map(|()| token.signed.to_vec())
    };
    stored.iter().filter_map(signed).collect()
});

/// Read a token and judge it.
pub fn token(input: &[u8], now: u64) -> Result<u64, String> {
    let mut behaviour = DefaultHasher::new();
    let token = match Token::parse(input) {
        Err(failure) => {
            failure.text().hash(&mut behaviour);
            return if failure.text().is_empty() {
                Err("a refusal without a word".to_owned())
            } else {
                Ok(behaviour.finish())
            };
        }
        Ok(token) => token,
    };
    if !input.starts_with(token.signed) {
        return Err("what is verified is not what was sent".to_owned());
    }
    let keys = KEYS.as_ref().map_err(Clone::clone)?;
    let verified = keys.verify(&token).is_ok();
    if verified && !SIGNED.contains(token.signed) {
        return Err("verified, and nobody has signed it".to_owned());
    }
    (verified, token.check_time(now, 60).is_ok(), token.algorithm.name(), token.audiences.len()).hash(&mut behaviour);
    Ok(behaviour.finish())
}

/// Read a key set.
pub fn keys(input: &[u8], _seed: u64) -> Result<u64, String> {
    let mut behaviour = DefaultHasher::new();
    match Keys::parse(input) {
        Err(error) if error.is_empty() => return Err("an error without a word".to_owned()),
        Err(error) => error.split(|c: char| !c.is_alphabetic()).take(4).collect::<Vec<_>>().hash(&mut behaviour),
        Ok(keys) => format!("{keys:?}").matches("public:").count().hash(&mut behaviour),
    }
    Ok(behaviour.finish())
}
