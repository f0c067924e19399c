//! Every record of a range that matches, as lines.

use std::io;

use bytes::Bytes;
use log_tracer_proto::{
    json,
    otlp::{
        common::{AnyValue, KeyValue},
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans, Span, status::StatusCode},
    },
    v1::{
        Coverage, ExportRequest, ExportResponse, LogHit, ResourceEntry, ScopeEntry, Signal, SpanHit,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use warp::reply::{Reply, Response};

use super::{Call, check, coverage, signal};
use crate::{
    ask::Exported,
    clock::{self, Moment},
    fault::Fault,
    jaeger,
    lines::{Tables, hex, level},
    pages::logs::{self, columns},
    params::Params,
    range::Range,
    reply,
    search::{compose, service_term},
    trace::fields,
    value,
};

/// Pieces that wait for a slow reader.
const PIECES_WAITING_MAX: usize = 2;

/// A text of a cell is not cut; a value may be as long as a record may be.
const CELL_BYTES_MAX: usize = usize::MAX / 4;

/// The columns of logs.
const LOG_HEAD: &str = "time,service,severity,body,event_name,trace_id,span_id,attributes,resource";

/// The columns of spans.
const SPAN_HEAD: &str = "start,duration_ns,service,name,kind,status,status_message,trace_id,span_id,parent_span_id,attributes,resource";

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ndjson,
    Csv,
}

/// The query that the parameters make: `q`, `service` and `level`.
pub(super) fn query(params: &Params, signal: Signal) -> Result<String, Fault> {
    if params.get("level").is_some() && signal == Signal::Spans {
        return Err(Fault::input("level: spans have no severity"));
    }
    let level = logs::Search::read(&params.only(|key| key == "level"))?.query();
    Ok(compose(
        &params.text("q"),
        &[service_term(&params.text("service")), level],
    ))
}

/// Answers an export.
pub(super) async fn export(call: &Call<'_>) -> Result<Response, Fault> {
    let signal = signal(call.params)?;
    let format = call.params.read("format", |text| match text {
        "ndjson" => Ok(Format::Ndjson),
        "csv" => Ok(Format::Csv),
        _ => Err(format!("`{text}` is neither ndjson nor csv")),
    })?;
    let format = format.unwrap_or(Format::Ndjson);
    let columns = call.params.read("cols", columns::parse)?;
    let columns = columns.unwrap_or_default();
    if !columns.is_empty() && (signal == Signal::Spans || format == Format::Ndjson) {
        return Err(Fault::input("cols: only a table of logs has columns"));
    }
    check(&call.params.text("q"))?;
    let request = ExportRequest {
        signal: signal.into(),
        query: query(call.params, signal)?,
        range: Some(Range::read(call.params)?.bounds(clock::now())),
        after: None,
    };
    let mut exported = call.app.ask.export(request).await?;
    // A query that the consumer refuses is refused before the answer begins.
    let first = exported.next().await?;
    let known = first.as_ref().and_then(|first| first.coverage.as_ref());
    if let (Format::Csv, Some(known)) = (format, known.filter(|known| known.partial)) {
        return Err(lacking(&known.reasons));
    }
    let head = Head { signal, columns };
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let shutdown = call.app.shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            written = write(exported, first, head, format, &sender) => {
                if let Err(Some(fault)) = written {
                    // What is cut off must not look whole. The reader may have left, too.
                    let error = io::Error::other(fault.message().to_owned());
                    let _ = sender.send(Err(error)).await;
                }
            }
        }
    });
    let mut response = warp::reply::stream(ReceiverStream::new(receiver)).into_response();
    let what = if signal == Signal::Spans {
        "spans"
    } else {
        "logs"
    };
    let (content_type, ending) = match format {
        Format::Ndjson => ("application/x-ndjson", "ndjson"),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
    };
    reply::as_type(&mut response, content_type);
    reply::as_file(&mut response, &format!("{what}.{ending}"));
    Ok(response)
}

/// What stands in a file.
struct Head {
    signal: Signal,
    /// Fields of logs that stand in columns of a table of their own, after the others.
    columns: Vec<String>,
}

impl Head {
    /// The names of the columns.
    fn cells(&self) -> Vec<String> {
        let own = if self.signal == Signal::Spans {
            SPAN_HEAD
        } else {
            LOG_HEAD
        };
        let own = own.split(',').map(str::to_owned);
        own.chain(self.columns.iter().cloned()).collect()
    }
}

/// Why there is no table, which has no place to say what it lacks.
pub(crate) fn lacking(reasons: &[String]) -> Fault {
    let reasons = reasons.join("; ");
    Fault::consumer(format!(
        "this would not be everything: {reasons}. The format ndjson has what there is, and says so in its last line"
    ))
}

type Sender = mpsc::Sender<Result<Bytes, io::Error>>;

/// The error is a fault, or none when the reader has left.
async fn write(
    mut exported: Exported,
    first: Option<ExportResponse>,
    head: Head,
    format: Format,
    sender: &Sender,
) -> Result<(), Option<Fault>> {
    let send = async |text: String| sender.send(Ok(Bytes::from(text))).await.map_err(|_| None);
    if format == Format::Csv {
        let mut names = String::new();
        row(&head.cells(), &mut names);
        send(names).await?;
    }
    let mut all = Coverage::default();
    let mut next = first;
    while let Some(message) = next.take() {
        if let Some(own) = &message.coverage {
            all.partial |= own.partial;
            for reason in &own.reasons {
                if !all.reasons.contains(reason) {
                    all.reasons.push(reason.clone());
                }
            }
        }
        all.matched += u64::from(message.records);
        let lines = match format {
            Format::Ndjson => ndjson(message),
            Format::Csv => csv(message, &head.columns),
        };
        if !lines.is_empty() {
            send(lines).await?;
        }
        next = exported.next().await.map_err(Some)?;
    }
    match format {
        Format::Ndjson => {
            let list = if head.signal == Signal::Spans {
                "resourceSpans"
            } else {
                "resourceLogs"
            };
            let coverage = coverage(Some(&all));
            send(format!("{{\"{list}\":[],\"coverage\":{coverage}}}\n")).await
        }
        Format::Csv if all.partial => Err(Some(lacking(&all.reasons))),
        Format::Csv => Ok(()),
    }
}

/// A record with its sender and its scope.
struct Of<'a, T> {
    resource: &'a Resource,
    record: &'a T,
}

fn ndjson(message: ExportResponse) -> String {
    let mut out = String::new();
    for group in message.resource_spans {
        for mut scoped in group.scope_spans {
            for span in std::mem::take(&mut scoped.spans) {
                let alone = ResourceSpans {
                    resource: group.resource.clone(),
                    schema_url: group.schema_url.clone(),
                    scope_spans: vec![ScopeSpans {
                        spans: vec![span],
                        ..scoped.clone()
                    }],
                };
                out.push_str(&json::traces_to_json(&[alone]));
                out.push('\n');
            }
        }
    }
    for group in message.resource_logs {
        for mut scoped in group.scope_logs {
            for record in std::mem::take(&mut scoped.log_records) {
                let alone = ResourceLogs {
                    resource: group.resource.clone(),
                    schema_url: group.schema_url.clone(),
                    scope_logs: vec![ScopeLogs {
                        log_records: vec![record],
                        ..scoped.clone()
                    }],
                };
                out.push_str(&json::logs_to_json(&[alone]));
                out.push('\n');
            }
        }
    }
    out
}

fn csv(message: ExportResponse, columns: &[String]) -> String {
    let mut out = String::new();
    for group in &message.resource_spans {
        let resource = group.resource.clone().unwrap_or_default();
        for record in group.scope_spans.iter().flat_map(|scoped| &scoped.spans) {
            let resource = &resource;
            row(&span_cells(&Of { resource, record }), &mut out);
        }
    }
    for group in message.resource_logs {
        let resource = group.resource.unwrap_or_default();
        let resources = [ResourceEntry {
            service: service(&resource),
            resource: Some(resource.clone()),
            schema_url: group.schema_url,
        }];
        for scoped in group.scope_logs {
            let scopes = [ScopeEntry {
                scope: scoped.scope,
                schema_url: scoped.schema_url,
            }];
            let tables = Tables {
                resources: &resources,
                scopes: &scopes,
            };
            for record in scoped.log_records {
                let (resource, record) = (&resource, &record);
                let mut cells = log_cells(&Of { resource, record });
                if !columns.is_empty() {
                    let hit = LogHit {
                        record: Some(record.clone()),
                        ..LogHit::default()
                    };
                    cells.extend(columns::values(columns, &hit, tables, CELL_BYTES_MAX));
                }
                row(&cells, &mut out);
            }
        }
    }
    out
}

fn span_cells(of: &Of<'_, Span>) -> Vec<String> {
    let span = of.record;
    let status = span.status.as_ref();
    let code = status.map_or(StatusCode::Unset, |status| status.code());
    let duration = span
        .end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano);
    vec![
        time(span.start_time_unix_nano),
        duration.to_string(),
        service(of.resource),
        span.name.clone(),
        fields::kind(span.kind()).to_owned(),
        fields::status_word(code).to_owned(),
        status.map_or_else(String::new, |status| status.message.clone()),
        hex(&span.trace_id),
        hex(&span.span_id),
        hex(&span.parent_span_id),
        map(&span.attributes),
        map(&of.resource.attributes),
    ]
}

fn log_cells(of: &Of<'_, LogRecord>) -> Vec<String> {
    let record = of.record;
    let at = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        at => at,
    };
    let severity = match record.severity_text.as_str() {
        "" => level(record.severity_number).to_owned(),
        own => own.to_owned(),
    };
    vec![
        time(at),
        service(of.resource),
        severity,
        body(record.body.as_ref()),
        record.event_name.clone(),
        hex(&record.trace_id),
        hex(&record.span_id),
        map(&record.attributes),
        map(&of.resource.attributes),
    ]
}

pub(crate) fn time(unix_nano: u64) -> String {
    match unix_nano {
        0 => String::new(),
        time => Moment::new(time).iso,
    }
}

fn service(resource: &Resource) -> String {
    value::of(&resource.attributes, "service.name")
        .unwrap_or_default()
        .to_owned()
}

fn body(body: Option<&AnyValue>) -> String {
    value::text(body, CELL_BYTES_MAX)
}

/// Attributes as a JSON object; nothing when there are none.
pub(crate) fn map(attributes: &[KeyValue]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    object(attributes).to_string()
}

/// Attributes as a JSON object.
pub(crate) fn object(attributes: &[KeyValue]) -> serde_json::Value {
    let pairs = attributes.iter().map(|pair| {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        (
            pair.key.clone(),
            value.map_or(serde_json::Value::Null, jaeger::plain),
        )
    });
    serde_json::Value::from(pairs.collect::<serde_json::Map<_, _>>())
}

/// A row by RFC 4180.
pub(crate) fn row(cells: &[String], out: &mut String) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        // A spreadsheet runs a cell that begins so; a record is written by whoever may send one.
        let is_formula =
            cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
        if is_formula || cell.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            if is_formula {
                out.push('\'');
            }
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push_str("\r\n");
}

/// Each log record in a group of its own, so that the order of an answer is kept.
pub(super) fn log_groups(
    hits: Vec<LogHit>,
    resources: &[ResourceEntry],
    scopes: &[ScopeEntry],
) -> Vec<ResourceLogs> {
    let of = |hit: LogHit| {
        let resource = resources.get(hit.resource as usize).cloned();
        let scope = scopes.get(hit.scope as usize).cloned();
        let (resource, scope) = (resource.unwrap_or_default(), scope.unwrap_or_default());
        ResourceLogs {
            resource: resource.resource,
            schema_url: resource.schema_url,
            scope_logs: vec![ScopeLogs {
                scope: scope.scope,
                schema_url: scope.schema_url,
                log_records: hit.record.into_iter().collect(),
            }],
        }
    };
    hits.into_iter().map(of).collect()
}

/// Each span in a group of its own.
pub(super) fn span_groups(
    hits: Vec<SpanHit>,
    resources: &[ResourceEntry],
    scopes: &[ScopeEntry],
) -> Vec<ResourceSpans> {
    let of = |hit: SpanHit| {
        let resource = resources.get(hit.resource as usize).cloned();
        let scope = scopes.get(hit.scope as usize).cloned();
        let (resource, scope) = (resource.unwrap_or_default(), scope.unwrap_or_default());
        ResourceSpans {
            resource: resource.resource,
            schema_url: resource.schema_url,
            scope_spans: vec![ScopeSpans {
                scope: scope.scope,
                schema_url: scope.schema_url,
                spans: hit.span.into_iter().collect(),
            }],
        }
    };
    hits.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests;
