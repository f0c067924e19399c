//! What changed against the range before: services that came or went, and shifts of rate, errors and durations.
//!
//! A page that cries wolf is not read, so a shift is named only when it is large enough to matter and larger than chance
//! would make it, given how few calls there may be:
//!
//! - **Rate**: by half at least (`×1.5` or `÷1.5`), and four standard deviations of a Poisson count. Calls come in
//!   bunches, a trace at a time, which makes their count vary more than Poisson's; hence four and not three.
//! - **Errors**: the share differs by one percentage point at least, by three standard deviations of the difference
//!   of two proportions (pooled), and at least five calls failed on the side with more.
//! - **p95**: by a quarter at least, and by a factor of `exp(3 · 2.1 · sqrt(1/n + 1/m))` for `n` and `m` calls. 2.1 is
//!   the standard deviation of the logarithm of a 95th percentile, times the root of the number of calls, when the
//!   durations are log-normal with a sigma of one, which is wider than those of most operations. 100 calls on each side
//!   need a factor of 2.4, 1,000 need 1.33. Below 40 calls on a side there is no 95th percentile to speak of.
//! - **New**: no span before and at least one now. **Silent**: none now, and at least ten were due.
//! - **Error logs**: like a rate, and at least five records on the side with more.
//!
//! When the range before lies before the oldest record, nothing is compared; when it lies there in part, the part that
//! could hold records counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    red::{Red, frequency},
    units::{duration, percent},
};

const RATE_FACTOR_MIN: f64 = 1.5;
const RATE_DEVIATIONS_MIN: f64 = 4.0;
const ERROR_SHARE_MIN: f64 = 0.01;
const ERROR_DEVIATIONS_MIN: f64 = 3.0;
const ERRORS_MIN: u64 = 5;
const P95_FACTOR_MIN: f64 = 1.25;
const P95_SPREAD: f64 = 3.0 * 2.1;
const P95_CALLS_MIN: u64 = 40;
const SILENT_DUE_MIN: f64 = 10.0;

/// What was counted in one range.
#[derive(Clone, Debug, Default)]
pub(super) struct Side<'a> {
    /// Its length in nanoseconds, as far as it can hold records; 0 when it cannot.
    pub(super) nanos: u64,
    pub(super) spans: BTreeMap<&'a str, Red>,
    /// Log records of severity ERROR and above.
    pub(super) error_logs: BTreeMap<&'a str, u64>,
}

/// Which kind of change; in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Errors,
    Silent,
    P95,
    ErrorLogs,
    New,
    Rate,
}

/// A change of a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change<'a> {
    pub(super) what: What,
    pub(super) service: &'a str,
    /// "bad", "good" or "" where it is neither.
    pub(super) tone: &'static str,
    /// "p95".
    pub(super) name: &'static str,
    /// "120 ms"; empty where there is nothing to say of before.
    pub(super) before: String,
    pub(super) after: String,
    /// "×2.6"; empty where it says nothing.
    pub(super) factor: String,
    /// How large it is, to sort by: the logarithm of the factor.
    weight: f64,
}

/// All changes: what is bad first, by kind, the largest first.
pub(super) fn compare<'a>(before: &Side<'a>, after: &Side<'a>) -> Vec<Change<'a>> {
    if before.nanos == 0 || after.nanos == 0 {
        return Vec::new();
    }
    let services: BTreeSet<&str> = [before, after]
        .into_iter()
        .flat_map(|side| side.spans.keys().chain(side.error_logs.keys()).copied())
        .collect();
    let mut changes: Vec<Change<'a>> = services
        .into_iter()
        .flat_map(|service| of_service(service, before, after))
        .collect();
    let rank = |change: &Change<'_>| match change.tone {
        "bad" => 0,
        "" => 1,
        _ => 2,
    };
    changes.sort_by(|a, b| {
        rank(a)
            .cmp(&rank(b))
            .then(a.what.cmp(&b.what))
            .then(b.weight.total_cmp(&a.weight))
            .then(a.service.cmp(b.service))
    });
    changes
}

fn of_service<'a>(service: &'a str, before: &Side<'a>, after: &Side<'a>) -> Vec<Change<'a>> {
    let spans = |side: &Side<'a>| side.spans.get(service).copied().unwrap_or_default();
    let logs = |side: &Side<'a>| side.error_logs.get(service).copied().unwrap_or(0);
    let (was, is) = (spans(before), spans(after));
    let lengths = (before.nanos, after.nanos);
    let calls = if was.count == 0 || is.count == 0 {
        vec![came_or_went(service, was, is, lengths)]
    } else {
        vec![
            errors(service, was, is),
            p95(service, was, is),
            rate(service, was, is, lengths),
        ]
    };
    calls
        .into_iter()
        .chain([error_logs(service, logs(before), logs(after), lengths)])
        .flatten()
        .collect()
}

fn came_or_went(service: &str, was: Red, is: Red, lengths: (u64, u64)) -> Option<Change<'_>> {
    let change = |what, tone, name, before, after, weight| Change {
        what,
        service,
        tone,
        name,
        before,
        after,
        factor: String::new(),
        weight,
    };
    let (was_nanos, is_nanos) = lengths;
    let due = was.count as f64 * is_nanos as f64 / was_nanos as f64;
    if was.count == 0 && is.count > 0 {
        let rate = frequency(is.count, is_nanos);
        return Some(change(
            What::New,
            "",
            "new",
            String::new(),
            rate,
            is.count as f64,
        ));
    }
    (is.count == 0 && due >= SILENT_DUE_MIN).then(|| {
        let rate = frequency(was.count, was_nanos);
        change(
            What::Silent,
            "bad",
            "silent",
            rate,
            "no spans".to_owned(),
            due,
        )
    })
}

fn errors(service: &str, was: Red, is: Red) -> Option<Change<'_>> {
    let difference = is.error_share() - was.error_share();
    let calls = (was.count as f64, is.count as f64);
    let pooled = (was.errors as f64 + is.errors as f64) / (calls.0 + calls.1);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / calls.0 + 1.0 / calls.1)).sqrt();
    let failed = if difference > 0.0 {
        is.errors
    } else {
        was.errors
    };
    let is_shift = difference.abs() >= ERROR_SHARE_MIN
        && difference.abs() >= ERROR_DEVIATIONS_MIN * deviation
        && failed >= ERRORS_MIN;
    is_shift.then(|| Change {
        what: What::Errors,
        service,
        tone: if difference > 0.0 { "bad" } else { "good" },
        name: "errors",
        before: percent(was.errors, was.count),
        after: percent(is.errors, is.count),
        factor: String::new(),
        weight: difference.abs(),
    })
}

fn p95(service: &str, was: Red, is: Red) -> Option<Change<'_>> {
    if was.count.min(is.count) < P95_CALLS_MIN {
        return None;
    }
    let factor = is.p95.max(1) as f64 / was.p95.max(1) as f64;
    let chance = P95_SPREAD * (1.0 / was.count as f64 + 1.0 / is.count as f64).sqrt();
    let weight = factor.ln().abs();
    (weight >= chance.max(P95_FACTOR_MIN.ln())).then(|| Change {
        what: What::P95,
        service,
        tone: if factor > 1.0 { "bad" } else { "good" },
        name: "p95",
        before: duration(was.p95),
        after: duration(is.p95),
        factor: times(factor),
        weight,
    })
}

fn rate(service: &str, was: Red, is: Red, lengths: (u64, u64)) -> Option<Change<'_>> {
    let factor = shift((was.count, is.count), lengths)?;
    Some(Change {
        what: What::Rate,
        service,
        tone: "",
        name: "rate",
        before: frequency(was.count, lengths.0),
        after: frequency(is.count, lengths.1),
        factor: times(factor),
        weight: factor.ln().abs(),
    })
}

fn error_logs(service: &str, was: u64, is: u64, lengths: (u64, u64)) -> Option<Change<'_>> {
    if was.max(is) < ERRORS_MIN {
        return None;
    }
    let factor = shift((was, is), lengths)?;
    Some(Change {
        what: What::ErrorLogs,
        service,
        tone: if factor > 1.0 { "bad" } else { "good" },
        name: "error logs",
        before: if was == 0 {
            "none".to_owned()
        } else {
            frequency(was, lengths.0)
        },
        after: if is == 0 {
            "none".to_owned()
        } else {
            frequency(is, lengths.1)
        },
        factor: if was.min(is) == 0 {
            String::new()
        } else {
            times(factor)
        },
        weight: factor.ln().abs(),
    })
}

/// By what factor a rate changed, when that is more than chance. A count of none is taken as one half.
fn shift((was, is): (u64, u64), (was_nanos, is_nanos): (u64, u64)) -> Option<f64> {
    // In calls of an equal time, so that lengths of any size do not matter.
    let scale = was_nanos as f64 / is_nanos as f64;
    let (was, is) = (was as f64, is as f64);
    let deviation = (was + is * scale * scale).sqrt();
    let factor = is.max(0.5) * scale / was.max(0.5);
    let is_shift = (is * scale - was).abs() >= RATE_DEVIATIONS_MIN * deviation
        && factor.ln().abs() >= RATE_FACTOR_MIN.ln();
    is_shift.then_some(factor)
}

/// "×2.6", "÷3".
fn times(factor: f64) -> String {
    let (sign, factor) = if factor >= 1.0 {
        ('×', factor)
    } else {
        ('÷', 1.0 / factor)
    };
    if factor < 9.95 {
        let text = format!("{factor:.1}");
        format!("{sign}{}", text.trim_end_matches(".0"))
    } else {
        format!("{sign}{factor:.0}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::HOUR;

    fn red(count: u64, errors: u64, p95_ms: u64) -> Red {
        Red {
            count,
            errors,
            p95: p95_ms * 1_000_000,
            ..Red::default()
        }
    }

    fn side(spans: &[(&'static str, Red)]) -> Side<'static> {
        Side {
            nanos: HOUR,
            spans: spans.iter().copied().collect(),
            error_logs: BTreeMap::new(),
        }
    }

    fn whats(before: Red, after: Red) -> Vec<What> {
        compare(&side(&[("a", before)]), &side(&[("a", after)]))
            .iter()
            .map(|change| change.what)
            .collect()
    }

    #[test]
    fn a_service_comes_and_goes() {
        let known = side(&[("a", red(100, 0, 1))]);
        let other = side(&[("b", red(1, 0, 1))]);
        let changes = compare(&known, &other);
        let seen: Vec<_> = changes.iter().map(|c| (c.what, c.service)).collect();
        assert_eq!(seen, [(What::Silent, "a"), (What::New, "b")]);
        // Three spans an hour may well be missing for a while.
        assert!(compare(&side(&[("a", red(3, 0, 1))]), &side(&[])).is_empty());
    }

    #[test]
    fn few_calls_are_no_shift_and_many_are() {
        assert_eq!(whats(red(4, 0, 10), red(8, 1, 100)), []);
        assert_eq!(whats(red(1_000, 2, 10), red(2_000, 4, 10)), [What::Rate]);
        assert_eq!(whats(red(1_000, 2, 10), red(1_050, 60, 10)), [What::Errors]);
        assert_eq!(whats(red(1_000, 0, 10), red(1_000, 4, 10)), []);
        assert_eq!(whats(red(100, 0, 10), red(100, 0, 20)), []);
        assert_eq!(whats(red(1_000, 0, 10), red(1_000, 0, 20)), [What::P95]);
        assert_eq!(whats(red(1_000_000, 0, 100), red(1_000_000, 0, 110)), []);
    }

    #[test]
    fn better_is_told_after_worse() {
        let before = side(&[("a", red(1_000, 100, 10)), ("b", red(1_000, 0, 10))]);
        let after = side(&[("a", red(1_000, 0, 10)), ("b", red(1_000, 100, 10))]);
        let changes = compare(&before, &after);
        let seen: Vec<_> = changes.iter().map(|c| (c.service, c.tone)).collect();
        assert_eq!(seen, [("b", "bad"), ("a", "good")]);
        assert_eq!(
            (changes[0].before.as_str(), changes[0].after.as_str()),
            ("0%", "10%")
        );
    }

    #[test]
    fn ranges_of_different_lengths_are_compared_by_the_hour() {
        let mut before = side(&[("a", red(500, 0, 10))]);
        before.nanos = HOUR / 2;
        assert!(compare(&before, &side(&[("a", red(1_000, 0, 10))])).is_empty());
        before.nanos = 0;
        assert!(compare(&before, &side(&[("b", red(1_000, 0, 10))])).is_empty());
    }

    #[test]
    fn error_logs_out_of_nothing_are_told() {
        let mut after = side(&[]);
        after.error_logs.insert("a", 40);
        let changes = compare(&side(&[]), &after);
        assert_eq!(changes[0].what, What::ErrorLogs);
        assert_eq!(changes[0].before, "none");
        after.error_logs.insert("a", 4);
        assert!(compare(&side(&[]), &after).is_empty());
    }

    #[test]
    fn factors_are_short() {
        assert_eq!(times(2.0), "×2");
        assert_eq!(times(0.4), "÷2.5");
        assert_eq!(times(31.4), "×31");
    }

    fn reds() -> impl Strategy<Value = Red> {
        (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(count, errors, p95)| Red {
            count,
            errors: errors.min(count),
            p95,
            ..Red::default()
        })
    }

    proptest! {
        #[test]
        fn any_numbers_are_compared_and_the_same_numbers_are_no_change(was in reds(), is in reds(), nanos in 1_u64.., logs: u64) {
            let with = |red, nanos| Side { nanos, spans: [("a", red)].into(), error_logs: [("a", logs)].into() };
            prop_assert!(compare(&with(was, nanos), &with(was, nanos)).is_empty());
            for change in compare(&with(was, HOUR), &with(is, nanos)) {
                prop_assert!(!change.weight.is_nan());
            }
        }
    }
}
