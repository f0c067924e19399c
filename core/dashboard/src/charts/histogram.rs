//! Counts in steps of time, stacked by group.

use log_tracer_proto::v1::HistogramResponse;
use serde::Serialize;

use super::{percent, position, ticks};
use crate::{
    clock::Moment,
    params::Link,
    search::CoverageView,
    units::{count, plural},
};

/// Steps of a histogram at most.
const STEPS_MAX: u64 = 60;

/// The order of groups from the bottom of a bar to its top, so that what matters most is on top.
const GROUPS: [&str; 9] = [
    "unset",
    "ok",
    "unspecified",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "fatal",
];

/// A histogram, ready to be written.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Histogram {
    bars: Vec<Bar>,
    /// Its ends in milliseconds since 1970, for the script with which a part of it can be chosen.
    start_ms: u64,
    end_ms: u64,
    ticks: Vec<ticks::TimeTick>,
    /// The count at the top of the chart; "about 12" of an estimate.
    max: String,
    legend: Vec<Legend>,
    total: String,
    /// Read out in place of the picture.
    summary: String,
    empty: bool,
    /// Of the counts, when they were counted for this chart.
    coverage: Option<CoverageView>,
    /// "± 1,200" of counts that are estimates; and where they are counted.
    error: String,
    all_href: String,
}

#[derive(Clone, Debug, Serialize)]
struct Bar {
    x: String,
    width: String,
    parts: Vec<Part>,
    /// "12 records, 3 error", or "about 12 records, 3 error"; the template adds the time.
    label: String,
    from: Moment,
    /// Leads to the records of this step.
    href: String,
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    y: String,
    height: String,
    group: String,
}

#[derive(Clone, Debug, Serialize)]
struct Legend {
    group: String,
    total: String,
}

/// The step of a histogram between two times.
pub(crate) fn step(start: u64, end: u64) -> u64 {
    // One less, since aligned steps stick out on both sides.
    ticks::step(end.saturating_sub(start), STEPS_MAX - 1)
}

impl Histogram {
    /// Between two times; `href` leads to what lies between the ends of a step.
    pub(crate) fn new(
        answer: &HistogramResponse,
        (start, end): (u64, u64),
        noun: (&str, &str),
        href: impl Fn(u64, u64) -> String,
    ) -> Self {
        let step = answer.step_nano.max(1);
        let mut series: Vec<(&str, &[u64])> = answer
            .series
            .iter()
            .map(|series| (series.group.as_str(), series.counts.as_slice()))
            .collect();
        series
            .sort_by_key(|(group, _)| GROUPS.iter().position(|known| known == group).unwrap_or(0));
        let steps = series
            .iter()
            .map(|(_, counts)| counts.len())
            .max()
            .unwrap_or(0)
            .min(4 * STEPS_MAX as usize);
        let sums: Vec<u64> = (0..steps)
            .map(|at| series.iter().map(|(_, counts)| at_step(counts, at)).sum())
            .collect();
        let max = sums.iter().copied().max().unwrap_or(0);
        let is_estimated = answer.coverage.as_ref().is_some_and(|own| own.left_out > 0);
        let about = if is_estimated { "about " } else { "" };
        let first = answer.start_unix_nano;
        let bars = sums
            .iter()
            .enumerate()
            .filter(|(_, sum)| **sum > 0)
            .map(|(at, sum)| {
                let from = first.saturating_add(step.saturating_mul(at as u64));
                let to = from.saturating_add(step);
                let (left, right) = (from.max(start), to.min(end));
                Bar {
                    x: position(left, start, end),
                    width: percent(
                        right.saturating_sub(left) as f64,
                        end.saturating_sub(start) as f64,
                    ),
                    parts: stack(&series, at, max),
                    label: format!("{about}{}", label(&series, at, *sum, noun)),
                    from: Moment::new(from),
                    href: href(from, to),
                }
            })
            .collect();
        let total: u64 = sums.iter().sum();
        Self {
            bars,
            start_ms: start / 1_000_000,
            end_ms: end.div_ceil(1_000_000),
            ticks: ticks::times(start, end),
            max: format!("{about}{}", count(max)),
            legend: legend(&series, about),
            total: count(total),
            summary: format!(
                "{}{} between {} and {} UTC, at most {about}{} in one step",
                if is_estimated { "About " } else { "" },
                plural(total, noun.0, noun.1),
                Moment::new(start).clock,
                Moment::new(end).clock,
                count(max)
            ),
            empty: total == 0 && !is_estimated,
            coverage: answer
                .coverage
                .as_ref()
                .map(|own| CoverageView::new(Some(own))),
            error: count(answer.count_error),
            all_href: String::new(),
        }
    }

    /// With a link that counts what is estimated.
    pub(crate) fn with_all(self, link: &Link) -> Self {
        Self {
            all_href: link.to_string(),
            ..self
        }
    }
}

fn at_step(counts: &[u64], at: usize) -> u64 {
    counts.get(at).copied().unwrap_or(0)
}

fn stack(series: &[(&str, &[u64])], at: usize, max: u64) -> Vec<Part> {
    let mut below = 0;
    let mut parts = Vec::new();
    for (group, counts) in series {
        let own = at_step(counts, at);
        if own > 0 {
            below += own;
            parts.push(Part {
                y: percent((max - below.min(max)) as f64, max as f64),
                height: percent(own as f64, max as f64),
                group: group_class(group),
            });
        }
    }
    parts
}

/// The class of a group; what is not known is no class name.
fn group_class(group: &str) -> String {
    GROUPS
        .iter()
        .find(|known| **known == group)
        .map_or("unspecified", |known| known)
        .to_owned()
}

fn label(series: &[(&str, &[u64])], at: usize, sum: u64, noun: (&str, &str)) -> String {
    let mut text = plural(sum, noun.0, noun.1);
    for (group, counts) in series.iter().rev() {
        let own = at_step(counts, at);
        if own > 0 && own < sum && matches!(*group, "warn" | "error" | "fatal") {
            text.push_str(&format!(", {} {group}", count(own)));
        }
    }
    text
}

fn legend(series: &[(&str, &[u64])], about: &str) -> Vec<Legend> {
    series
        .iter()
        .rev()
        .filter_map(|(group, counts)| {
            let total: u64 = counts.iter().sum();
            (total > 0).then(|| Legend {
                group: group_class(group),
                total: format!("{about}{}", count(total)),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::{Coverage, HistogramSeries};

    use super::*;

    fn answer(series: &[(&str, &[u64])]) -> HistogramResponse {
        HistogramResponse {
            series: series
                .iter()
                .map(|(group, counts)| HistogramSeries {
                    group: (*group).to_owned(),
                    counts: counts.to_vec(),
                })
                .collect(),
            start_unix_nano: 0,
            step_nano: 10,
            ..HistogramResponse::default()
        }
    }

    #[test]
    fn errors_stand_on_top_and_bars_fill_the_height() {
        let answer = answer(&[("error", &[0, 1]), ("info", &[2, 3])]);
        let chart = Histogram::new(&answer, (0, 20), ("record", "records"), |from, to| {
            format!("{from}-{to}")
        });
        assert_eq!(chart.bars.len(), 2);
        let last = &chart.bars[1];
        assert_eq!(
            (last.x.as_str(), last.width.as_str(), last.href.as_str()),
            ("50", "50", "10-20")
        );
        let parts: Vec<_> = last
            .parts
            .iter()
            .map(|part| (part.group.as_str(), part.y.as_str(), part.height.as_str()))
            .collect();
        assert_eq!(parts, [("info", "25", "75"), ("error", "0", "25")]);
        assert_eq!(last.label, "4 records, 1 error");
    }

    #[test]
    fn no_number_of_an_estimate_reads_as_an_exact_one() {
        let left_out = |left_out| HistogramResponse {
            coverage: Some(Coverage {
                left_out,
                ..Coverage::default()
            }),
            ..answer(&[("error", &[0, 1]), ("info", &[2, 3])])
        };
        for (left_out, about) in [(left_out(0), ""), (left_out(9), "about ")] {
            let chart = Histogram::new(&left_out, (0, 20), ("record", "records"), |_, _| {
                String::new()
            });
            assert_eq!(chart.max, format!("{about}4"));
            assert_eq!(chart.bars[1].label, format!("{about}4 records, 1 error"));
            let totals = chart.legend.iter().map(|entry| entry.total.clone());
            assert_eq!(
                totals.collect::<Vec<_>>(),
                [format!("{about}1"), format!("{about}5")]
            );
            let peak = format!("at most {about}4 in one step");
            assert!(chart.summary.ends_with(&peak), "{}", chart.summary);
        }
    }

    #[test]
    fn an_unknown_group_does_not_become_a_class() {
        let answer = answer(&[("\"><script>", &[1])]);
        let chart = Histogram::new(&answer, (0, 10), ("record", "records"), |_, _| {
            String::new()
        });
        assert_eq!(chart.bars[0].parts[0].group, "unspecified");
    }

    #[test]
    fn nothing_makes_an_empty_chart() {
        let chart = Histogram::new(
            &HistogramResponse::default(),
            (0, 10),
            ("span", "spans"),
            |_, _| String::new(),
        );
        assert!(chart.empty && chart.bars.is_empty());
    }
}
