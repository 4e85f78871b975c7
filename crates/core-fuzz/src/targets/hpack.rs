//! Header blocks: read or refused, and what is read can be written and read again.

use std::hash::{DefaultHasher, Hash, Hasher};

use eventmesh_core::hpack::{Decoder, Encoder, HpackError};

/// Decoded bytes beyond which the caller stops storing, as `http2` does.
const MAX_STORED: usize = 8 * 1024;

/// Bytes read of one input: every entry may be named again and again, so that more only costs time.
const MAX_INPUT: usize = 4096;

type Fields = Vec<(Vec<u8>, Vec<u8>, bool)>;

pub fn run(input: &[u8], cuts: u64) -> Result<u64, String> {
    let mut decoder = Decoder::default();
    let mut encoder = Encoder::default();
    let mut reader = Decoder::default();
    let mut behaviour = DefaultHasher::new();
    let [first, ..] = cuts.to_le_bytes();
    // Several blocks on one connection: the table carries over.
    for block in input.get(..MAX_INPUT).unwrap_or(input).chunks(usize::from(first).max(8)) {
        let fields = match read(&mut decoder, block) {
            Ok(fields) => fields,
            Err(error) => {
                format!("{error:?}").hash(&mut behaviour);
                break;
            }
        };
        fields.len().min(8).hash(&mut behaviour);
        let mut written = Vec::new();
        encoder.set_max_table_bytes(usize::from(first) * 32);
        encoder.begin(&mut written);
        for (name, value, never_indexed) in &fields {
            encoder.field(name, value, *never_indexed, &mut written);
        }
        let again = read(&mut reader, &written).map_err(|error| format!("what we wrote is refused: {error}"))?;
        let plain = |fields: &Fields| fields.iter().map(|(n, v, _)| (n.clone(), v.clone())).collect::<Vec<_>>();
        if plain(&again) != plain(&fields) {
            return Err("what we wrote reads differently".to_owned());
        }
        if fields.iter().zip(&again).any(|(sent, read)| sent.2 && !read.2) {
            return Err("a field that must not be indexed was".to_owned());
        }
    }
    Ok(behaviour.finish())
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, HpackError> {
    let mut fields = Fields::new();
    let mut stored = 0;
    decoder.decode(block, |field| {
        stored += field.name.len() + field.value.len() + 32;
        if stored <= MAX_STORED {
            fields.push((field.name.to_vec(), field.value.to_vec(), field.never_indexed));
        }
        true
    })?;
    Ok(fields)
}
