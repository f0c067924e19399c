//! Marks on an axis of time.

use serde::Serialize;

use super::position;
use crate::{clock::Moment, units};

/// A mark on an axis of points in time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TimeTick {
    /// In percent.
    pub(crate) x: String,
    pub(crate) moment: Moment,
    /// What of the moment is written: "date", "minute", "second" or "clock".
    pub(crate) show: &'static str,
    /// That, in UTC.
    pub(crate) label: String,
}

/// A mark on an axis of durations.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DurationTick {
    /// In percent.
    pub(crate) x: String,
    pub(crate) label: String,
}

/// Steps that people count time in, in nanoseconds.
const STEPS: [u64; 30] = [
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    units::SECOND,
    2 * units::SECOND,
    5 * units::SECOND,
    10 * units::SECOND,
    15 * units::SECOND,
    30 * units::SECOND,
    units::MINUTE,
    2 * units::MINUTE,
    5 * units::MINUTE,
    10 * units::MINUTE,
    15 * units::MINUTE,
    30 * units::MINUTE,
    units::HOUR,
    2 * units::HOUR,
    3 * units::HOUR,
    6 * units::HOUR,
    12 * units::HOUR,
    units::DAY,
    2 * units::DAY,
    7 * units::DAY,
    30 * units::DAY,
];

/// The smallest step that cuts a length into at most so many parts.
pub(crate) fn step(length: u64, parts_max: u64) -> u64 {
    let parts_max = parts_max.max(1);
    STEPS
        .into_iter()
        .find(|step| length.div_ceil(*step) <= parts_max)
        .unwrap_or_else(|| length.div_ceil(parts_max).next_multiple_of(units::DAY))
}

/// About five marks at round times between two points in time.
pub(crate) fn times(start: u64, end: u64) -> Vec<TimeTick> {
    let step = step(end.saturating_sub(start), 6);
    let show = match step {
        units::DAY.. => "date",
        units::MINUTE.. => "minute",
        units::SECOND.. => "second",
        _ => "clock",
    };
    std::iter::successors(start.checked_next_multiple_of(step), |at| {
        at.checked_add(step)
    })
    .take_while(|at| *at < end)
    .map(|at| {
        let moment = Moment::new(at);
        TimeTick {
            x: position(at, start, end),
            label: label(&moment, show),
            moment,
            show,
        }
    })
    .collect()
}

fn label(moment: &Moment, show: &str) -> String {
    let clock = |digits: usize| {
        moment
            .clock
            .get(..digits)
            .unwrap_or(&moment.clock)
            .to_owned()
    };
    match show {
        "date" => moment.date.clone(),
        "minute" => clock("14:03".len()),
        "second" => clock("14:03:07".len()),
        _ => moment.clock.clone(),
    }
}

/// Four quarters of a part of something that lasts, its start included; labels count from the start of the whole.
pub(crate) fn quarters_between(from: u64, to: u64) -> Vec<DurationTick> {
    let length = to.saturating_sub(from);
    (0..4_u64)
        .map(|quarter| {
            let at = from + (u128::from(length) * u128::from(quarter) / 4) as u64;
            DurationTick {
                x: (quarter * 25).to_string(),
                label: offset(at, length),
            }
        })
        .collect()
}

/// A time from the start of something, with as many digits as tell it from others in a part of that length:
/// `5.01234 s`, where three digits would do for the whole.
pub(crate) fn offset(nanos: u64, length: u64) -> String {
    const UNITS: [(u64, &str, u32); 3] = [
        (units::SECOND, "s", 9),
        (1_000_000, "ms", 6),
        (1_000, "µs", 3),
    ];
    let Some((unit, name, digits_max)) = UNITS.into_iter().find(|(unit, ..)| nanos >= *unit) else {
        return units::duration(nanos);
    };
    // A hundredth of the part can be told from the next.
    let step = (length / 100).max(1);
    let digits = (0..digits_max)
        .find(|digits| unit / 10_u64.pow(*digits) <= step)
        .unwrap_or(digits_max);
    let usual = match nanos / unit {
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    if digits <= usual {
        return units::duration(nanos);
    }
    let digits = digits as usize;
    format!("{:.digits$} {name}", nanos as f64 / unit as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_step_keeps_the_number_of_parts_bounded(length: u64, parts_max in 1_u64..200) {
            let step = step(length, parts_max);
            prop_assert!(step > 0);
            prop_assert!(length.div_ceil(step) <= parts_max);
        }

        #[test]
        fn there_are_never_many_marks(start: u64, length: u64) {
            prop_assert!(times(start, start.saturating_add(length)).len() <= 7);
        }
    }

    #[test]
    fn offsets_in_a_small_part_have_digits_enough() {
        for (nanos, length, text) in [
            (0, 100, "0 s"),
            (500, 1_000, "500 ns"),
            (5_012_345_678, 2_000, "5.01234568 s"),
            (5_012_345_678, 10_000_000, "5.0123 s"),
            (250_000_000, 1_000_000_000, "250 ms"),
            (75_000_000, 10_000_000, "75 ms"),
            (75_000_000, 1_000_000, "75.00 ms"),
        ] {
            assert_eq!(offset(nanos, length), text);
        }
        let labels: Vec<String> = quarters_between(100_000_000, 100_004_000)
            .into_iter()
            .map(|tick| tick.label)
            .collect();
        assert_eq!(
            labels,
            [
                "100.00000 ms",
                "100.00100 ms",
                "100.00200 ms",
                "100.00300 ms"
            ]
        );
    }
}
