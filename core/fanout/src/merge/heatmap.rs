//! Counts by start and duration, added cell by cell.

use std::collections::BTreeMap;

use log_tracer_proto::v1::{DurationHeatmapRequest, DurationHeatmapResponse, HeatmapStep};
use log_tracer_sketch::Scale;

use super::{covering::Covering, room::Room};
use crate::fan::Round;

/// The answer to `DurationHeatmap`. Steps and buckets are the same for every consumer; an answer with others is left out.
pub(crate) fn heatmap(
    round: Round<DurationHeatmapResponse>,
    mut covering: Covering,
    request: &DurationHeatmapRequest,
    answer_bytes_max: usize,
) -> DurationHeatmapResponse {
    let mut per_octave = request.buckets_per_octave;
    let mut sums: BTreeMap<u64, Row> = BTreeMap::new();
    for answer in round.answers {
        let body = answer.body;
        // What the request leaves open, the first answer decides.
        if per_octave == 0 {
            per_octave = body.buckets_per_octave;
        }
        let scale = Scale::new(body.buckets_per_octave);
        let fits = scale.is_some_and(|scale| body.steps.iter().all(|step| is_within(step, scale)));
        if body.step_nano != request.step_nano || body.buckets_per_octave != per_octave || !fits {
            covering.miss(format!("{}: it counted in other cells", answer.label));
            continue;
        }
        for step in body.steps {
            sums.entry(step.start_unix_nano).or_default().add(&step);
        }
    }
    let steps: Vec<HeatmapStep> = sums
        .into_iter()
        .map(|(start_unix_nano, row)| row.into_step(start_unix_nano))
        .filter(|step| !step.counts.is_empty())
        .collect();
    let ends = steps.iter().map(|step| (step.first_bucket, end(step)));
    let buckets = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let scale = Scale::new(per_octave);
    let (first_bucket, edges_nano) = buckets
        .zip(scale)
        // Within the scale, as was checked.
        .map(|((first, end), scale)| scale.edges(first as u16, end as u16))
        .unwrap_or_default();
    let mut room = Room::in_answer(answer_bytes_max.saturating_sub(10 * edges_nano.len()));
    let (steps, left_out) = room.fill(steps);
    covering.leave_out(left_out, "steps");
    DurationHeatmapResponse {
        steps,
        step_nano: request.step_nano,
        buckets_per_octave: per_octave,
        first_bucket: first_bucket.into(),
        edges_nano,
        coverage: Some(covering.into_message()),
    }
}

/// The bucket after the last one of a step.
fn end(step: &HeatmapStep) -> u32 {
    let counts = u32::try_from(step.counts.len()).unwrap_or(u32::MAX);
    step.first_bucket.saturating_add(counts)
}

fn is_within(step: &HeatmapStep, scale: Scale) -> bool {
    end(step) <= u32::from(scale.bucket_count()) && step.errors.len() == step.counts.len()
}

/// The counts of a step, and the errors among them, by bucket.
#[derive(Debug, Default)]
struct Row(BTreeMap<u32, (u64, u64)>);

impl Row {
    fn add(&mut self, step: &HeatmapStep) {
        let cells = step.counts.iter().zip(&step.errors);
        for (bucket, (count, errors)) in (step.first_bucket..).zip(cells) {
            if *count > 0 {
                let sum = self.0.entry(bucket).or_default();
                sum.0 = sum.0.saturating_add(*count);
                sum.1 = sum.1.saturating_add(*errors);
            }
        }
    }

    fn into_step(self, start_unix_nano: u64) -> HeatmapStep {
        let ends = self.0.first_key_value().zip(self.0.last_key_value());
        let (first, last) = ends.map_or((1, 0), |((first, _), (last, _))| (*first, *last));
        let cells = (first..=last).map(|bucket| self.0.get(&bucket).copied().unwrap_or_default());
        let (counts, errors) = cells.unzip();
        HeatmapStep {
            start_unix_nano,
            first_bucket: first,
            counts,
            errors,
        }
    }
}
