//! What the dashboard counts of itself.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use http::{Method, StatusCode};

use super::write::{Kind, Page};
use crate::{app::App, clock, routes};

/// Upper bounds of the histogram of durations, in seconds.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Requests by route, method and status. Routes are the templates of addresses, and methods are those that are known, so
/// no client can make it grow.
#[derive(Debug)]
pub(crate) struct Own {
    /// Nanoseconds since 1970.
    started: u64,
    in_flight: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(&'static str, &'static str, u16), u64>,
    durations: BTreeMap<&'static str, Durations>,
}

/// How long requests of a route took until their answer began.
#[derive(Clone, Copy, Debug, Default)]
struct Durations {
    /// How many were at most each bound and above the one before.
    within: [u64; BOUNDS.len()],
    count: u64,
    /// Seconds.
    sum: f64,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            started: clock::now(),
            in_flight: AtomicU64::new(0),
            counts: Mutex::default(),
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    own: &'a Own,
    route: &'static str,
    method: &'static str,
    since: Instant,
}

impl Own {
    /// Counts a request from its head on.
    pub(crate) fn begin(&self, method: &Method, path: &str) -> Asked<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let known = ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"];
        let method = known.into_iter().find(|known| *known == method.as_str());
        Asked {
            own: self,
            route: routes::template(path),
            method: method.unwrap_or("other"),
            since: Instant::now(),
        }
    }
}

impl Asked<'_> {
    /// The head of the answer is there; a stream may follow it for as long as it likes.
    pub(crate) fn end(self, status: StatusCode) {
        let seconds = self.since.elapsed().as_secs_f64();
        // What does not exist has no route of its own, however it looks.
        let route = match status {
            StatusCode::NOT_FOUND => routes::OTHER,
            _ => self.route,
        };
        let counts = self.own.counts.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        let key = (route, self.method, status.as_u16());
        *counts.requests.entry(key).or_default() += 1;
        let durations = counts.durations.entry(route).or_default();
        durations.count += 1;
        durations.sum += seconds;
        let bound = BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(within) = bound.and_then(|at| durations.within.get_mut(at)) {
            *within += 1;
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.own.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes what is known without asking anybody.
pub(super) fn write(app: &App, consumer_up: bool, page: &mut Page) {
    page.single(
        "log_tracer_dashboard_build_info",
        Kind::Gauge,
        "The version of the dashboard; always 1.",
        &[("version", &app.about.version)],
        1_u64,
    );
    page.single(
        "log_tracer_dashboard_start_time_seconds",
        Kind::Gauge,
        "When the dashboard started, since 1970.",
        &[],
        seconds(app.own.started),
    );
    page.single(
        "log_tracer_dashboard_consumer_up",
        Kind::Gauge,
        "Whether the consumer answered for this page.",
        &[],
        consumer_up,
    );
    page.single(
        "log_tracer_dashboard_http_requests_in_flight",
        Kind::Gauge,
        "Requests whose answer has not begun.",
        &[],
        app.own.in_flight.load(Ordering::Relaxed),
    );
    let open = app.config.tails_max - app.tail_slots.available_permits().min(app.config.tails_max);
    page.single(
        "log_tracer_dashboard_tails_open",
        Kind::Gauge,
        "Live tails that are open.",
        &[],
        open,
    );
    if let Some(bytes) = resident_bytes() {
        page.single(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Resident memory of the process, all roles that run in it.",
            &[],
            bytes,
        );
    }
    requests(app, page);
}

fn requests(app: &App, page: &mut Page) {
    let counts = app
        .own
        .counts
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    page.family(
        "log_tracer_dashboard_http_requests",
        Kind::Counter,
        "Requests that were answered.",
    );
    for ((route, method, status), count) in &counts.requests {
        let status = status.to_string();
        let labels = [("route", *route), ("method", *method), ("status", &*status)];
        page.sample(&labels, *count);
    }
    page.family(
        "log_tracer_dashboard_http_request_duration_seconds",
        Kind::Histogram,
        "How long requests took until their answer began.",
    );
    for (route, durations) in &counts.durations {
        let mut below = 0;
        let buckets: Vec<(f64, u64)> = BOUNDS
            .iter()
            .zip(durations.within)
            .map(|(bound, within)| {
                below += within;
                (*bound, below)
            })
            .collect();
        page.histogram(
            &[("route", route)],
            &buckets,
            durations.count,
            durations.sum,
        );
    }
}

/// Nanoseconds since 1970 as Prometheus writes times.
pub(super) fn seconds(unix_nano: u64) -> f64 {
    unix_nano as f64 / 1e9
}

/// Where the system tells it: on Linux.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
