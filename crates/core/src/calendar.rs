//! Days and dates of the proleptic Gregorian calendar.

/// Days from 1 March of the year 0, with which the first era begins, to 1970.
const BEFORE_1970: i64 = 719_468;

/// Days of 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;

/// Return (year, month, day) of a day since 1970: years that begin in March, so that the leap day is the last.
pub fn civil(day: i64) -> (i64, u64, u64) {
    let shifted = day + BEFORE_1970;
    let (era, in_era) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + late, month.unsigned_abs(), day.unsigned_abs())
}

/// Return how many days a month has; 0 when there is no such month.
pub fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!((civil(0), civil(19_782), civil(20_088)), ((1970, 1, 1), (2024, 2, 29), (2024, 12, 31)));
        assert_eq!((civil(-1), civil(-719_162), civil(2_932_896)), ((1969, 12, 31), (1, 1, 1), (9999, 12, 31)));
    }

    #[test]
    fn months_are_as_long_as_the_days_say() {
        for day in -719_162..100_000 {
            let (year, month, date) = civil(day);
            let last = days_in_month(year.unsigned_abs(), month);
            let ends = civil(day + 1).1 != month;
            assert_eq!(ends, date == last, "{year}-{month}-{date}");
        }
        assert_eq!(days_in_month(2024, 13), 0);
    }
}
