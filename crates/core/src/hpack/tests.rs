use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    valid: Vec<Case>,
    all_bytes: String,
    invalid: Vec<Invalid>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    wire: String,
    fields: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Invalid {
    name: String,
    wire: String,
    error: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../tests/vectors/hpack.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, |field| {
        fields.push((text(field.name), text(field.value)));
        true
    })?;
    Ok(fields)
}

fn write(encoder: &mut Encoder, fields: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), false, &mut out);
    }
    out
}

#[test]
fn blocks_of_the_rfc_and_of_another_encoder_are_read_as_meant() {
    for case in vectors().valid {
        let mut decoder = Decoder::default();
        for (turn, block) in case.blocks.iter().enumerate() {
            assert_eq!(read(&mut decoder, &bytes(&block.wire)), Ok(block.fields.clone()), "{} {turn}", case.name);
        }
    }
}

#[test]
fn every_byte_has_its_huffman_code() {
    let all: Vec<u8> = (0..=255).collect();
    let block = bytes(&vectors().all_bytes);
    assert_eq!(read(&mut Decoder::default(), &block), Ok(vec![("x".to_owned(), text(&all))]));
    let mut coded = Vec::new();
    huffman::encode(&all, &mut coded);
    assert_eq!(coded.len(), huffman::encoded_len(&all));
    assert!(block.ends_with(&coded));
}

#[test]
fn invalid_blocks_are_refused_with_their_reason() {
    for Invalid { name, wire, error } in vectors().invalid {
        let refused = read(&mut Decoder::default(), &bytes(&wire)).unwrap_err();
        assert_eq!(format!("{refused:?}"), error, "{name}");
    }
}

#[test]
fn a_block_cut_short_is_an_error_or_its_first_fields() {
    for case in vectors().valid {
        let block = &case.blocks[0];
        let wire = bytes(&block.wire);
        for cut in 0..wire.len() {
            let mut decoder = Decoder::default();
            if let Ok(fields) = read(&mut decoder, &wire[..cut]) {
                assert!(block.fields.starts_with(&fields), "{} cut at {cut}", case.name);
            }
        }
    }
}

#[test]
fn what_the_encoder_writes_the_decoder_reads() {
    for case in vectors().valid {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for (turn, block) in case.blocks.iter().chain(&case.blocks).chain(&case.blocks).enumerate() {
            let offered = [4096, 4096, 4096, 300, 0, 65_536, 64][turn % 7];
            encoder.set_max_table_bytes(offered);
            let wire = write(&mut encoder, &block.fields);
            assert_eq!(read(&mut decoder, &wire), Ok(block.fields.clone()), "{} {turn}", case.name);
        }
    }
}

#[test]
fn fields_that_repeat_shrink_to_a_byte_and_fields_that_do_not_stay_out_of_the_table() {
    let mut encoder = Encoder::default();
    let head = |turn: usize| {
        [("user-agent", "curl/8.0"), ("x-tenant", "shop"), ("x-request-id", &format!("{turn:036}"))]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let sizes: Vec<usize> = (0..40).map(|turn| write(&mut encoder, &head(turn)).len()).collect();
    // Two indexed fields of one byte; the id is sent as it is, its name with it, each time.
    assert_eq!(sizes[2..], [2 + 1 + 1 + 12 + 1 + 36; 38]);
}

#[test]
fn credentials_never_enter_the_table() {
    let mut encoder = Encoder::default();
    for name in ["authorization", "cookie", "set-cookie", "proxy-authorization"] {
        let fields = [(name.to_owned(), "secret".to_owned())];
        for _ in 0..4 {
            assert!(write(&mut encoder, &fields).ends_with(b"secret"), "{name}");
        }
    }
}

#[test]
fn a_table_that_shrank_and_grew_between_two_blocks_is_emptied() {
    let mut encoder = Encoder::default();
    let fields = [("x-tenant".to_owned(), "shop".to_owned())];
    let _ = [write(&mut encoder, &fields), write(&mut encoder, &fields)];
    encoder.set_max_table_bytes(0);
    encoder.set_max_table_bytes(4096);
    let wire = write(&mut encoder, &fields);
    assert_eq!(wire[..4], [0x20, 0x3f, 0xe1, 0x1f]);
    assert!(wire.len() > 5);
}

#[test]
fn the_decoders_table_holds_twice_its_limit_at_most_and_claimed_lengths_allocate_nothing() {
    let mut decoder = Decoder::default();
    for turn in 0..10_000 {
        let value = format!("{turn:0100}");
        let block = [&[0x40, 1, b'a', 100][..], value.as_bytes()].concat();
        assert_eq!(read(&mut decoder, &block).unwrap()[0].1, value);
    }
    assert!(decoder.table_memory() <= 4 * MAX_TABLE_BYTES);
    // A string that claims four gigabytes.
    assert_eq!(read(&mut decoder, &[0x00, 0x7f, 0x80, 0xff, 0xff, 0xff, 0x0f]), Err(HpackError::Truncated));
}
