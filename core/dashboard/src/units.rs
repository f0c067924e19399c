//! Numbers for people: durations, counts, bytes and ages, and durations back from text.

const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a minute.
pub(crate) const MINUTE: u64 = 60 * SECOND;
/// Nanoseconds in an hour.
pub(crate) const HOUR: u64 = 60 * MINUTE;
/// Nanoseconds in a day.
pub(crate) const DAY: u64 = 24 * HOUR;

/// A duration in three significant digits: `412 ns`, `3.07 ms`, `1.24 s`, `2 m 05 s`, `3 h 12 m`, `4 d 6 h`.
pub(crate) fn duration(nanos: u64) -> String {
    // A value that would round up to 1000 of its unit is written in the next one.
    match nanos {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{nanos} ns"),
        1_000..999_500 => in_unit(nanos, 1_000, "µs"),
        999_500..999_500_000 => in_unit(nanos, 1_000_000, "ms"),
        999_500_000..MINUTE => in_unit(nanos, SECOND, "s"),
        MINUTE..HOUR => format!("{} m {:02} s", nanos / MINUTE, nanos % MINUTE / SECOND),
        HOUR..DAY => format!("{} h {:02} m", nanos / HOUR, nanos % HOUR / MINUTE),
        _ => format!("{} d {} h", nanos / DAY, nanos % DAY / HOUR),
    }
}

fn in_unit(nanos: u64, unit: u64, name: &str) -> String {
    let value = nanos as f64 / unit as f64;
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    let number = format!("{value:.digits$}");
    // 2.00 ms says no more than 2 ms.
    let number = match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => number,
    };
    format!("{number} {name}")
}

/// A duration as the query language and the URL write it, without loss: `250ms`, `90s`, `1h`.
pub(crate) fn duration_term(nanos: u64) -> String {
    let exact = UNITS
        .iter()
        .rev()
        .find(|(name, unit)| *name != "µs" && nanos >= *unit && nanos.is_multiple_of(*unit));
    match exact {
        Some((name, unit)) => format!("{}{name}", nanos / unit),
        None => format!("{nanos}ns"),
    }
}

/// Reads `250ms`, `1.5 s`, `2m`; the error says what was expected.
pub(crate) fn parse_duration(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let expected = || {
        format!("`{text}` is not a duration; write a number and a unit, such as 250ms, 1.5s or 2m")
    };
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(expected)?;
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| expected())?;
    let unit = unit.trim();
    let (_, nanos) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(expected)?;
    let value = number * *nanos as f64;
    if !value.is_finite() || value >= u64::MAX as f64 {
        return Err(format!("`{text}` is longer than this program can count"));
    }
    // Rounds a fraction of a nanosecond; the value is below u64::MAX and not negative.
    Ok(value.round() as u64)
}

/// A count with separators: `1,284,003`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count where room is short: `987`, `12.4k`, `3.1M`, `2B`.
pub(crate) fn compact(number: u64) -> String {
    let (unit, name) = match number {
        0..10_000 => return count(number),
        10_000..1_000_000 => (1_000, "k"),
        1_000_000..1_000_000_000 => (1_000_000, "M"),
        _ => (1_000_000_000, "B"),
    };
    let tenths = number / (unit / 10);
    match tenths % 10 {
        0 => format!("{}{name}", count(tenths / 10)),
        tenth => format!("{}.{tenth}{name}", count(tenths / 10)),
    }
}

/// "1 span", "2 spans".
pub(crate) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Bytes in binary units: `512 B`, `1.4 KiB`, `12.5 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const NAMES: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut names = NAMES.iter();
    let mut name = names.next().copied().unwrap_or_default();
    for next in names {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = next;
    }
    if value < 99.95 && value.fract() > 0.05 {
        format!("{value:.1} {name}")
    } else {
        format!("{value:.0} {name}")
    }
}

/// How long ago a time was: `12 s ago`, `3 min ago`; a clock that is ahead gives `in 4 s`.
pub(crate) fn age(now: u64, then: u64) -> String {
    let (nanos, before, after) = if now >= then {
        (now - then, "", " ago")
    } else {
        (then - now, "in ", "")
    };
    if nanos < SECOND {
        return "just now".to_owned();
    }
    let text = match nanos {
        0..MINUTE => format!("{} s", nanos / SECOND),
        MINUTE..HOUR => format!("{} min", nanos / MINUTE),
        HOUR..DAY => format!("{} h", nanos / HOUR),
        _ => format!("{} d", nanos / DAY),
    };
    format!("{before}{text}{after}")
}

/// A share in percent: `0%`, `<0.1%`, `3.4%`, `57%`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0%".to_owned();
    }
    let share = 100.0 * part as f64 / whole as f64;
    match share {
        _ if share < 0.1 => "<0.1%".to_owned(),
        _ if share < 9.95 => format!("{share:.1}%"),
        _ => format!("{share:.0}%"),
    }
}

/// A text cut to so many characters, with an ellipsis where something is missing.
pub(crate) fn clip(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        for (nanos, text) in [
            (0, "0 s"),
            (412, "412 ns"),
            (3_070, "3.07 µs"),
            (2_000_000, "2 ms"),
            (123_456_789, "123 ms"),
            (999_600_000, "1 s"),
            (1_240_000_000, "1.24 s"),
            (59_940_000_000, "59.9 s"),
            (125 * SECOND, "2 m 05 s"),
            (3 * HOUR + 12 * MINUTE, "3 h 12 m"),
            (4 * DAY + 6 * HOUR, "4 d 6 h"),
        ] {
            assert_eq!(duration(nanos), text);
        }
        assert!(duration(u64::MAX).ends_with('h'));
    }

    #[test]
    fn a_duration_needs_a_number_and_a_unit() {
        assert_eq!(parse_duration(" 250ms "), Ok(250_000_000));
        assert_eq!(parse_duration("1.5 s"), Ok(1_500_000_000));
        assert_eq!(parse_duration("2m"), Ok(2 * MINUTE));
        for bad in [
            "",
            "12",
            "ms",
            "1.2.3s",
            "5 parsecs",
            "-3s",
            "99999999999999999h",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_bytes_ages_and_shares_are_short() {
        assert_eq!(count(1_284_003), "1,284,003");
        assert_eq!(compact(12_480), "12.4k");
        assert_eq!(compact(3_000_000), "3M");
        assert_eq!(plural(1, "span", "spans"), "1 span");
        assert_eq!(bytes(1024), "1 KiB");
        assert_eq!(bytes(13_107_200), "12.5 MiB");
        assert_eq!(age(10 * SECOND, 7 * SECOND), "3 s ago");
        assert_eq!(age(0, 4 * SECOND), "in 4 s");
        assert_eq!(percent(1, 3), "33%");
        assert_eq!(percent(1, 100_000), "<0.1%");
        assert_eq!(clip("héllo wörld", 6), "héllo…");
    }

    proptest! {
        #[test]
        fn a_duration_term_reads_back_exactly(nanos in 0_u64..1 << 52) {
            prop_assert_eq!(parse_duration(&duration_term(nanos)), Ok(nanos));
        }
    }
}
