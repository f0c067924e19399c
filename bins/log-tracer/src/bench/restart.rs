//! How soon everything can be found again after `kill -9`, and whether it is everything.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    BenchError,
    ingest::{self, Amount},
    load::Signals,
    server::Server,
    table::Options,
    verify,
};

const GIVE_UP: Duration = Duration::from_secs(120);
/// Spans that are acked and not in a block yet.
const RECORDS: u64 = 100_000;

/// Starting again after `kill -9`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Restart {
    /// Spans that were acked just before.
    pub records: u64,
    /// How many of them are missing or doubled.
    pub wrong: u64,
    /// Until requests were taken again, in milliseconds.
    pub ready_ms: f64,
    /// Until everything could be found again, in milliseconds.
    pub whole_ms: f64,
}

/// Sends records that are acked and not in a block yet, kills the server, starts it again, and looks for them.
pub(super) async fn measure(
    options: &Options,
    server: &mut Server,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Restart, BenchError> {
    let amount = Amount {
        records: options.records.min(RECORDS),
        seed: options.seed.wrapping_add(2),
        ..options.amount(Signals::Traces)
    };
    let ledger = ingest::acked(server, &amount, progress).await?;
    progress("starting again after kill -9");
    let started = Instant::now();
    server.kill_and_start().await?;
    let ready = started.elapsed();
    verify::applied(&mut server.query().await?, GIVE_UP).await?;
    let whole = started.elapsed();
    let verdict = verify::compare(&ledger, server.query_grpc(), GIVE_UP, progress).await?;
    let wrong = verdict
        .spans
        .map_or(0, |spans| spans.acked.abs_diff(spans.found));
    Ok(Restart {
        records: ledger.spans.acked,
        wrong: wrong.max(verdict.faults),
        ready_ms: ready.as_secs_f64() * 1e3,
        whole_ms: whole.as_secs_f64() * 1e3,
    })
}
