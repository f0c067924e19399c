//! How many spans or traces match, by start and duration.

use log_tracer_proto::v1::{DurationHeatmapRequest, HeatmapOf, Signal, TimeRange};
use serde_json::json;
use warp::reply::Response;

use super::{Call, check, covered, json_answer};
use crate::{
    charts::heat::step,
    clock,
    fault::Fault,
    pages::{logs::kept, traces::heat::parse_of},
    range::Range,
    search::{compose, service_term},
    units::parse_duration,
};

/// Steps at most.
const STEPS_MAX: u64 = 500;

pub(super) async fn heatmap(call: &Call<'_>) -> Result<Response, Fault> {
    let params = call.params;
    let of = params.read("of", parse_of)?.unwrap_or(HeatmapOf::Traces);
    let q = params.text("q");
    check(&q)?;
    let range = Range::read(params)?;
    let kept = match range {
        Range::Last(_) => None,
        _ => kept(&call.app.ask.status().await?, Signal::Spans),
    };
    let (start, end) = range.closed(clock::now(), kept);
    let step = params
        .read("step", parse_duration)?
        .unwrap_or_else(|| step(start, end));
    if step == 0 || end.saturating_sub(start).div_ceil(step) > STEPS_MAX {
        return Err(Fault::input(format!(
            "step: the range would have more than {STEPS_MAX} steps"
        )));
    }
    let buckets = params.number("buckets", 1, 36)?.unwrap_or(3);
    let request = DurationHeatmapRequest {
        of: of.into(),
        query: compose(&q, &[service_term(&params.text("service"))]),
        range: Some(TimeRange {
            start_unix_nano: start,
            end_unix_nano: end,
        }),
        step_nano: step,
        // At most 36, so it fits.
        buckets_per_octave: buckets as u32,
        duration_min_nano: params.read("min", parse_duration)?.unwrap_or(0),
        duration_max_nano: params.read("max", parse_duration)?.unwrap_or(0),
    };
    let found = call.app.ask.heatmap(request).await?;
    let texts = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>();
    json_answer(json!({
        "of": match of {
            HeatmapOf::Traces => "traces",
            HeatmapOf::Spans => "spans",
        },
        "stepNano": found.step_nano.to_string(),
        "edgesNano": texts(&found.edges_nano),
        "steps": found.steps.iter().map(|step| json!({
            "startUnixNano": step.start_unix_nano.to_string(),
            "firstBucket": step.first_bucket.saturating_sub(found.first_bucket),
            "counts": texts(&step.counts),
            "errors": texts(&step.errors),
        })).collect::<Vec<_>>(),
        "coverage": covered(found.coverage, None),
    }))
}
