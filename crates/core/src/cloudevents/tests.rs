use std::borrow::Cow;

use super::*;

const START: &str = r#"{"id":"1","source":"/s","type":"t","specversion":"1.0""#;
const STRUCTURED: &str = "application/cloudevents+json";

fn field<'a>(name: &'a str, value: &'a str) -> Field<'a> {
    (name, Cow::Borrowed(value.as_bytes()))
}

/// The data and the problem of an event in the JSON format with these members.
fn read(members: &str) -> Result<Option<Vec<u8>>, String> {
    let (body, fields) = (format!("{START}{members}}}"), [field("content-type", STRUCTURED)]);
    let event = decode(&fields, body.as_bytes()).map_err(|refusal| format!("{refusal:?}"))?;
    Ok(event.data.map(Cow::into_owned))
}

fn data(members: &str) -> Vec<u8> {
    read(members).unwrap().unwrap()
}

/// A field of protobuf that is bytes.
fn message(number: u64, inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    crate::protobuf::bytes(number, inside, &mut out);
    out
}

/// An entry of protobuf's map of attributes.
fn entry(name: &str, value: &[u8]) -> Vec<u8> {
    message(5, &[message(1, name.as_bytes()), message(2, value)].concat())
}

#[test]
fn data_is_handed_on_as_it_was_written_but_for_blanks() {
    for written in
        ["1.10", "123456789012345678901234567890", "1e400", "-0", r#""\ud800\u00e9""#, "[]", r#"{"a":[1,{}],"b":null}"#]
    {
        assert_eq!(data(&format!(",\"data\": {written} ")), written.as_bytes());
    }
    assert_eq!(data(",\"data\" : { \"a\" :\n[ 1 ,\t2 ] }"), b"{\"a\":[1,2]}");
    assert_eq!(data(r#","datacontenttype":"text/plain","data":"\u00e9\ud83d\ude00\n\"\/""#), "é😀\n\"/".as_bytes());
}

#[test]
fn what_is_no_json_is_refused_at_its_byte() {
    for wrong in [
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "NaN",
        "Infinity",
        "tru",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":1,}",
        "{a:1}",
        "",
        "[",
        "{\"a\":",
    ] {
        let refusal = read(&format!(",\"data\":{wrong}")).unwrap_err();
        assert!(refusal.contains("is not JSON: expected") && refusal.contains("at byte"), "{wrong}: {refusal}");
    }
    let (body, fields) = (format!("{START}}} x"), [field("content-type", STRUCTURED)]);
    assert_eq!(
        decode(&fields, body.as_bytes()).unwrap_err(),
        Refusal::whole("structured CloudEvent is not JSON: expected the end at byte 56")
    );
}

#[test]
fn a_name_given_twice_is_refused_however_it_is_spelled_and_however_deep() {
    for twice in [r#","id":"2""#, r#","data":[{"a":{"b":1,"\u0062":2}}]"#, r#","x":null,"x":null"#] {
        assert!(read(twice).unwrap_err().contains("twice"), "{twice}");
    }
    assert!(read(r#","data":[{"a":1},{"a":{"a":2}}]"#).is_ok());
}

#[test]
fn data_is_nested_as_deep_as_the_limit_and_no_deeper() {
    // The event itself is the outermost object.
    let nested = |depth: usize| format!(",\"data\":{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
    assert!(read(&nested(MAX_DEPTH)).unwrap_err().contains("nested too deeply"));
}

#[test]
fn attributes_of_other_kinds_are_refused_by_name() {
    for (member, said) in [
        (r#","x":1.0"#, "not a number with a fraction"),
        (r#","x":[]"#, "not an array"),
        (r#","x":{}"#, "not an object"),
        (r#","x":2147483648"#, "2147483648 is outside"),
        (r#","x":"\udc00""#, "U+DC00"),
        (r#","x":"\ud800\u0041""#, "U+D800"),
        (",\"x\":\"\u{1ffff}\"", "U+1FFFF"),
    ] {
        let refusal = read(member).unwrap_err();
        assert!(refusal.contains("attribute: \"x\"") && refusal.contains(said), "{member}: {refusal}");
    }
    assert!(read(r#","x":-2147483648,"y":null,"z":false"#).is_ok());
    let long = read(&format!(",\"x\":{}", "9".repeat(100_000))).unwrap_err();
    assert!(long.len() < 400, "a refusal repeats no more than it must: {}", long.len());
}

#[test]
fn moments_are_those_of_rfc_3339() {
    for good in [
        "2024-02-29T23:59:60Z",
        "0001-01-01T00:00:00.000000000001z",
        "9999-12-31t23:59:59+23:59",
        "2000-02-29T00:00:00-00:00",
    ] {
        assert!(timestamp::is_timestamp(good), "{good}");
    }
    for bad in [
        "",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+00:60",
        "2024-01-01T00:00:00+0000",
        "2024-01-01T00:00:00Zx",
        "２024-01-01T00:00:00Z",
    ] {
        assert!(!timestamp::is_timestamp(bad), "{bad}");
    }
    assert_eq!(timestamp::written(-62_135_596_800, 0).unwrap(), "0001-01-01T00:00:00Z");
    assert_eq!(timestamp::written(253_402_300_799, 120_000_000).unwrap(), "9999-12-31T23:59:59.12Z");
    assert_eq!((timestamp::written(-62_135_596_801, 0), timestamp::written(i64::MAX, 0)), (None, None));
}

#[test]
fn attributes_are_counted_before_they_are_kept() {
    let many: Vec<_> = (0..100_000).map(|number| format!(",\"x{number}\":0")).collect();
    assert!(read(&many.concat()).unwrap_err().contains("more than 128 attributes"));
    let body: Vec<u8> = (0..200).flat_map(|number| entry(&format!("x{number}"), b"\x10\x01")).collect();
    let fields = [field("content-type", "application/cloudevents+protobuf")];
    assert!(format!("{:?}", decode(&fields, &body)).contains("more than 128 attributes"));
}

#[test]
fn a_required_attribute_is_no_entry_of_the_map_wherever_it_stands() {
    let whole = [message(1, b"1"), message(2, b"/s"), message(3, b"1.0"), message(4, b"t")].concat();
    let (fields, other) = ([field("content-type", "application/cloudevents+protobuf")], message(3, b"2"));
    assert!(decode(&fields, &whole).is_ok());
    for body in [[entry("id", &other), whole.clone()].concat(), [whole, entry("id", &other)].concat()] {
        assert!(matches!(decode(&fields, &body), Err(Refusal::Invalid { attribute, .. }) if attribute == "id"));
    }
}

#[test]
fn a_refusal_repeats_no_name_of_any_length() {
    let name = "x".repeat(100_000);
    let header = format!("ce-{name}");
    let twice = [field(&header, "1"), field(&header, "1")];
    let protobuf = [field("content-type", "application/cloudevents+protobuf")];
    let bodies = [entry(&name, b"\x08"), entry(&name, &message(7, b"\x08")), entry(&name, b"")];
    let refusals = bodies.iter().map(|body| decode(&protobuf, body)).chain([decode(&twice, b"")]);
    for refusal in refusals {
        let Err(Refusal::Invalid { attribute, problem }) = refusal else { panic!() };
        assert!(attribute.len() == MAX_NAME_LENGTH && problem.len() < 400, "{} {}", attribute.len(), problem.len());
    }
}

#[test]
fn binary_mode_borrows_what_needs_no_decoding() {
    let fields = [
        field("ce-id", "1"),
        field("ce-source", "/s"),
        field("ce-type", "t"),
        field("ce-specversion", "1.0"),
        field("content-type", "text/plain"),
        field("ce-x", "\"a\\\"\\\\ b%25\""),
    ];
    let event = decode(&fields, b"data").unwrap();
    assert!(matches!(event.data, Some(Cow::Borrowed(b"data"))));
    assert!(matches!(event.attributes.get("source"), Some(Value::Text(Cow::Borrowed("/s")))));
    assert_eq!(event.attributes.get("x").unwrap().text(), "a\"\\ b%");
    assert_eq!(event.attributes.get("datacontenttype").unwrap().text(), "text/plain");
}

#[test]
fn modes_are_told_from_headers() {
    let mode = |fields: &[Field]| Mode::of(fields);
    assert_eq!(mode(&[field("content-type", "text/plain")]), None);
    assert_eq!(mode(&[field("content-type", "text/plain"), field("ce-specversion", "1.0")]), Some(Mode::Binary));
    assert_eq!(mode(&[field("ce-specversion", "1.0"), field("content-type", STRUCTURED)]), Some(Mode::Structured));
    assert_eq!(mode(&[field("content-type", " Application/CloudEvents-Batch+JSON;a=b")]), Some(Mode::Batch));
    assert!(is_json("application/json") && is_json("image/Svg+JSON ; q=1") && !is_json("application/jsonx"));
    assert!(!is_json("json"));
}

#[test]
fn a_value_is_written_as_the_binding_says() {
    for (text, header) in [("plain-~!", "plain-~!"), ("a b", "a%20b"), ("100%", "100%25"), ("\"€", "%22%E2%82%AC")] {
        assert_eq!(super::encode_value(text), header);
    }
}
