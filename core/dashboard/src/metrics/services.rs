//! Rate, errors and durations of services, as the consumer summed them up.
//!
//! Gauges over the last whole minutes, and not counters: what retention removes would make a counter fall.

use log_tracer_proto::v1::{RateGroup, RatesRequest, RatesResponse, TimeRange};

use super::write::{Kind, Page};
use crate::units::MINUTE;

/// Whole minutes that are looked at.
const MINUTES: u64 = 5;

/// Services that are written; those with the most spans.
const SERVICES_MAX: usize = 1_000;

const QUANTILES: [(f64, &str); 3] = [(0.5, "50"), (0.95, "95"), (0.99, "99")];

/// What the consumer is asked.
pub(super) fn request(now: u64) -> RatesRequest {
    let end = now - now % MINUTE;
    RatesRequest {
        range: Some(TimeRange {
            start_unix_nano: end.saturating_sub(MINUTES * MINUTE),
            end_unix_nano: end,
        }),
        group: RateGroup::Service.into(),
        quantiles: QUANTILES.map(|(quantile, _)| quantile).to_vec(),
        ..RatesRequest::default()
    }
}

/// Writes the answer.
pub(super) fn write(rates: &RatesResponse, page: &mut Page) {
    let range = rates.range.unwrap_or_default();
    let length = range.end_unix_nano.saturating_sub(range.start_unix_nano);
    let mut series: Vec<_> = rates
        .series
        .iter()
        .filter_map(|series| Some((series.service.as_str(), series.total.as_ref()?)))
        .collect();
    series.sort_by_key(|(_, rate)| std::cmp::Reverse(rate.count));
    series.truncate(SERVICES_MAX);
    page.family(
        "log_tracer_service_spans_per_second",
        Kind::Gauge,
        "Spans of a service per second, over the last 5 whole minutes.",
    );
    for (service, rate) in &series {
        let per_second = rate.count as f64 / (length.max(1) as f64 / 1e9);
        page.sample(&[("service", service)], per_second);
    }
    page.family(
        "log_tracer_service_errors_ratio",
        Kind::Gauge,
        "The part of a service's spans that has an error status, over the last 5 whole minutes.",
    );
    for (service, rate) in &series {
        let ratio = rate.errors as f64 / (rate.count.max(1) as f64);
        page.sample(&[("service", service)], ratio);
    }
    page.family(
        "log_tracer_service_duration_seconds",
        Kind::Gauge,
        "Percentiles of how long a service's spans took, over the last 5 whole minutes.",
    );
    for (service, rate) in &series {
        for ((_, percentile), nanos) in QUANTILES.iter().zip(&rate.quantiles_nano) {
            let labels = [("service", *service), ("percentile", *percentile)];
            page.sample(&labels, *nanos as f64 / 1e9);
        }
    }
}
