//! Samples of the pipeline, added up by their time.

use std::collections::BTreeMap;

use log_tracer_proto::v1::{StatusHistoryResponse, StatusSample};
use prost::Message;

use super::covering::Covering;
use crate::fan::Round;

/// The answer to `StatusHistory`. Consumers take samples at multiples of their step; those of one with another step than
/// the first cannot be added and are left out. What does not fit into a message is the oldest.
pub(crate) fn history(
    round: Round<StatusHistoryResponse>,
    mut covering: Covering,
    answer_bytes_max: usize,
) -> StatusHistoryResponse {
    let step_ms = round.answers.first().map_or(0, |first| first.body.step_ms);
    let mut sums: BTreeMap<u64, StatusSample> = BTreeMap::new();
    for answer in round.answers {
        if answer.body.step_ms != step_ms {
            covering.miss(format!(
                "{}: it takes samples every {} ms and others every {step_ms} ms",
                answer.label, answer.body.step_ms
            ));
            continue;
        }
        for sample in answer.body.samples {
            let sum = sums
                .entry(sample.time_unix_nano)
                .or_insert_with(|| StatusSample {
                    time_unix_nano: sample.time_unix_nano,
                    ..StatusSample::default()
                });
            add(sum, sample);
        }
    }
    let mut room = answer_bytes_max.saturating_sub(ROOM_OF_COVERAGE);
    let mut newest: Vec<StatusSample> = sums
        .into_values()
        .rev()
        .map_while(|mut sample| {
            sample.lags.sort_by_key(|lag| lag.partition);
            room = room.checked_sub(sample.encoded_len() + ROOM_OF_FIELD)?;
            Some(sample)
        })
        .collect();
    newest.reverse();
    StatusHistoryResponse {
        step_ms,
        samples: newest,
        coverage: Some(covering.into_message()),
    }
}

/// Bytes of an answer that are left for its coverage, and those that a sample takes beside its own.
const ROOM_OF_COVERAGE: usize = 16 << 10;
const ROOM_OF_FIELD: usize = 8;

fn add(sum: &mut StatusSample, sample: StatusSample) {
    sum.lags.extend(sample.lags);
    sum.applied_spans = sum.applied_spans.saturating_add(sample.applied_spans);
    sum.applied_logs = sum.applied_logs.saturating_add(sample.applied_logs);
    sum.applied_bytes = sum.applied_bytes.saturating_add(sample.applied_bytes);
    // They look at the same log, one a little later than the other.
    sum.log_bytes = sum.log_bytes.max(sample.log_bytes);
    sum.disk_bytes = plus(sum.disk_bytes, sample.disk_bytes);
    sum.process_bytes = plus(sum.process_bytes, sample.process_bytes);
}

fn plus(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::{Coverage, PartitionLag};
    use tokio::time::Instant;

    use super::*;
    use crate::fan::Answer;

    fn sample(time: u64, partition: u32, envelopes: u64) -> StatusSample {
        StatusSample {
            time_unix_nano: time,
            lags: vec![PartitionLag {
                partition,
                envelopes,
            }],
            applied_spans: 10,
            log_bytes: Some(7),
            disk_bytes: (partition == 0).then_some(100),
            ..StatusSample::default()
        }
    }

    fn merged(
        answers: Vec<(u64, Vec<StatusSample>)>,
        answer_bytes_max: usize,
    ) -> StatusHistoryResponse {
        let answer = |(member, (step_ms, samples)): (usize, (u64, Vec<StatusSample>))| Answer {
            member,
            label: format!("consumer {member}"),
            body: StatusHistoryResponse {
                step_ms,
                samples,
                coverage: Some(Coverage::default()),
            },
        };
        let mut round = Round {
            answers: answers.into_iter().enumerate().map(answer).collect(),
            gaps: Vec::new(),
            is_whole: true,
        };
        let covering = Covering::of(&mut round, Instant::now());
        history(round, covering, answer_bytes_max)
    }

    #[test]
    fn samples_of_one_time_are_added_and_others_stand_alone() {
        let both = merged(
            vec![
                (10, vec![sample(10, 1, 5), sample(20, 1, 6)]),
                (10, vec![sample(20, 0, 1)]),
            ],
            1 << 20,
        );
        assert_eq!((both.step_ms, both.samples.len()), (10, 2));
        let last = &both.samples[1];
        let lags: Vec<(u32, u64)> = last
            .lags
            .iter()
            .map(|lag| (lag.partition, lag.envelopes))
            .collect();
        assert_eq!(lags, [(0, 1), (1, 6)]);
        assert_eq!((last.applied_spans, last.log_bytes), (20, Some(7)));
        assert_eq!(last.disk_bytes, Some(100));
        assert!(!both.coverage.unwrap().partial);
    }

    #[test]
    fn another_step_is_left_out_and_said() {
        let both = merged(
            vec![(10, vec![sample(10, 0, 1)]), (20, vec![sample(20, 1, 1)])],
            1 << 20,
        );
        assert_eq!(both.samples.len(), 1);
        assert!(
            both.coverage.unwrap().reasons[0].contains("consumer 1: it takes samples every 20 ms")
        );
    }

    #[test]
    fn what_does_not_fit_is_the_oldest() {
        let many = (1..=1000).map(|time| sample(time, 0, 1)).collect();
        let cut = merged(vec![(1, many), (1, Vec::new())], 32 << 10);
        assert!(cut.samples.len() < 1000 && cut.samples.len() > 100);
        assert_eq!(cut.samples.last().unwrap().time_unix_nano, 1000);
    }
}
