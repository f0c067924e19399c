//! The figures of the table beside their budgets, for people or as JSON.

use std::fmt;

use serde::Serialize;

use super::{ingest::Ingest, load::Percentiles, queries::Query, restart::Restart, table::Options};

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Spans or log records in one request.
    pub batch: u32,
    /// Connections, each with one request under way.
    pub connections: u16,
    /// Spans in.
    pub spans: Option<Ingest>,
    /// Log records in.
    pub logs: Option<Ingest>,
    /// From an ack until the trace is found by its id, one after the other on a server with nothing else to do.
    pub visibility: Option<Percentiles>,
    /// Each question.
    pub queries: Vec<Query>,
    /// The first answer after a start with nothing in the page cache; empty where that cannot be done.
    pub cold: Vec<Query>,
    /// Resident memory of the server before anything was sent, in bytes.
    pub idle_bytes: Option<u64>,
    /// The most that it had, in bytes.
    pub peak_bytes: Option<u64>,
    /// Starting again after `kill -9`; none when nothing is kept on disk.
    pub restart: Option<Restart>,
    /// Whether nothing was kept on disk.
    pub in_memory: bool,
}

/// A figure that has a budget.
struct Budgeted {
    what: &'static str,
    unit: &'static str,
    measured: Option<f64>,
    budget: f64,
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
            cold: Vec::new(),
            idle_bytes: None,
            peak_bytes: None,
            restart: None,
            in_memory: options.in_memory,
        }
    }

    /// The budgets of ingestion and memory; those of queries stand beside the queries.
    fn budgets(&self) -> Vec<Budgeted> {
        let mebibytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
        let (spans, logs) = (self.spans.as_ref(), self.logs.as_ref());
        let budgeted = |what, unit, measured, budget| Budgeted {
            what,
            unit,
            measured,
            budget,
        };
        let cpu = |ingest: Option<&Ingest>| ingest.and_then(|ingest| ingest.cpu_s_per_million);
        let bytes = |ingest: Option<&Ingest>| ingest.and_then(|ingest| ingest.bytes_per_record);
        // Half of the records of a loaded server, and 99 of 100 on one that has time.
        let loaded = |ingest: Option<&Ingest>| ingest.map(|ingest| ingest.visible.p50_ms);
        let visible = self.visibility.map(|visible| visible.p99_ms);
        let wrong = self.restart.map(|restart| restart.wrong as f64);
        vec![
            budgeted("spans in", "CPU s/1M", cpu(spans), 4.0),
            budgeted("log records in", "CPU s/1M", cpu(logs), 2.5),
            budgeted("a span on disk", "bytes", bytes(spans), 50.0),
            budgeted("a log record on disk", "bytes", bytes(logs), 45.0),
            budgeted("acked and lost or doubled by kill -9", "spans", wrong, 0.0),
            budgeted("ack until found, p99", "ms", visible, 100.0),
            budgeted(
                "the same under full load of spans, p50",
                "ms",
                loaded(spans),
                100.0,
            ),
            budgeted(
                "the same under full load of logs, p50",
                "ms",
                loaded(logs),
                100.0,
            ),
            budgeted(
                "resident while ingesting and asked",
                "MiB",
                mebibytes(self.peak_bytes),
                300.0,
            ),
            budgeted(
                "resident when idle",
                "MiB",
                mebibytes(self.idle_bytes),
                40.0,
            ),
        ]
    }
}

fn verdict(measured: Option<f64>, budget: Option<f64>) -> &'static str {
    match (measured, budget) {
        (Some(measured), Some(budget)) if measured <= budget => "yes",
        (Some(_), Some(_)) => "NO",
        _ => "",
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = match self.in_memory {
            true => "in memory",
            false => "on disk: fsync before the ack",
        };
        writeln!(
            f,
            "{} connections, {} records a request, {kept}\n",
            self.connections, self.batch,
        )?;
        writeln!(
            f,
            "{:<40} {:>10} {:>10} {:<9} within",
            "budget", "measured", "budget", ""
        )?;
        for row in self.budgets() {
            let within = verdict(row.measured, Some(row.budget));
            writeln!(
                f,
                "{:<40} {:>10} {:>10} {:<9} {within}",
                row.what,
                number(row.measured),
                row.budget,
                row.unit
            )?;
        }
        self.write_ingest(f)?;
        write_queries(f, "query", &self.queries)?;
        if !self.cold.is_empty() {
            write_queries(f, "first query after a cold start", &self.cold)?;
        }
        if let Some(restart) = &self.restart {
            writeln!(
                f,
                "\nstarted again after kill -9 with {} acked spans in no block: ready after {:.0} ms, whole after {:.0} ms",
                restart.records, restart.ready_ms, restart.whole_ms
            )?;
        }
        writeln!(
            f,
            "budgets of answers are meant for --records 10000000; the journal beside its disk: cargo bench -p log-tracer-transport-disk --bench journal"
        )
    }
}

impl Report {
    fn write_ingest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<32} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "milliseconds", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (name, ingest) in [("spans", &self.spans), ("log records", &self.logs)] {
            let Some(ingest) = ingest else { continue };
            writeln!(
                f,
                "{:<32} {}",
                format!("{name}, request to ack"),
                ingest.ack
            )?;
            writeln!(
                f,
                "{:<32} {}",
                format!("{name}, ack to found"),
                ingest.visible
            )?;
        }
        if let Some(visibility) = &self.visibility {
            writeln!(f, "{:<32} {visibility}", "ack to found, without load")?;
        }
        for (name, ingest) in [("spans", &self.spans), ("log records", &self.logs)] {
            let Some(ingest) = ingest else { continue };
            writeln!(
                f,
                "{name}: {:.0} acked a second, all found {:.0} ms after the last ack; load generator {} CPU s/1M",
                ingest.records_per_s,
                ingest.behind_ms,
                number(ingest.generator_cpu_s_per_million),
            )?;
        }
        Ok(())
    }
}

fn write_queries(f: &mut fmt::Formatter<'_>, title: &str, queries: &[Query]) -> fmt::Result {
    writeln!(
        f,
        "\n{title:<40} {:>8} {:>8} {:<6} {:>9} {:>9} {:>9} {:>12}",
        "CPU ms", "budget", "within", "p50 ms", "p99 ms", "max ms", "hits"
    )?;
    for query in queries {
        let budget = query
            .budget_cpu_ms
            .map_or(String::new(), |ms| ms.to_string());
        let partial = if query.partial > 0 { " partial" } else { "" };
        writeln!(
            f,
            "{:<40} {:>8} {budget:>8} {:<6} {:>9.2} {:>9.2} {:>9.2} {:>12}{partial}",
            query.name,
            number(query.cpu_ms),
            verdict(query.cpu_ms, query.budget_cpu_ms),
            query.latency.p50_ms,
            query.latency.p99_ms,
            query.latency.max_ms,
            query.hits,
        )?;
    }
    Ok(())
}
