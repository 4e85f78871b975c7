//! Moments as attributes tell them: RFC 3339, section 5.6.

use crate::ascii::{parse_decimal, push_padded};
use crate::calendar::{civil, days_in_month};

/// Seconds from 1970 to the beginning of the year 1, and to the end of the year 9999.
const YEAR_1: i64 = -62_135_596_800;
const YEAR_10000: i64 = 253_402_300_800;

/// Return whether `text` is a moment that there is or was; a leap second may be any minute's.
pub fn is_timestamp(text: &str) -> bool {
    let Some((moment, rest)) = text.as_bytes().split_at_checked(19) else { return false };
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
        None => rest,
    };
    is_moment(moment) && is_offset(rest)
}

/// `YYYY-MM-DDThh:mm:ss`
fn is_moment(text: &[u8]) -> bool {
    let marks = [(4, b"--"), (7, b"--"), (10, b"Tt"), (13, b"::"), (16, b"::")];
    if !marks.iter().all(|(at, either)| text.get(*at).is_some_and(|byte| either.contains(byte))) {
        return false;
    }
    let number = |from: usize, to: usize| text.get(from..to).and_then(parse_decimal);
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else { return false };
    let (Some(hour), Some(minute), Some(second)) = (number(11, 13), number(14, 16), number(17, 19)) else {
        return false;
    };
    year > 0 && (1..=days_in_month(year, month)).contains(&day) && hour < 24 && minute < 60 && second <= 60
}

/// `Z`, or how far a clock is ahead of UTC or behind.
fn is_offset(text: &[u8]) -> bool {
    match text {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', hour @ .., b':', _, _] if hour.len() == 2 => {
            let minute = text.get(4..).and_then(parse_decimal);
            parse_decimal(hour).is_some_and(|hour| hour < 24) && minute.is_some_and(|minute| minute < 60)
        }
        _ => false,
    }
}

/// Return the text of a moment in seconds since 1970; `None` outside the years 1 to 9999, which have four digits.
pub fn written(seconds: i64, nanoseconds: u32) -> Option<String> {
    if !(YEAR_1..YEAR_10000).contains(&seconds) {
        return None;
    }
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400).unsigned_abs();
    let mut text = Vec::with_capacity(30);
    push_padded(&mut text, year.unsigned_abs(), 4);
    let parts = [(b'-', month), (b'-', day), (b'T', of_day / 3_600), (b':', of_day / 60 % 60), (b':', of_day % 60)];
    for (mark, number) in parts {
        text.push(mark);
        push_padded(&mut text, number, 2);
    }
    if nanoseconds > 0 {
        text.push(b'.');
        push_padded(&mut text, u64::from(nanoseconds), 9);
        while text.last() == Some(&b'0') {
            text.pop();
        }
    }
    text.push(b'Z');
    String::from_utf8(text).ok()
}
