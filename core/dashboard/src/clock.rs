//! Points in time: nanoseconds since 1970 to text in UTC, and back.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::Serialize;

/// A point in time as the pages show it. The script on the page writes the visitor's own zone where it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Moment {
    /// RFC 3339 in UTC with all nine digits: for machines and for titles.
    pub(crate) iso: String,
    /// `2026-03-01`.
    pub(crate) date: String,
    /// `14:03:07.123`.
    pub(crate) clock: String,
    /// `03-01 14:03:07`.
    pub(crate) stamp: String,
}

impl Moment {
    /// Of nanoseconds since 1970-01-01T00:00:00Z; every u64 is a time before the year 2555.
    pub(crate) fn new(unix_nano: u64) -> Self {
        let Ok(time) = Timestamp::from_nanosecond(i128::from(unix_nano)) else {
            // Out of jiff's range, which a u64 cannot reach.
            return Self {
                iso: String::new(),
                date: String::new(),
                clock: unix_nano.to_string(),
                stamp: String::new(),
            };
        };
        let time = time.to_zoned(TimeZone::UTC).datetime();
        Self {
            iso: format!("{}T{}Z", time.date(), clock(&time, 9)),
            date: time.date().to_string(),
            clock: clock(&time, 3),
            stamp: format!(
                "{:02}-{:02} {:02}:{:02}:{:02}",
                time.month(),
                time.day(),
                time.hour(),
                time.minute(),
                time.second()
            ),
        }
    }
}

fn clock(time: &DateTime, digits: usize) -> String {
    let nanos = format!("{:09}", time.subsec_nanosecond());
    format!(
        "{:02}:{:02}:{:02}.{}",
        time.hour(),
        time.minute(),
        time.second(),
        nanos.get(..digits).unwrap_or(&nanos)
    )
}

/// A time as the URL writes it: RFC 3339 in UTC with as many digits as it needs.
pub(crate) fn to_param(unix_nano: u64) -> String {
    Timestamp::from_nanosecond(i128::from(unix_nano))
        .map_or_else(|_| String::new(), |time| time.to_string())
}

/// Reads RFC 3339 with a zone, or a date and time without one as UTC; the error says what was expected.
pub(crate) fn from_param(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let time = text
        .parse::<Timestamp>()
        .or_else(|_| {
            text.parse::<DateTime>()
                .and_then(|time| time.to_zoned(TimeZone::UTC))
                .map(|time| time.timestamp())
        })
        .map_err(|_| format!("`{text}` is not a time; write it like 2026-03-01T14:03:07Z"))?;
    u64::try_from(time.as_nanosecond())
        .map_err(|_| format!("`{text}` is not between the years 1970 and 2554"))
}

/// The time now.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_is_written_in_utc() {
        let moment = Moment::new(1_772_373_787_123_456_789);
        assert_eq!(moment.iso, "2026-03-01T14:03:07.123456789Z");
        assert_eq!(moment.date, "2026-03-01");
        assert_eq!(moment.clock, "14:03:07.123");
        assert_eq!(Moment::new(0).clock, "00:00:00.000");
        assert!(Moment::new(u64::MAX).iso.starts_with("2554-"));
    }

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let want = 1_772_373_787_000_000_000;
        for text in [
            "2026-03-01T14:03:07Z",
            "2026-03-01T15:03:07+01:00",
            "2026-03-01T14:03:07",
            "2026-03-01 14:03:07",
        ] {
            assert_eq!(from_param(text), Ok(want), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "1960-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
        ] {
            assert!(from_param(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_in_the_url_reads_back_exactly(nanos: u64) {
            prop_assert_eq!(from_param(&to_param(nanos)), Ok(nanos));
        }
    }
}
