//! The figures of a load, as a table or as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{Options, Outcome, tally::Micros};
use crate::bench::{
    process::{MemoryPoint, Usage},
    units,
};

/// What a load gave.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Where it went.
    pub endpoint: String,
    /// Names the data: the same number makes it again.
    pub seed: u64,
    /// The value of the resource attribute `load.run`.
    pub run: String,
    /// Records in a request.
    pub batch: u32,
    /// Connections.
    pub connections: u16,
    /// Requests under way on each.
    pub in_flight: u16,
    /// Records a second that were asked for; none in a closed loop.
    pub rate: Option<f64>,
    /// Spans acknowledged.
    pub spans: u64,
    /// Log records acknowledged.
    pub logs: u64,
    /// Requests acknowledged.
    pub requests: u64,
    /// From the first request until the last answer.
    pub seconds: f64,
    /// Records acknowledged a second.
    pub acked_per_s: f64,
    /// Bytes of acknowledged requests a second, as they went over the wire.
    pub bytes_per_s: f64,
    /// Records that a partial success rejected.
    pub rejected: u64,
    /// Records of requests that were given up after a refusal.
    pub refused: u64,
    /// Records of requests of which nobody knows whether they were taken.
    pub unknown: u64,
    /// How often each refusal was answered.
    pub refusals: BTreeMap<String, u64>,
    /// Attempts after the first.
    pub retries: u64,
    /// Requests acknowledged after an attempt of unknown outcome: a server that does not recognise them holds them twice.
    pub retried_unknown: u64,
    /// From when a request was due until its ack; in a closed loop it is due when the one before was answered.
    pub ack: Percentiles,
    /// From when it was sent until its ack.
    pub service: Percentiles,
    /// From an ack until its records could be found, of a sample.
    pub visible: Option<Percentiles>,
    /// CPU seconds of this load generator for a million records, without making the pool.
    pub own_cpu_s_per_million: Option<f64>,
    /// The server's process.
    pub server: Option<ServerReport>,
}

/// A distribution of times in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// Half are at most this.
    pub p50_ms: f64,
    /// 90 of 100.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1000.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// What the server's process used.
#[derive(Clone, Debug, Serialize)]
pub struct ServerReport {
    /// CPU seconds for a million records, until it came to rest.
    pub cpu_s_per_million: Option<f64>,
    /// Resident bytes before the load.
    pub idle_bytes: u64,
    /// The most that it had since it started.
    pub peak_bytes: Option<u64>,
    /// Resident bytes at the end.
    pub end_bytes: Option<u64>,
    /// Resident bytes over the time of the load.
    pub memory: Vec<MemoryPoint>,
    /// Bytes on disk for a record.
    pub disk_bytes_per_record: Option<f64>,
    /// Bytes handed to the disk for a record, by /proc/PID/io.
    pub written_bytes_per_record: Option<f64>,
}

impl LoadReport {
    pub(super) fn new(options: &Options, outcome: &Outcome, server: Option<ServerReport>) -> Self {
        let counts = &outcome.counts;
        let seconds = outcome.took.as_secs_f64();
        let acked = counts.acked();
        let has_visible = !counts.visible.is_empty();
        Self {
            endpoint: options.endpoint.clone(),
            seed: outcome.seed,
            run: outcome.run.clone(),
            batch: options.batch,
            connections: options.connections,
            in_flight: options.in_flight,
            rate: options.rate,
            spans: counts.spans.acked,
            logs: counts.logs.acked,
            requests: counts.requests,
            seconds,
            acked_per_s: acked as f64 / seconds,
            bytes_per_s: counts.bytes as f64 / seconds,
            rejected: counts.rejected,
            refused: counts.refused,
            unknown: counts.spans.unknown + counts.logs.unknown,
            refusals: counts.refusals.clone(),
            retries: counts.retries,
            retried_unknown: counts.retried_unknown,
            ack: Percentiles::of(&counts.ack),
            service: Percentiles::of(&counts.service),
            visible: has_visible.then(|| Percentiles::of(&counts.visible)),
            own_cpu_s_per_million: outcome.own_cpu.map(|cpu| per_million(cpu, acked)),
            server,
        }
    }
}

pub(crate) fn per_million(cpu: Duration, records: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / records.max(1) as f64
}

impl ServerReport {
    pub(super) fn new(
        records: u64,
        before: Usage,
        after: Option<Usage>,
        disk_bytes: Option<u64>,
        memory: Vec<MemoryPoint>,
    ) -> Self {
        let each = |bytes: u64| bytes as f64 / records.max(1) as f64;
        let cpu = after.map(|after| after.cpu.saturating_sub(before.cpu));
        let written = before
            .written_bytes
            .zip(after.and_then(|after| after.written_bytes));
        Self {
            cpu_s_per_million: cpu.map(|cpu| per_million(cpu, records)),
            idle_bytes: before.resident_bytes,
            peak_bytes: after.map(|after| after.peak_resident_bytes),
            end_bytes: after.map(|after| after.resident_bytes),
            memory,
            disk_bytes_per_record: disk_bytes.map(each),
            written_bytes_per_record: written.map(|(before, after)| each(after - before)),
        }
    }
}

impl Percentiles {
    pub(crate) fn of(micros: &Micros) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: micros.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: micros.max() as f64 / 1e3,
        }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
            self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms
        )
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loop_kind = match self.rate {
            Some(rate) => format!("open loop at {rate} records/s"),
            None => "closed loop".to_owned(),
        };
        writeln!(
            f,
            "{}: {} connections, {} requests under way on each, {} records a request, {loop_kind}; seed {}\n",
            self.endpoint, self.connections, self.in_flight, self.batch, self.seed
        )?;
        let records = self.spans + self.logs;
        writeln!(
            f,
            "acked     {} spans and {} log records in {} requests and {:.1} s: {} records/s, {}/s",
            units::count(self.spans),
            units::count(self.logs),
            units::count(self.requests),
            self.seconds,
            units::count(self.acked_per_s as u64),
            units::bytes(self.bytes_per_s as u64),
        )?;
        writeln!(
            f,
            "not acked {} records refused, {} unknown, {} rejected; {} retries, {} requests acked after an attempt of unknown outcome",
            self.refused, self.unknown, self.rejected, self.retries, self.retried_unknown
        )?;
        for (status, count) in &self.refusals {
            writeln!(f, "          {count} x {status}")?;
        }
        writeln!(
            f,
            "\n{:<24} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "milliseconds", "p50", "p90", "p99", "p99.9", "max"
        )?;
        writeln!(f, "{:<24} {}", "due to ack", self.ack)?;
        if self.rate.is_some() {
            writeln!(f, "{:<24} {}", "sent to ack", self.service)?;
        }
        if let Some(visible) = &self.visible {
            let name = format!("ack to found ({})", visible.count);
            writeln!(f, "{name:<24} {visible}")?;
        }
        writeln!(f)?;
        if let Some(cpu) = self.own_cpu_s_per_million {
            writeln!(f, "load generator: {cpu:.2} CPU s/1M, {records} records")?;
        }
        self.server.as_ref().map_or(Ok(()), |server| server.fmt(f))
    }
}

impl fmt::Display for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        writeln!(
            f,
            "server: {} CPU s/1M; {} bytes on disk and {} written for a record",
            or_dash(self.cpu_s_per_million.map(|cpu| format!("{cpu:.2}"))),
            or_dash(
                self.disk_bytes_per_record
                    .map(|bytes| format!("{bytes:.1}"))
            ),
            or_dash(
                self.written_bytes_per_record
                    .map(|bytes| format!("{bytes:.1}"))
            ),
        )?;
        writeln!(
            f,
            "resident: {} before, {} at most, {} at the end  {}",
            units::bytes(self.idle_bytes),
            or_dash(self.peak_bytes.map(units::bytes)),
            or_dash(self.end_bytes.map(units::bytes)),
            units::sparkline(self.memory.iter().map(|point| point.bytes)),
        )
    }
}
