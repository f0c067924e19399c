//! What Jaeger's Monitor tab asks: latencies, calls and errors of services over time, from the rollups.
//!
//! | parameter | means |
//! |---|---|
//! | `service`, again and again | of these services; one at least |
//! | `groupByOperation` | each operation by itself |
//! | `quantile` | of latencies, required there: from 0 to 1 |
//! | `spanKind`, again and again | spans of these kinds only; `server` when absent |
//! | `endTs`, `lookback` | the end in milliseconds since 1970, now when absent, and how far back: an hour |
//! | `step` | between two points: 5 seconds when absent, and in any case whole minutes |
//! | `ratePer` | what is counted together for a point is as long as this and ends at the point: 10 minutes |
//!
//! Durations are in milliseconds, or Go's. The answer is a MetricFamily in protobuf's JSON, as Jaeger writes it: a gauge
//! with a metric for each service, or each operation, and points in time. Latencies are milliseconds, calls are calls in
//! a second, errors are a share of the calls; a point without calls has no latency and no share, which is `"NaN"`.
//!
//! What differs from Jaeger: the rollups are by the minute, so steps are multiples of a minute, widened where there would
//! be more than [`POINTS_MAX`] points or more than [`WINDOW_STEPS_MAX`] steps in `ratePer`. Of more than
//! [`OPERATIONS_MAX`] operations those with the most spans are answered. The first label is always `service_name`.

use std::collections::{BTreeMap, BTreeSet};

use log_tracer_proto::{
    otlp::trace::span::SpanKind,
    v1::{RateGroup, RateSeries, RatesRequest, TimeRange},
};
use log_tracer_sketch::Sketch;
use serde_json::{Value, json};
use warp::reply::Response;

use super::{
    Call, document,
    find::{go_duration, unix_time},
    is_set,
};
use crate::{
    clock,
    fault::Fault,
    params::Params,
    trace::fields,
    units::{HOUR, MINUTE, SECOND},
};

/// Points of a metric at most, about.
const POINTS_MAX: u64 = 300;

/// Steps that are counted together for a point at most.
const WINDOW_STEPS_MAX: u64 = 60;

/// Services that one request may name.
const SERVICES_MAX: usize = 20;

/// Operations in an answer at most.
const OPERATIONS_MAX: usize = 200;

/// The longest time that a request may look back.
const LOOKBACK_MAX: u64 = 366 * 24 * HOUR;

const MILLISECOND: u64 = 1_000_000;

const KINDS: [SpanKind; 6] = [
    SpanKind::Unspecified,
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    Latencies { quantile: f64 },
    Calls,
    Errors,
}

/// Answers `/api/metrics/minstep`: the least step in milliseconds.
pub(super) fn min_step(call: &Call<'_>) -> Result<Response, Fault> {
    let body = json!({
        "data": MINUTE / MILLISECOND,
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": null,
    });
    Ok(document(call.params, &body))
}

/// Answers `/api/metrics/{latencies,calls,errors}`; none for another name.
pub(super) async fn answer(call: &Call<'_>, name: &str) -> Option<Result<Response, Fault>> {
    let measure = match name {
        "latencies" => quantile(call.params).map(|quantile| Measure::Latencies { quantile }),
        "calls" => Ok(Measure::Calls),
        "errors" => Ok(Measure::Errors),
        _ => return None,
    };
    Some(match measure {
        Ok(measure) => family(call, measure).await,
        Err(fault) => Err(fault),
    })
}

async fn family(call: &Call<'_>, measure: Measure) -> Result<Response, Fault> {
    let question = Question::read(call.params, clock::now())?;
    let mut series = Vec::new();
    for service in &question.services {
        let found = call
            .app
            .ask
            .rates(question.request(service, measure))
            .await?;
        series.extend(found.series);
    }
    let written = tokio::task::spawn_blocking(move || question.write(&series, measure)).await;
    let family =
        written.map_err(|error| Fault::internal(format!("writing metrics failed: {error}")))??;
    Ok(document(call.params, &family))
}

fn quantile(params: &Params) -> Result<f64, Fault> {
    let quantile = params.read("quantile", |text| match text.parse::<f64>() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err(format!("`{text}` is not a number from 0 to 1")),
    })?;
    quantile.ok_or_else(|| Fault::input("parameter 'quantile' is required"))
}

/// Milliseconds, or a duration as Go writes it; at least one nanosecond.
fn millis(text: &str) -> Result<u64, String> {
    let nanos = match text.parse::<u64>() {
        Ok(millis) => millis.checked_mul(MILLISECOND),
        Err(_) => Some(go_duration(text)?),
    };
    match nanos {
        Some(nanos) if nanos > 0 && nanos <= LOOKBACK_MAX => Ok(nanos),
        _ => Err(format!(
            "`{text}` is not a duration in milliseconds of up to a year"
        )),
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
struct Question {
    services: BTreeSet<String>,
    by_operation: bool,
    kinds: Vec<SpanKind>,
    /// The first and the last point, multiples of the step.
    first: u64,
    last: u64,
    step: u64,
    /// What counts for a point, a multiple of the step.
    window: u64,
}

impl Question {
    fn read(params: &Params, now: u64) -> Result<Self, Fault> {
        let services: BTreeSet<String> = params.all("service").map(str::to_owned).collect();
        if services.is_empty() {
            return Err(Fault::input("please provide at least one service name"));
        }
        if services.len() > SERVICES_MAX {
            return Err(Fault::input(format!(
                "a request may name at most {SERVICES_MAX} services"
            )));
        }
        let kinds: Vec<SpanKind> = params
            .all("spanKind")
            .map(kind)
            .collect::<Result<_, Fault>>()?;
        let end = params.read("endTs", unix_time)?.unwrap_or(now);
        let lookback = params.read("lookback", millis)?.unwrap_or(HOUR);
        let step = params.read("step", millis)?.unwrap_or(5 * SECOND);
        let rate_per = params.read("ratePer", millis)?.unwrap_or(10 * MINUTE);
        let least = step
            .max(lookback / POINTS_MAX)
            .max(rate_per / WINDOW_STEPS_MAX);
        let step = least.div_ceil(MINUTE).max(1) * MINUTE;
        Ok(Self {
            services,
            by_operation: is_set(params, "groupByOperation")?,
            kinds: match kinds.is_empty() {
                true => vec![SpanKind::Server],
                false => kinds,
            },
            first: end
                .saturating_sub(lookback)
                .div_ceil(step)
                .saturating_mul(step),
            last: end / step * step,
            step,
            window: rate_per.div_ceil(step).max(1) * step,
        })
    }

    fn request(&self, service: &str, measure: Measure) -> RatesRequest {
        RatesRequest {
            range: Some(TimeRange {
                start_unix_nano: self.first.saturating_sub(self.window),
                end_unix_nano: self.last.max(self.step),
            }),
            step_nano: self.step,
            group: RateGroup::OperationAndKind.into(),
            service: service.to_owned(),
            with_sketches: matches!(measure, Measure::Latencies { .. }),
            ..RatesRequest::default()
        }
    }

    /// The answer.
    fn write(&self, series: &[RateSeries], measure: Measure) -> Result<Value, Fault> {
        let mut groups: BTreeMap<(&str, &str), Group> = BTreeMap::new();
        for one in series {
            let kind = one.kind();
            if !self.services.contains(&one.service) || !self.kinds.contains(&kind) {
                continue;
            }
            let operation = match self.by_operation {
                true => one.operation(),
                false => "",
            };
            let group = groups.entry((&one.service, operation)).or_default();
            group.add(one, matches!(measure, Measure::Latencies { .. }))?;
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        if groups.len() > OPERATIONS_MAX {
            groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
            groups.truncate(OPERATIONS_MAX);
            groups.sort_by_key(|(names, _)| *names);
        }
        let metrics: Vec<Value> = groups
            .iter()
            .map(|((service, operation), group)| {
                let mut labels = vec![json!({"name": "service_name", "value": service})];
                if self.by_operation {
                    labels.push(json!({"name": "operation", "value": operation}));
                }
                json!({"labels": labels, "metricPoints": self.points(group, measure)})
            })
            .collect();
        let (name, help) = measure.words(self.by_operation);
        Ok(json!({"name": name, "type": "GAUGE", "help": help, "metrics": metrics}))
    }

    fn points(&self, group: &Group, measure: Measure) -> Vec<Value> {
        let mut points = Vec::new();
        let mut at = self.first;
        while at <= self.last {
            let window = group.steps.range(at.saturating_sub(self.window)..at);
            let value = measure.value(window.map(|(_, cell)| cell), self.window);
            let value = match value {
                Some(value) => json!(value),
                None => json!("NaN"),
            };
            points.push(json!({
                "gaugeValue": {"doubleValue": value},
                "timestamp": clock::to_param(at),
            }));
            let Some(next) = at.checked_add(self.step) else {
                break;
            };
            at = next;
        }
        points
    }
}

fn kind(text: &str) -> Result<SpanKind, Fault> {
    let named = |kind: &SpanKind| match kind {
        SpanKind::Unspecified => "unspecified",
        kind => fields::kind(*kind),
    };
    let found = KINDS.into_iter().find(|kind| named(kind) == text);
    found.ok_or_else(|| {
        Fault::input(format!(
            "unsupported span kind: '{}'",
            crate::units::clip(text, 60)
        ))
    })
}

impl Measure {
    fn words(self, by_operation: bool) -> (&'static str, String) {
        let (names, what) = match self {
            Self::Latencies { quantile } => (
                ["service_latencies", "service_operation_latencies"],
                format!("the {quantile} quantile of latencies in milliseconds"),
            ),
            Self::Calls => (
                ["service_call_rate", "service_operation_call_rate"],
                "calls in a second".to_owned(),
            ),
            Self::Errors => (
                ["service_error_rate", "service_operation_error_rate"],
                "errors as a share of the calls".to_owned(),
            ),
        };
        let [service, operation] = names;
        match by_operation {
            true => (
                operation,
                format!("{what}, grouped by service and operation"),
            ),
            false => (service, format!("{what}, grouped by service")),
        }
    }

    /// Of the steps that count for a point; none where there is nothing to measure.
    fn value<'a>(self, cells: impl Iterator<Item = &'a Cell>, window: u64) -> Option<f64> {
        match self {
            Self::Calls => {
                let count: u64 = cells.map(|cell| cell.count).sum();
                Some(count as f64 / (window as f64 / SECOND as f64))
            }
            Self::Errors => {
                let both = cells.map(|cell| (cell.errors, cell.count));
                let (errors, count) = both.fold((0, 0), |sum: (u64, u64), (errors, count)| {
                    (sum.0.saturating_add(errors), sum.1.saturating_add(count))
                });
                (count > 0).then(|| errors as f64 / count as f64)
            }
            Self::Latencies { quantile } => {
                let mut all = Sketch::default();
                cells.for_each(|cell| all.merge(&cell.durations));
                let nanos = all.quantile(quantile)?;
                Some(nanos as f64 / MILLISECOND as f64)
            }
        }
    }
}

/// The spans of a service or of an operation.
#[derive(Debug, Default)]
struct Group {
    count: u64,
    /// By the start of the step.
    steps: BTreeMap<u64, Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    count: u64,
    errors: u64,
    durations: Sketch,
}

impl Group {
    fn add(&mut self, series: &RateSeries, with_durations: bool) -> Result<(), Fault> {
        for step in &series.steps {
            let Some(rate) = &step.rate else { continue };
            let cell = self.steps.entry(step.start_unix_nano).or_default();
            self.count = self.count.saturating_add(rate.count);
            cell.count = cell.count.saturating_add(rate.count);
            cell.errors = cell.errors.saturating_add(rate.errors);
            if with_durations && !rate.sketch.is_empty() {
                let durations = Sketch::from_bytes(&rate.sketch).map_err(|error| {
                    Fault::consumer(format!("what the consumer says of durations: {error}"))
                })?;
                cell.durations.merge(&durations);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::{Rate, RateStep};

    use super::*;

    const T0: u64 = 1_800_000_000 * SECOND;

    fn question(more: &str) -> Question {
        let end = (T0 + 10 * MINUTE) / MILLISECOND;
        let params =
            format!("service=web&endTs={end}&lookback=300000&step=60000&ratePer=120000{more}");
        Question::read(&Params::parse(&params).unwrap(), 0).unwrap()
    }

    /// A call of so many milliseconds in each of the minutes.
    fn series(operation: &str, kind: SpanKind, minutes: &[(u64, u64)], errors: u64) -> RateSeries {
        let steps = minutes.iter().map(|(minute, millis)| {
            let mut durations = Sketch::default();
            durations.add(millis * MILLISECOND);
            RateStep {
                start_unix_nano: T0 + minute * MINUTE,
                rate: Some(Rate {
                    count: 1,
                    errors,
                    sketch: durations.to_bytes().into(),
                    ..Rate::default()
                }),
            }
        });
        RateSeries {
            service: "web".to_owned(),
            operation: Some(operation.to_owned()),
            kind: Some(kind.into()),
            steps: steps.collect(),
            ..RateSeries::default()
        }
    }

    fn values(family: &Value, metric: usize) -> Vec<Value> {
        let points = family["metrics"][metric]["metricPoints"]
            .as_array()
            .unwrap();
        points
            .iter()
            .map(|point| point["gaugeValue"]["doubleValue"].clone())
            .collect()
    }

    #[test]
    fn a_point_counts_what_came_in_the_time_before_it() {
        let all = [
            series("GET /", SpanKind::Server, &[(4, 10), (5, 30), (8, 20)], 0),
            series("GET /", SpanKind::Client, &[(5, 9_000)], 0),
        ];
        let question = question("");
        let calls = question.write(&all, Measure::Calls).unwrap();
        assert_eq!(calls["name"], "service_call_rate");
        assert_eq!(calls["type"], "GAUGE");
        assert_eq!(
            calls["metrics"][0]["labels"],
            json!([{"name": "service_name", "value": "web"}])
        );
        // Six points, from minute 5 to minute 10, each over two minutes.
        let per_second = [1.0, 2.0, 1.0, 0.0, 1.0, 1.0].map(|calls| json!(calls / 120.0));
        assert_eq!(values(&calls, 0), per_second);
        let points = calls["metrics"][0]["metricPoints"].as_array().unwrap();
        assert_eq!(points[0]["timestamp"], clock::to_param(T0 + 5 * MINUTE));

        let latencies = question
            .write(&all, Measure::Latencies { quantile: 1.0 })
            .unwrap();
        let want = [
            json!(10.0),
            json!(30.0),
            json!(30.0),
            json!("NaN"),
            json!(20.0),
            json!(20.0),
        ];
        assert_eq!(values(&latencies, 0), want);
    }

    #[test]
    fn errors_are_a_share_and_operations_stand_apart() {
        let all = [
            series("a", SpanKind::Server, &[(9, 1)], 1),
            series("b", SpanKind::Server, &[(9, 1)], 0),
        ];
        let apart = question("&groupByOperation=true")
            .write(&all, Measure::Errors)
            .unwrap();
        assert_eq!(apart["name"], "service_operation_error_rate");
        assert_eq!(
            apart["metrics"][1]["labels"][1],
            json!({"name": "operation", "value": "b"})
        );
        assert_eq!(values(&apart, 0).last(), Some(&json!(1.0)));
        assert_eq!(values(&apart, 1).last(), Some(&json!(0.0)));
        let together = question("").write(&all, Measure::Errors).unwrap();
        assert_eq!(values(&together, 0).last(), Some(&json!(0.5)));
        let none = question("&spanKind=producer")
            .write(&all, Measure::Errors)
            .unwrap();
        assert_eq!(
            none["metrics"],
            json!([]),
            "the page reads the list in any case"
        );
    }

    #[test]
    fn kinds_are_those_that_are_named() {
        assert_eq!(question("").kinds, [SpanKind::Server]);
        assert_eq!(
            question("&spanKind=client&spanKind=unspecified").kinds,
            [SpanKind::Client, SpanKind::Unspecified]
        );
        let wrong = Params::parse("service=web&spanKind=loud").unwrap();
        assert!(Question::read(&wrong, 0).is_err());
    }

    #[test]
    fn steps_are_whole_minutes_and_bounded_in_number() {
        let read = |params: &str| Question::read(&Params::parse(params).unwrap(), T0).unwrap();
        let usual = read("service=web");
        assert_eq!((usual.step, usual.window), (MINUTE, 10 * MINUTE));
        assert_eq!((usual.last - usual.first) / usual.step, 60);
        let long = read("service=web&lookback=172800000&step=60000");
        assert!((long.last - long.first) / long.step <= POINTS_MAX);
        let wide = read("service=web&ratePer=172800000");
        assert!(wide.window / wide.step <= WINDOW_STEPS_MAX);
        for wrong in [
            "",
            "service=",
            "service=a&lookback=0",
            "service=a&step=-1",
            "service=a&endTs=x",
        ] {
            assert!(
                Question::read(&Params::parse(wrong).unwrap(), T0).is_err(),
                "{wrong}"
            );
        }
        // Nothing overflows, whatever the time.
        let late = Params::parse("service=a&endTs=18446744073709551615").unwrap();
        if let Ok(late) = Question::read(&late, T0) {
            late.write(&[], Measure::Calls).unwrap();
            late.points(&Group::default(), Measure::Calls);
        }
    }
}
