//! Rates, errors and durations, as every page writes them.

use log_tracer_proto::v1::Rate;
use serde::Serialize;

use crate::{
    charts::ticks,
    units::{DAY, HOUR, MINUTE, SECOND, compact, count, duration, percent},
};

/// The quantiles that pages ask for, in the order of the fields of [`Red`].
pub(crate) const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// From this share of failed calls on, in percent, they are marked as a warning, and as an error.
const WARN_PERCENT: u64 = 1;
const ERROR_PERCENT: u64 = 5;

/// How many spans or calls there are, how many failed, and how long they took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Red {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    pub(crate) sum: u64,
    pub(crate) p50: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
}

impl Red {
    /// Of an answer to a question with [`QUANTILES`]. An answer with fewer has a duration of 0 there.
    pub(crate) fn new(rate: Option<&Rate>) -> Self {
        let Some(rate) = rate else {
            return Self::default();
        };
        let quantile = |at: usize| rate.quantiles_nano.get(at).copied().unwrap_or(0);
        Self {
            count: rate.count,
            // More failures than calls cannot be, whatever an answer says.
            errors: rate.errors.min(rate.count),
            sum: rate.sum_nano,
            p50: quantile(0),
            p95: quantile(1),
            p99: quantile(2),
        }
    }

    /// The share of errors, from 0 to 1.
    pub(crate) fn error_share(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.errors as f64 / self.count as f64
        }
    }

    /// As text, counted over so many nanoseconds.
    pub(crate) fn view(&self, nanos: u64) -> RedView {
        let time = |nanos: u64| {
            if self.count == 0 {
                String::new()
            } else {
                duration(nanos)
            }
        };
        RedView {
            any: self.count > 0,
            rate: if self.count == 0 {
                String::new()
            } else {
                frequency(self.count, nanos)
            },
            count: count(self.count),
            errors: if self.errors == 0 {
                String::new()
            } else {
                compact(self.errors)
            },
            error_share: percent(self.errors, self.count),
            tone: tone(self.errors, self.count),
            p50: time(self.p50),
            p95: time(self.p95),
            p99: time(self.p99),
        }
    }
}

/// Rates, errors and durations as text; empty where there was no call.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RedView {
    pub(crate) any: bool,
    /// "12.4/s".
    pub(crate) rate: String,
    pub(crate) count: String,
    /// Empty when there was none.
    pub(crate) errors: String,
    pub(crate) error_share: String,
    /// "", "warn" or "error".
    pub(crate) tone: &'static str,
    pub(crate) p50: String,
    pub(crate) p95: String,
    pub(crate) p99: String,
}

/// How a share of errors is marked: "", "warn" or "error". Below [`WARN_PERCENT`] it is not, since a few failures are
/// ordinary.
pub(crate) fn tone(errors: u64, count: u64) -> &'static str {
    let reaches =
        |share: u64| errors > 0 && errors.saturating_mul(100) >= count.saturating_mul(share);
    match () {
        () if reaches(ERROR_PERCENT) => "error",
        () if reaches(WARN_PERCENT) => "warn",
        () => "",
    }
}

/// So many in so many nanoseconds, in the unit that leaves a number of one or more: `1.2k/s`, `12.4/s`, `42/min`, `3/h`,
/// `2/d`; fewer than one a day are given as their number.
pub(crate) fn frequency(number: u64, nanos: u64) -> String {
    let (number_f, nanos_f) = (number as f64, nanos.max(1) as f64);
    for (unit, name) in [(SECOND, "s"), (MINUTE, "min"), (HOUR, "h"), (DAY, "d")] {
        let rate = number_f * unit as f64 / nanos_f;
        if rate >= 0.995 {
            return match rate {
                // Whole numbers below 10,000 fit; above them the unit of thousands does.
                _ if rate >= 99.5 => format!("{}/{name}", compact(rate.round() as u64)),
                _ if rate >= 9.95 || rate.fract() < 0.05 => format!("{rate:.0}/{name}"),
                _ => format!("{rate:.1}/{name}"),
            };
        }
    }
    count(number)
}

/// The step of rates between two times: a multiple of a minute that makes so many steps at most.
pub(crate) fn step(start: u64, end: u64, steps_max: u64) -> u64 {
    // One less, since aligned steps stick out on both sides. Every step of a minute and more is whole minutes.
    ticks::step(
        end.saturating_sub(start),
        steps_max.saturating_sub(1).max(1),
    )
    .max(MINUTE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frequency_is_written_in_the_unit_that_suits_it() {
        for (number, nanos, text) in [
            (0, MINUTE, "0"),
            (60, MINUTE, "1/s"),
            (744, MINUTE, "12/s"),
            (93, MINUTE, "1.6/s"),
            (42, MINUTE, "42/min"),
            (3, HOUR, "3/h"),
            (2, DAY, "2/d"),
            (1, 7 * DAY, "1"),
            (1_234_000, SECOND, "1.2M/s"),
            (50, 0, "50B/s"),
        ] {
            assert_eq!(frequency(number, nanos), text);
        }
    }

    #[test]
    fn few_errors_are_not_marked_and_many_are() {
        assert_eq!(tone(0, 0), "");
        assert_eq!(tone(1, 1_000), "");
        assert_eq!(tone(1, 100), "warn");
        assert_eq!(tone(1, 20), "error");
    }

    proptest! {
        #[test]
        fn rates_never_have_more_steps_than_asked_for(start in 0_u64..1 << 62, length in 0_u64..1 << 61, max in 2_u64..200) {
            let step = step(start, start + length, max);
            prop_assert_eq!(step % MINUTE, 0);
            let steps = (start + length).div_ceil(step) - start / step;
            prop_assert!(steps <= max, "{} of {}", steps, step);
        }

        #[test]
        fn any_numbers_are_shown(count: u64, errors: u64, nanos: u64, p95: u64) {
            let rate = Rate { count, errors, quantiles_nano: vec![0, p95], ..Rate::default() };
            let view = Red::new(Some(&rate)).view(nanos);
            prop_assert_eq!(view.any, count > 0);
        }
    }
}
