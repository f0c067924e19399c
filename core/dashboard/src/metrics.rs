//! `/metrics`: what the dashboard, its consumer and the transport count, for Prometheus.
//!
//! Written in the text format 0.0.4, or in OpenMetrics 1.0 when the client's `Accept` names it. Names are
//! `log_tracer_…`, in base units (seconds, bytes), with `_total` for what only grows. An answer is always 200: while the
//! consumer is away, `log_tracer_dashboard_consumer_up` is 0 and what only the consumer knows is missing.
//!
//! | what | from |
//! |---|---|
//! | `log_tracer_dashboard_…`, `process_…` | this process: [`own`] |
//! | `log_tracer_consumer_…`, `_transport_…`, `_partition_…`, `_store_…`, `_storage_…` | the consumer's `Status`: [`consumer`] |
//! | `log_tracer_producer_…` | each producer's `ProducerStatus`: [`producers`] |
//! | `log_tracer_service_…` | the consumer's `Rates`, with `metrics_of_services`: [`services`] |
//!
//! Of producers, those that the dashboard knows: the one of the same process, or those of the key `producers`.

mod consumer;
mod own;
mod producers;
mod services;
mod write;

use http::{HeaderMap, header};
use warp::reply::{Reply, Response};

pub(crate) use self::own::Own;
use self::write::{Format, Page};
use crate::{app::App, reply};

/// Answers `/metrics`.
pub(crate) async fn answer(app: &App, headers: &HeaderMap) -> Response {
    let accept = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let format = Format::of(accept);
    let mut page = Page::new(format);
    let (status, told) = tokio::join!(app.ask.status(), producers::ask(&app.producers));
    let status = status.ok();
    own::write(app, status.is_some(), &mut page);
    if let Some(status) = &status {
        consumer::write(status, &mut page);
    }
    producers::write(&told, &mut page);
    if app.config.metrics_of_services
        && let Ok(rates) = app.ask.rates(services::request(crate::clock::now())).await
    {
        services::write(&rates, &mut page);
    }
    let mut response = page.finish().into_response();
    reply::as_type(&mut response, format.content_type());
    response
}
