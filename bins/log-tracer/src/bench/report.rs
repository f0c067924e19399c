//! The figures, as a table or as JSON.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{closed::Sent, server::Stored, table::Options};

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Spans or log records in one request, about.
    pub batch: u64,
    /// Connections, each with one request under way.
    pub connections: u16,
    /// Spans in.
    pub spans: Option<Ingest>,
    /// Log records in.
    pub logs: Option<Ingest>,
    /// From an ack until the trace is found by its id.
    pub visibility: Option<Latencies>,
    /// Each question.
    pub queries: Vec<Query>,
    /// Resident memory of the server before anything was sent, in bytes.
    pub idle_bytes: Option<u64>,
    /// The most that it had, in bytes.
    pub peak_bytes: Option<u64>,
    /// Starting again after `kill -9`; none when nothing is kept on disk.
    pub restart: Option<Restart>,
    /// Whether nothing was kept on disk.
    pub in_memory: bool,
}

/// Starting again after `kill -9`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Restart {
    /// Spans that were acked and not in a block yet, about.
    pub records: u64,
    /// Until requests were taken again, in milliseconds.
    pub ready_ms: f64,
    /// Until everything could be found again, in milliseconds.
    pub whole_ms: f64,
}

impl Restart {
    pub(super) fn new(records: u64, ready: Duration, whole: Duration) -> Self {
        Self {
            records,
            ready_ms: milliseconds(ready),
            whole_ms: milliseconds(whole),
        }
    }
}

/// What taking in one kind of record cost.
#[derive(Clone, Debug, Serialize)]
pub struct Ingest {
    /// How many there were.
    pub records: u64,
    /// CPU seconds of the server for a million, from the wire until they can be queried; none where there is no /proc.
    pub cpu_s_per_million: Option<f64>,
    /// Records acknowledged in a second.
    pub records_per_s: f64,
    /// From the last ack until the last record could be queried, in milliseconds.
    pub behind_ms: f64,
    /// From sending a request until its ack.
    pub ack: Latencies,
    /// Bytes on disk for a record, once all are in blocks; none when nothing is kept on disk.
    pub bytes_per_record: Option<f64>,
}

/// A distribution of times in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latencies {
    /// Half are at most this.
    pub p50_ms: f64,
    /// 99 of 100 are at most this.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// One question.
#[derive(Clone, Debug, Serialize)]
pub struct Query {
    /// What was asked.
    pub name: String,
    /// Spans, records, traces or counts in the answer.
    pub hits: u64,
    /// As the client saw it.
    pub latency: Latencies,
    /// CPU time of the server for one answer; none where there is no /proc.
    pub cpu_ms: Option<f64>,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            batch: options.batch,
            connections: options.connections,
            spans: None,
            logs: None,
            visibility: None,
            queries: Vec::new(),
            idle_bytes: None,
            peak_bytes: None,
            restart: None,
            in_memory: options.in_memory,
        }
    }
}

impl Ingest {
    pub(super) fn new(sent: Sent, cpu: Option<Duration>, stored: Option<Stored>) -> Self {
        let records = sent.records as f64;
        Self {
            records: sent.records,
            cpu_s_per_million: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / records),
            records_per_s: records / sent.acked.as_secs_f64(),
            behind_ms: milliseconds(sent.queryable.saturating_sub(sent.acked)),
            ack: Latencies::new(sent.acks),
            bytes_per_record: stored
                .filter(|stored| stored.rows > 0)
                .map(|stored| stored.bytes as f64 / stored.rows as f64),
        }
    }
}

impl Latencies {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len() as f64 * share) as usize;
            times
                .get(index.min(times.len().saturating_sub(1)))
                .copied()
                .map_or(0.0, milliseconds)
        };
        Self {
            p50_ms: at(0.50),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} connections, about {} records a request, {}\n",
            self.connections,
            self.batch,
            match self.in_memory {
                true => "in memory",
                false => "on disk: fsync before the ack",
            }
        )?;
        writeln!(
            f,
            "{:<38} {:>10} {:>9} {:>9} {:>9} {:>12} {:>13}",
            "ingest", "CPU s/1M", "p50 ms", "p99 ms", "max ms", "records/s", "bytes/record"
        )?;
        for (name, ingest) in [
            ("spans, request to ack", &self.spans),
            ("log records, request to ack", &self.logs),
        ] {
            if let Some(ingest) = ingest {
                let cpu = ingest
                    .cpu_s_per_million
                    .map_or("-".to_owned(), |cpu| format!("{cpu:.2}"));
                let bytes = ingest
                    .bytes_per_record
                    .map_or("-".to_owned(), |bytes| format!("{bytes:.1}"));
                writeln!(
                    f,
                    "{name:<38} {cpu:>10} {} {:>12.0} {bytes:>13}",
                    ingest.ack, ingest.records_per_s
                )?;
            }
        }
        if let Some(visibility) = &self.visibility {
            writeln!(f, "{:<38} {:>10} {visibility}", "ack until found", "")?;
        }
        writeln!(
            f,
            "\n{:<38} {:>10} {:>9} {:>9} {:>9} {:>12}",
            "query", "CPU ms", "p50 ms", "p99 ms", "max ms", "hits"
        )?;
        for query in &self.queries {
            let cpu = query
                .cpu_ms
                .map_or("-".to_owned(), |cpu| format!("{cpu:.1}"));
            writeln!(
                f,
                "{:<38} {cpu:>10} {} {:>12}",
                query.name, query.latency, query.hits
            )?;
        }
        if let (Some(idle), Some(peak)) = (self.idle_bytes, self.peak_bytes) {
            writeln!(
                f,
                "\nresident memory: {} MiB idle, {} MiB at most",
                idle >> 20,
                peak >> 20
            )?;
        }
        if let Some(restart) = &self.restart {
            writeln!(
                f,
                "started again after kill -9 with about {} acked spans in no block: ready after {:.0} ms, whole after {:.0} ms",
                restart.records, restart.ready_ms, restart.whole_ms
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9.2} {:>9.2} {:>9.2}",
            self.p50_ms, self.p99_ms, self.max_ms
        )
    }
}
