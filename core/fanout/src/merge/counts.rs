//! Counts over time, added step by step.

use std::{cmp::Reverse, collections::HashMap};

use log_tracer_proto::v1::{
    HistogramGroup, HistogramRequest, HistogramResponse, HistogramSeries, Signal,
};

use super::{covering::Covering, room::Room};
use crate::fan::Round;

/// The levels of log records, from the least to the most severe: the order in which their series stand.
const LOG_LEVELS: [&str; 7] = [
    "unspecified",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "fatal",
];
/// Those of spans.
const SPAN_LEVELS: [&str; 3] = ["unset", "ok", "error"];

/// The answer to `Histogram`. Steps are aligned by every consumer alike; an answer with other steps is left out.
pub(crate) fn histogram(
    round: Round<HistogramResponse>,
    mut covering: Covering,
    request: &HistogramRequest,
    answer_bytes_max: usize,
) -> HistogramResponse {
    let group = request.group();
    let step_nano = request.step_nano.max(1);
    let range = request.range.unwrap_or_default();
    let start_unix_nano = range.start_unix_nano / step_nano * step_nano;
    let last = range.end_unix_nano.saturating_sub(1) / step_nano;
    let steps = last.saturating_sub(range.start_unix_nano / step_nano) + 1;
    let mut sums: HashMap<String, Vec<u64>> = HashMap::new();
    let mut count_error = 0_u64;
    for answer in round.answers {
        let body = answer.body;
        let is_aligned = body.start_unix_nano == start_unix_nano && body.step_nano == step_nano;
        let has_steps = |one: &HistogramSeries| one.counts.len() as u64 == steps;
        if !is_aligned || !body.series.iter().all(has_steps) {
            covering.miss(format!("{}: it counted in other steps", answer.label));
            continue;
        }
        // They may all be off to the same side.
        count_error = count_error.saturating_add(body.count_error);
        for one in body.series {
            match sums.get_mut(&one.group) {
                Some(sum) => add(sum, &one.counts),
                None => drop(sums.insert(one.group, one.counts)),
            }
        }
    }
    let mut series: Vec<HistogramSeries> = sums
        .into_iter()
        .map(|(group, counts)| HistogramSeries { group, counts })
        .collect();
    if group == HistogramGroup::Level {
        let levels: &[&str] = match request.signal() {
            Signal::Spans => &SPAN_LEVELS,
            Signal::Logs | Signal::Unspecified => &LOG_LEVELS,
        };
        let level = |group: &str| levels.iter().position(|it| *it == group);
        series.sort_by_cached_key(|one| (level(&one.group), one.group.clone()));
    } else {
        let total = |one: &HistogramSeries| {
            let counts = one.counts.iter();
            counts.fold(0, |sum: u64, count| sum.saturating_add(*count))
        };
        series.sort_by_cached_key(|one| (Reverse(total(one)), one.group.clone()));
    }
    let mut room = Room::in_answer(answer_bytes_max);
    let (series, left_out) = room.fill(series);
    covering.leave_out(left_out, "series");
    HistogramResponse {
        series,
        start_unix_nano,
        step_nano,
        coverage: Some(covering.into_message()),
        count_error,
    }
}

fn add(sum: &mut [u64], counts: &[u64]) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum = sum.saturating_add(*count);
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::{Coverage, TimeRange};
    use tokio::time::Instant;

    use super::*;
    use crate::fan::Answer;

    #[test]
    fn what_each_estimated_and_left_out_is_added() {
        let request = HistogramRequest {
            range: Some(TimeRange {
                start_unix_nano: 0,
                end_unix_nano: 20,
            }),
            step_nano: 10,
            ..HistogramRequest::default()
        };
        let answer = |counts: [u64; 2], count_error, left_out| Answer {
            member: 0,
            label: String::new(),
            body: HistogramResponse {
                series: vec![HistogramSeries {
                    group: "info".to_owned(),
                    counts: counts.to_vec(),
                }],
                step_nano: 10,
                coverage: Some(Coverage {
                    partial: left_out > 0,
                    left_out,
                    ..Coverage::default()
                }),
                count_error,
                ..HistogramResponse::default()
            },
        };
        let mut round = Round {
            answers: vec![answer([1, 2], 30, 500), answer([10, 20], 4, 600)],
            gaps: Vec::new(),
            is_whole: true,
        };
        let covering = Covering::of(&mut round, Instant::now());
        let merged = histogram(round, covering, &request, 1 << 20);
        assert_eq!(merged.series[0].counts, [11, 22]);
        assert_eq!(merged.count_error, 34);
        let coverage = merged.coverage.unwrap();
        assert!(coverage.partial && coverage.reasons.is_empty());
        assert_eq!(coverage.left_out, 1_100);
    }
}
