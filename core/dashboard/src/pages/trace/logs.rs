//! The log records of a trace as a list.

use serde::Serialize;

use super::Scene;
use crate::{
    fit,
    lines::{LogLine, Origin, Sender},
    palette::Palette,
    trace::model::{LogItem, Trace},
    units::count,
};

/// Log records in the list at most, and fewer when they are large; the search for logs shows all.
const LOGS_MAX: usize = 300;

/// The list of log records.
#[derive(Debug, Serialize)]
pub(crate) struct LogsView {
    lines: Vec<LogLine>,
    /// "300 of 1,204 log records", when not all are shown.
    cut: String,
    pub(crate) senders: Vec<Sender>,
}

/// The log records of the trace by time.
pub(crate) fn view(scene: &Scene<'_>) -> LogsView {
    let (lines, cut) = lines(scene.trace, scene.palette);
    LogsView {
        lines,
        cut,
        senders: senders(scene.trace, scene.palette),
    }
}

fn lines(trace: &Trace, palette: &Palette) -> (Vec<LogLine>, String) {
    let mut logs: Vec<&LogItem> = trace.logs.iter().collect();
    logs.sort_by_key(|item| item.time());
    let records = logs.iter().map(|item| Some(&item.record));
    let fitting = fit::fitting(records, fit::LINES_BYTES_MAX);
    let lines: Vec<LogLine> = logs
        .iter()
        .take(LOGS_MAX.min(fitting))
        .enumerate()
        .map(|(at, item)| {
            let origin = Origin {
                service: trace.service(item.process),
                scope: trace
                    .scopes
                    .get(item.scope)
                    .map_or("", |scope| &scope.scope.name),
                sender: Some(item.process),
            };
            let mut line = LogLine::new(&item.record, origin, palette, format!("l{at}"));
            line.jump = "span";
            line
        })
        .collect();
    let cut = if lines.len() < logs.len() {
        format!(
            "The first {} of {} log records.",
            count(lines.len() as u64),
            count(logs.len() as u64)
        )
    } else {
        String::new()
    };
    (lines, cut)
}

fn senders(trace: &Trace, palette: &Palette) -> Vec<Sender> {
    trace
        .processes
        .iter()
        .enumerate()
        .map(|(index, process)| {
            Sender::new(
                index,
                &process.service,
                &process.resource,
                &process.schema_url,
                palette,
            )
        })
        .collect()
}
