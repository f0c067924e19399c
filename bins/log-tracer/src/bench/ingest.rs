//! Sends records to a server that is measured, waits until it has done all its work on them, and says what that cost.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    BenchError,
    ledger::Ledger,
    load::{self, Percentiles, Signals, per_million},
    server::Server,
    verify,
};

/// How long applying what was acked may take: a load of many millions is acked sooner than it is in blocks.
const APPLY_MAX: Duration = Duration::from_secs(3_600);

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub(super) signals: Signals,
    pub(super) records: u64,
    pub(super) batch: u32,
    pub(super) connections: u16,
    pub(super) seed: u64,
}

/// What taking records in cost.
#[derive(Clone, Debug, Serialize)]
pub struct Ingest {
    /// How many there were.
    pub records: u64,
    /// CPU seconds of the server for a million, from the wire until the last merge; none where there is no /proc.
    pub cpu_s_per_million: Option<f64>,
    /// Records acknowledged in a second.
    pub records_per_s: f64,
    /// From the last ack until the last record could be queried, in milliseconds.
    pub behind_ms: f64,
    /// From sending a request until its ack.
    pub ack: Percentiles,
    /// From an ack until its records could be found while the load ran, of a sample.
    pub visible: Percentiles,
    /// Bytes on disk for a record, once all are in blocks; none when nothing is kept on disk.
    pub bytes_per_record: Option<f64>,
    /// CPU seconds of the load generator for a million.
    pub generator_cpu_s_per_million: Option<f64>,
}

/// Sends one hour of traffic that ends now, and waits until it is applied, written, merged and quiet.
pub(super) async fn send(
    server: &Server,
    amount: &Amount,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Ingest, BenchError> {
    let before = server.usage();
    let stored_before = server.written().await?;
    let (outcome, behind) = send_only(server, amount, progress).await?;
    progress("waiting until everything is written and merged");
    server.settle().await;
    let stored = server.written().await?;
    server.settle().await;
    let cpu = before.zip(server.usage());
    let acked = outcome.counts.acked();
    let stored = stored_before.zip(stored).map(|(before, after)| {
        let added = |index: usize| {
            let before = before.get(index).copied().unwrap_or_default();
            let after = after.get(index).copied().unwrap_or_default();
            (
                after.rows.saturating_sub(before.rows),
                after.bytes.saturating_sub(before.bytes),
            )
        };
        let (spans, logs) = (added(0), added(1));
        (spans.0 + logs.0, spans.1 + logs.1)
    });
    Ok(Ingest {
        records: acked,
        cpu_s_per_million: cpu
            .map(|(before, after)| per_million(after.cpu.saturating_sub(before.cpu), acked)),
        records_per_s: acked as f64 / outcome.took.as_secs_f64(),
        behind_ms: behind.as_secs_f64() * 1e3,
        ack: Percentiles::of(&outcome.counts.ack),
        visible: Percentiles::of(&outcome.counts.visible),
        bytes_per_record: stored
            .filter(|(rows, _)| *rows > 0)
            .map(|(rows, bytes)| bytes as f64 / rows as f64),
        generator_cpu_s_per_million: outcome.own_cpu.map(|cpu| per_million(cpu, acked)),
    })
}

/// Sends, and waits until all of it can be found; answers how long the latter took.
async fn send_only(
    server: &Server,
    amount: &Amount,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<(load::Outcome, Duration), BenchError> {
    let options = load::Options {
        signals: amount.signals,
        records: NonZeroU64::new(amount.records),
        batch: amount.batch,
        connections: amount.connections,
        seed: Some(amount.seed),
        spread: Some(Duration::from_secs(3_600)),
        log_tracer_query: Some(server.query_grpc().to_owned()),
        ..load::Options::to(server.otlp_grpc())
    };
    let started = Instant::now();
    let outcome = load::send(&options, &mut *progress).await?;
    verify::applied(&mut server.query().await?, APPLY_MAX).await?;
    // The load generator, too, waits for some of it.
    let behind = started.elapsed().saturating_sub(outcome.took);
    Ok((outcome, behind))
}

/// Sends, and answers what was acked as soon as it was.
pub(super) async fn acked(
    server: &Server,
    amount: &Amount,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Ledger, BenchError> {
    Ok(send_only(server, amount, progress).await?.0.ledger())
}
