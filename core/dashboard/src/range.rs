//! The time range of a page.

use log_tracer_proto::v1::TimeRange;
use serde::Serialize;

use crate::{
    clock::{self, Moment},
    fault::Fault,
    params::{Link, Params},
    units::{self, DAY, HOUR, MINUTE},
};

/// The ranges that the select offers, by their parameter.
const PRESETS: [(&str, u64, &str); 7] = [
    ("5m", 5 * MINUTE, "Last 5 minutes"),
    ("15m", 15 * MINUTE, "Last 15 minutes"),
    ("1h", HOUR, "Last hour"),
    ("6h", 6 * HOUR, "Last 6 hours"),
    ("24h", DAY, "Last 24 hours"),
    ("7d", 7 * DAY, "Last 7 days"),
    (ALL, 0, "All time"),
];

const ALL: &str = "all";

/// A range as the URL gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// Up to now, so many nanoseconds back.
    Last(u64),
    /// Between two times, in nanoseconds; an end of 0 is no end.
    Between(u64, u64),
    /// All that is kept.
    All,
}

impl Range {
    /// What a page shows when the URL names no range.
    pub(crate) const DEFAULT: Self = Self::Last(HOUR);

    /// Reads `range`, or else `from` and `to`. A form sends all three; there, choosing a range decides.
    pub(crate) fn read(params: &Params) -> Result<Self, Fault> {
        if let Some(range) = params.read("range", Self::parse)? {
            return Ok(range);
        }
        let from = params.read("from", clock::from_param)?;
        let to = params.read("to", clock::from_param)?;
        match (from, to) {
            (None, None) => Ok(Self::DEFAULT),
            (Some(from), Some(to)) if to <= from => Err(Fault::input(
                "to: the end of the range must be after its start",
            )),
            (from, to) => Ok(Self::Between(from.unwrap_or(0), to.unwrap_or(0))),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text == ALL {
            return Ok(Self::All);
        }
        let days = text
            .strip_suffix('d')
            .and_then(|days| days.parse::<u64>().ok());
        let nanos = match days {
            Some(days) => days
                .checked_mul(DAY)
                .ok_or_else(|| format!("`{text}` is too long"))?,
            None => units::parse_duration(text)
                .map_err(|_| format!("`{text}` is not a range; write 15m, 6h, 7d or all"))?,
        };
        match nanos {
            0 => Err("a range of no length holds nothing".to_owned()),
            _ => Ok(Self::Last(nanos)),
        }
    }

    /// The bounds in nanoseconds, as requests take them.
    pub(crate) fn bounds(self, now: u64) -> TimeRange {
        let (start_unix_nano, end_unix_nano) = match self {
            // No end: a sender's clock may be ahead of ours.
            Self::Last(nanos) => (now.saturating_sub(nanos), 0),
            Self::Between(from, to) => (from, to),
            Self::All => (0, 0),
        };
        TimeRange {
            start_unix_nano,
            end_unix_nano,
        }
    }

    /// The same with both ends, for a chart: without a start it begins at the oldest record, without an end it ends at
    /// the newest record or now.
    pub(crate) fn closed(self, now: u64, kept: Option<(u64, u64)>) -> (u64, u64) {
        let TimeRange {
            start_unix_nano: start,
            end_unix_nano: end,
        } = self.bounds(now);
        let (oldest, newest) = kept.unwrap_or((now.saturating_sub(HOUR), now));
        let end = match (end, self) {
            (0, Self::Last(_)) => now,
            (0, _) => newest.max(oldest).saturating_add(1),
            (end, _) => end,
        };
        let start = if start == 0 { oldest } else { start };
        // At least a microsecond, so that a chart has a width.
        (start.min(end.saturating_sub(1_000)), end)
    }

    /// Writes the range into a link; the default is left away.
    pub(crate) fn write(self, link: Link) -> Link {
        let link = link.with("range", "").with("from", "").with("to", "");
        match self {
            Self::DEFAULT => link,
            Self::Last(_) | Self::All => link.with("range", self.term()),
            Self::Between(from, to) => {
                let link = if from == 0 {
                    link
                } else {
                    link.with("from", clock::to_param(from))
                };
                if to == 0 {
                    link
                } else {
                    link.with("to", clock::to_param(to))
                }
            }
        }
    }

    fn term(self) -> String {
        match self {
            Self::Last(nanos) if nanos.is_multiple_of(DAY) && nanos > DAY => {
                format!("{}d", nanos / DAY)
            }
            Self::Last(nanos) => units::duration_term(nanos),
            Self::Between(..) => String::new(),
            Self::All => ALL.to_owned(),
        }
    }

    /// For the select and the fields beside it.
    pub(crate) fn view(self) -> RangeView {
        let term = self.term();
        let mut options: Vec<RangeOption> = PRESETS
            .iter()
            .map(|(value, nanos, label)| RangeOption {
                value: (*value).to_owned(),
                label: (*label).to_owned(),
                selected: match self {
                    Self::Last(own) => own == *nanos,
                    Self::All => *value == ALL,
                    Self::Between(..) => false,
                },
            })
            .collect();
        if let (Self::Last(nanos), false) = (self, options.iter().any(|option| option.selected)) {
            options.push(RangeOption {
                value: term,
                label: format!("Last {}", units::duration(nanos)),
                selected: true,
            });
        }
        let (from, to) = match self {
            Self::Between(from, to) => (from, to),
            Self::Last(_) | Self::All => (0, 0),
        };
        options.push(RangeOption {
            value: String::new(),
            label: "Between two times".to_owned(),
            selected: matches!(self, Self::Between(..)),
        });
        RangeView {
            options,
            absolute: matches!(self, Self::Between(..)),
            from: input_value(from),
            to: input_value(to),
            words: self.words(),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Last(nanos) => PRESETS
                .iter()
                .find(|(_, own, _)| *own == nanos)
                .map_or_else(
                    || format!("the last {}", units::duration(nanos)),
                    |(_, _, label)| format!("the {}", label.to_lowercase()),
                ),
            Self::Between(..) => "the chosen range".to_owned(),
            Self::All => "all that is kept".to_owned(),
        }
    }
}

/// A time as the value of a date and time field, which has no zone: UTC.
fn input_value(unix_nano: u64) -> String {
    match unix_nano {
        0 => String::new(),
        time => {
            let moment = Moment::new(time);
            format!("{}T{}", moment.date, moment.clock)
        }
    }
}

/// A range for the search form.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RangeView {
    options: Vec<RangeOption>,
    /// Whether two times were chosen instead of one of the options.
    absolute: bool,
    /// The values of the fields for the two times.
    from: String,
    to: String,
    /// "the last 15 minutes".
    words: String,
}

#[derive(Clone, Debug, Serialize)]
struct RangeOption {
    value: String,
    label: String,
    selected: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(raw: &str) -> Result<Range, Fault> {
        Range::read(&Params::parse(raw).unwrap())
    }

    #[test]
    fn a_range_is_relative_absolute_or_everything() {
        assert_eq!(read(""), Ok(Range::DEFAULT));
        assert_eq!(read("range=15m"), Ok(Range::Last(15 * MINUTE)));
        assert_eq!(read("range=7d"), Ok(Range::Last(7 * DAY)));
        assert_eq!(read("range=all"), Ok(Range::All));
        let from = clock::from_param("2026-03-01T14:00:00Z").unwrap();
        assert_eq!(
            read("from=2026-03-01T14:00&range="),
            Ok(Range::Between(from, 0))
        );
        assert_eq!(
            read("from=2026-03-01T14:00&range=5m"),
            Ok(Range::Last(5 * MINUTE))
        );
    }

    #[test]
    fn a_range_that_makes_no_sense_is_refused() {
        for raw in [
            "range=soon",
            "range=0s",
            "range=99999999999999999999d",
            "from=x",
            "from=2026-01-02T00:00&to=2026-01-01T00:00",
        ] {
            assert!(read(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_chart_always_has_a_width() {
        for range in [
            Range::All,
            Range::Between(5, 6),
            Range::Between(0, 1),
            Range::Last(1),
            Range::DEFAULT,
        ] {
            for kept in [None, Some((7, 7)), Some((0, u64::MAX))] {
                for now in [0, 1, HOUR, u64::MAX] {
                    let (start, end) = range.closed(now, kept);
                    assert!(start <= end, "{range:?} {kept:?} {now}");
                }
            }
        }
    }

    fn ranges() -> impl Strategy<Value = Range> {
        prop_oneof![
            (1_u64..1 << 50).prop_map(Range::Last),
            (1_u64..400).prop_map(|days| Range::Last(days * DAY)),
            (1_u64..1 << 60, 1_u64..1 << 60)
                .prop_map(|(from, length)| Range::Between(from, from + length)),
            Just(Range::All),
        ]
    }

    proptest! {
        #[test]
        fn a_range_survives_its_link(range in ranges()) {
            let link = range.write(Link::to("/logs")).to_string();
            let raw = link.split_once('?').map_or("", |(_, raw)| raw);
            prop_assert_eq!(read(raw), Ok(range));
        }
    }
}
