//! All log records of a search as a file: `/logs/export?format=csv` or `ndjson`, with the parameters of the page.
//!
//! Records come oldest first, as the consumer's Export has them, and are written as they come: a file of any size takes
//! the memory of a few messages. A fault on the way breaks the connection, so that what is cut off does not look whole.
//!
//! - **NDJSON**: an object a line: `time` (RFC 3339, nanoseconds), `severity`, `severityNumber`, `service`, `body`,
//!   `event`, `traceId`, `spanId`, `attributes`, `resource`. Texts, numbers and booleans are themselves, lists and maps
//!   their JSON in a text, bytes hexadecimal digits; what is empty is left away.
//! - **CSV** (RFC 4180, UTF-8, CRLF): `time`, `severity`, `service`, `body`, `trace`, `span`, and the chosen columns. A
//!   text that a spreadsheet would take for a formula (`=`, `+`, `-`, `@`, a tab at its beginning, unless it is a number)
//!   gets an apostrophe before it.
//!
//! When records may be missing, the last line says so and why.

use std::{collections::BTreeSet, io};

use bytes::Bytes;
use http::{HeaderValue, header};
use log_tracer_proto::{
    otlp::{
        common::{AnyValue, KeyValue, any_value::Value as Any},
        logs::LogRecord,
    },
    v1::{ExportRequest, ExportResponse, LogHit, ResourceEntry, ScopeEntry, Signal},
};
use log_tracer_query::parse;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use warp::reply::{Reply, Response};

use super::{Search, columns};
use crate::{
    app::App,
    ask::Exported,
    clock::{self, Moment},
    fault::Fault,
    lines::{Tables, level, valid_hex},
    params::Params,
    value,
};

/// Messages that wait for a slow reader.
const WAITING_MAX: usize = 2;

/// Bytes of a text of a record: more than any sender's limit.
const TEXT_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ndjson,
    Csv,
}

/// Answers `/logs/export`.
pub(crate) async fn answer(app: &App, params: &Params) -> Result<Response, Fault> {
    let search = Search::read(params)?;
    let format = params.read("format", |text| match text {
        "ndjson" => Ok(Format::Ndjson),
        "csv" => Ok(Format::Csv),
        _ => Err(format!(
            "`{text}` is not a format; it is one of ndjson, csv"
        )),
    })?;
    let format = format.unwrap_or(Format::Ndjson);
    parse(&search.q).map_err(|error| Fault::input(error.to_string()))?;
    let request = ExportRequest {
        signal: Signal::Logs.into(),
        query: search.query(),
        range: Some(search.range.bounds(clock::now())),
        after: None,
    };
    let export = app.ask.export(request).await?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let shutdown = app.shutdown.clone();
    tokio::spawn(async move {
        // Nobody is told when the browser has left; the channel is closed then, and the rest is not read.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = write(export, format, search.columns, sender) => {}
        }
    });
    let mut response = warp::reply::stream(ReceiverStream::new(receiver)).into_response();
    let headers = response.headers_mut();
    let (kind, file) = match format {
        Format::Ndjson => (
            "application/x-ndjson",
            "attachment; filename=\"logs.ndjson\"",
        ),
        Format::Csv => (
            "text/csv; charset=utf-8",
            "attachment; filename=\"logs.csv\"",
        ),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(file));
    Ok(response)
}

async fn write(
    mut export: Exported,
    format: Format,
    columns: Vec<String>,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
) {
    if format == Format::Csv {
        let head = Bytes::from(csv_head(&columns));
        if sender.send(Ok(head)).await.is_err() {
            return;
        }
    }
    let mut missing = BTreeSet::new();
    loop {
        let (part, is_last) = match export.next().await {
            Ok(Some(part)) => {
                let coverage = part.coverage.clone().unwrap_or_default();
                if coverage.partial {
                    missing.extend(coverage.reasons.into_iter().take(8));
                }
                (Ok(text(&part, format, &columns)), false)
            }
            Ok(None) => (Ok(remark(&missing, format, &columns)), true),
            Err(fault) => (Err(io::Error::other(fault.message().to_owned())), true),
        };
        if sender.send(part.map(Bytes::from)).await.is_err() || is_last {
            return;
        }
    }
}

/// A last line when records may be missing, since the answer's status is sent already.
fn remark(missing: &BTreeSet<String>, format: Format, columns: &[String]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let reasons: Vec<&str> = missing.iter().map(String::as_str).collect();
    match format {
        Format::Ndjson => format!("{}\n", json!({"partial": true, "reasons": reasons})),
        Format::Csv => {
            let words = format!("this is not everything: {}", reasons.join("; "));
            let fixed = ["", "", "log-tracer", words.as_str(), "", ""];
            let rest = columns.iter().map(|_| "");
            line(fixed.into_iter().chain(rest).map(csv_field))
        }
    }
}

/// The records of a message, a line each.
fn text(part: &ExportResponse, format: Format, columns: &[String]) -> String {
    let mut out = String::new();
    for group in &part.resource_logs {
        let resource = group.resource.clone().unwrap_or_default();
        let service = value::of(&resource.attributes, "service.name").unwrap_or("unknown_service");
        let resources = [ResourceEntry {
            service: service.to_owned(),
            resource: Some(resource),
            schema_url: String::new(),
        }];
        for scope_logs in &group.scope_logs {
            let scopes = [ScopeEntry {
                scope: scope_logs.scope.clone(),
                schema_url: String::new(),
            }];
            let tables = Tables {
                resources: &resources,
                scopes: &scopes,
            };
            for record in &scope_logs.log_records {
                match format {
                    Format::Ndjson => {
                        out.push_str(&object(record, tables).to_string());
                        out.push('\n');
                    }
                    Format::Csv => out.push_str(&csv_row(record, tables, columns)),
                }
            }
        }
    }
    out
}

fn time(record: &LogRecord) -> String {
    let time = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time => time,
    };
    Moment::new(time).iso
}

fn severity(record: &LogRecord) -> String {
    match record.severity_text.as_str() {
        "" => level(record.severity_number).to_uppercase(),
        text => text.to_owned(),
    }
}

fn object(record: &LogRecord, tables: Tables<'_>) -> Value {
    let resource = tables.resources.first();
    let service = resource.map_or("", |entry| &entry.service);
    let resource = resource.and_then(|entry| entry.resource.as_ref());
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !is_empty {
            object.insert(key.to_owned(), value);
        }
    };
    put("time", time(record).into());
    put("severity", severity(record).into());
    put("severityNumber", record.severity_number.into());
    put("service", service.into());
    put("body", plain(record.body.as_ref()));
    put("event", record.event_name.clone().into());
    put("traceId", valid_hex::<16>(&record.trace_id).into());
    put("spanId", valid_hex::<8>(&record.span_id).into());
    put("attributes", pairs(&record.attributes));
    put(
        "resource",
        pairs(resource.map_or(&[], |resource| resource.attributes.as_slice())),
    );
    Value::Object(object)
}

fn pairs(attributes: &[KeyValue]) -> Value {
    let pairs = attributes
        .iter()
        .map(|pair| (pair.key.clone(), plain(pair.value.as_ref())));
    Value::Object(pairs.collect())
}

fn plain(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        None => Value::Null,
        Some(Any::BoolValue(value)) => json!(value),
        Some(Any::IntValue(value)) => json!(value),
        // What JSON has no number for is a text.
        Some(Any::DoubleValue(number)) if number.is_finite() => json!(number),
        Some(_) => value::text(value, TEXT_BYTES_MAX).into(),
    }
}

fn csv_head(columns: &[String]) -> String {
    let fixed = ["time", "severity", "service", "body", "trace", "span"];
    let names = fixed
        .into_iter()
        .chain(columns.iter().map(String::as_str))
        .map(csv_field);
    line(names)
}

fn csv_row(record: &LogRecord, tables: Tables<'_>, columns: &[String]) -> String {
    let service = tables.resources.first().map_or("", |entry| &entry.service);
    let hit = LogHit {
        record: Some(record.clone()),
        ..LogHit::default()
    };
    let fields = [
        time(record),
        severity(record),
        service.to_owned(),
        value::text(record.body.as_ref(), TEXT_BYTES_MAX),
        valid_hex::<16>(&record.trace_id).unwrap_or_default(),
        valid_hex::<8>(&record.span_id).unwrap_or_default(),
    ];
    let cells = columns::cells(columns, &hit, tables);
    line(fields.iter().chain(&cells).map(|field| csv_field(field)))
}

fn line(fields: impl Iterator<Item = String>) -> String {
    let fields: Vec<String> = fields.collect();
    format!("{}\r\n", fields.join(","))
}

fn csv_field(text: &str) -> String {
    let is_formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::otlp::logs::{ResourceLogs, ScopeLogs};
    use proptest::prelude::*;

    use super::*;

    fn text_value(text: &str) -> Option<AnyValue> {
        Some(AnyValue {
            value: Some(Any::StringValue(text.to_owned())),
        })
    }

    fn part(body: &str) -> ExportResponse {
        let record = LogRecord {
            time_unix_nano: 1,
            severity_number: 17,
            body: text_value(body),
            attributes: vec![KeyValue {
                key: "n".to_owned(),
                value: Some(AnyValue {
                    value: Some(Any::IntValue(7)),
                }),
                ..KeyValue::default()
            }],
            ..LogRecord::default()
        };
        ExportResponse {
            resource_logs: vec![ResourceLogs {
                scope_logs: vec![ScopeLogs {
                    log_records: vec![record],
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }],
            ..ExportResponse::default()
        }
    }

    #[test]
    fn a_record_is_an_object_or_a_row() {
        let line = text(&part("a \"b\""), Format::Ndjson, &[]);
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["body"], "a \"b\"");
        assert_eq!(object["attributes"]["n"], 7);
        assert_eq!(object["severity"], "ERROR");
        assert!(object.get("traceId").is_none());
        let row = text(&part("a, \"b\""), Format::Csv, &["n".to_owned()]);
        assert_eq!(
            row,
            "1970-01-01T00:00:00.000000001Z,ERROR,unknown_service,\"a, \"\"b\"\"\",,,7\r\n"
        );
    }

    #[test]
    fn a_last_line_says_what_may_be_missing() {
        let none = BTreeSet::new();
        assert_eq!(remark(&none, Format::Csv, &[]), "");
        let missing = BTreeSet::from(["a block, broken".to_owned()]);
        let columns = ["n".to_owned()];
        assert_eq!(
            remark(&missing, Format::Csv, &columns),
            ",,log-tracer,\"this is not everything: a block, broken\",,,\r\n"
        );
        assert!(remark(&missing, Format::Ndjson, &[]).starts_with("{\"partial\":true"));
    }

    #[test]
    fn no_text_is_a_formula_and_numbers_stay() {
        assert_eq!(csv_field("=1+1"), "'=1+1");
        assert_eq!(csv_field("-5.5"), "-5.5");
        assert_eq!(csv_field("@cmd,x"), "\"'@cmd,x\"");
    }

    proptest! {
        #[test]
        fn any_body_is_one_line_of_json(body in "\\PC{0,60}|[\n\r\u{0}\"\\\\]{0,9}") {
            let line = text(&part(&body), Format::Ndjson, &[]);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let object: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(object.get("body").and_then(Value::as_str).unwrap_or_default(), body);
        }
    }
}
