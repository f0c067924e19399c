//! Log records as lines of a list, wherever they are shown.

use log_tracer_proto::{
    otlp::{common::KeyValue, logs::LogRecord, resource::Resource},
    v1::{LogHit, RecordKey, ResourceEntry, ScopeEntry},
};
use log_tracer_query::{Field, Intrinsic, quote};
use serde::Serialize;

use crate::{clock::Moment, palette::Palette, params::Link, search::term, units::clip, value};

/// Bytes of a body that stand in the line, and that stand below it when it is opened.
const LINE_BYTES_MAX: usize = 400;
const BODY_BYTES_MAX: usize = 16 << 10;

/// Bytes of an attribute's value that are shown.
const VALUE_BYTES_MAX: usize = 2 << 10;

/// Attributes of a record that are shown; more are in the download.
const ATTRIBUTES_MAX: usize = 128;

/// Attributes that stand beside the body.
const CHIPS_MAX: usize = 3;

/// A log record.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LogLine {
    /// Its place on the page, made of its key.
    pub(crate) anchor: String,
    time: Moment,
    /// A class: "error".
    pub(crate) level: &'static str,
    /// What is written: "ERROR", or the sender's own word.
    label: String,
    service: String,
    colour: usize,
    event: String,
    line: String,
    /// The whole body, when the line does not hold it.
    body: String,
    chips: Vec<Chip>,
    attributes: Vec<Attribute>,
    scope: String,
    /// Where on the page the sender's resource is shown; empty where it is not.
    sender: String,
    trace: Option<TraceLink>,
    /// What the link to it is called, and what it leads to in more words.
    jump: &'static str,
    jump_title: String,
    /// Leads to the lines around this one; empty where there is no key.
    around: String,
    /// Whether this is the line that was asked for.
    pub(crate) marked: bool,
    /// What stands in the columns that the visitor chose.
    pub(crate) cells: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Chip {
    key: String,
    value: String,
}

#[derive(Clone, Debug, Serialize)]
struct TraceLink {
    id: String,
    href: String,
    span: String,
}

/// A key and a value.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attribute {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) kind: &'static str,
    /// The query for this value; empty where there is none.
    pub(crate) term: String,
}

/// Who sent a record, and through what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) service: &'a str,
    pub(crate) scope: &'a str,
    /// Index of the sender among those of the page, when they are shown on it.
    pub(crate) sender: Option<usize>,
}

/// The resource of a sender, shown once for all of its records.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sender {
    anchor: String,
    service: String,
    colour: usize,
    attributes: Vec<Attribute>,
    schema_url: String,
}

impl Sender {
    /// `index` is its number among the senders of the page.
    pub(crate) fn new(
        index: usize,
        service: &str,
        resource: &Resource,
        schema_url: &str,
        palette: &Palette,
    ) -> Self {
        Self {
            anchor: format!("r{index}"),
            service: clip(service, 60),
            colour: palette.colour(service),
            attributes: attributes(&resource.attributes),
            schema_url: clip(schema_url, 200),
        }
    }
}

/// The senders of a search's hits.
pub(crate) fn senders(resources: &[ResourceEntry], palette: &Palette) -> Vec<Sender> {
    let none = Resource::default();
    resources
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let resource = entry.resource.as_ref().unwrap_or(&none);
            Sender::new(index, &entry.service, resource, &entry.schema_url, palette)
        })
        .collect()
}

/// Attributes with the query that finds each.
pub(crate) fn attributes(pairs: &[KeyValue]) -> Vec<Attribute> {
    pairs
        .iter()
        .take(ATTRIBUTES_MAX)
        .map(|pair| Attribute {
            key: clip(&pair.key, 200),
            value: value::text(pair.value.as_ref(), VALUE_BYTES_MAX),
            kind: value::kind(pair.value.as_ref()),
            term: value::scalar(pair.value.as_ref())
                .filter(|_| !pair.key.is_empty() && pair.key.len() <= 200)
                .and_then(|text| term(&field_of(&pair.key), &text))
                .unwrap_or_default(),
        })
        .collect()
}

/// The field of an attribute; `service.name` is the service.
fn field_of(key: &str) -> Field {
    match key {
        "service.name" => Field::Intrinsic(Intrinsic::Service),
        key => Field::Attribute(key.to_owned()),
    }
}

/// OTLP's severity number as one of six ranges, and as a class.
pub(crate) fn level(severity_number: i32) -> &'static str {
    match severity_number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => "unspecified",
    }
}

/// The body on one line, or the name of the event where there is no body.
pub(crate) fn one_line(record: &LogRecord) -> String {
    let text = value::text(record.body.as_ref(), LINE_BYTES_MAX);
    let text = if text.trim().is_empty() {
        clip(&record.event_name, 200)
    } else {
        text
    };
    // Line breaks and tabs would tear the row apart.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl LogLine {
    /// A line. `anchor` must be unique on the page.
    pub(crate) fn new(
        record: &LogRecord,
        origin: Origin<'_>,
        palette: &Palette,
        anchor: String,
    ) -> Self {
        let line = one_line(record);
        let body = value::text(record.body.as_ref(), BODY_BYTES_MAX);
        let time = match record.time_unix_nano {
            0 => record.observed_time_unix_nano,
            time => time,
        };
        let level = level(record.severity_number);
        Self {
            anchor,
            time: Moment::new(time),
            level,
            label: label(level, &record.severity_text),
            service: clip(origin.service, 60),
            colour: palette.colour(origin.service),
            event: clip(&record.event_name, 120),
            body: if body == line { String::new() } else { body },
            line,
            chips: chips(&record.attributes),
            attributes: attributes(&record.attributes),
            scope: clip(origin.scope, 120),
            sender: origin
                .sender
                .map_or_else(String::new, |index| format!("r{index}")),
            trace: trace_link(record),
            jump: "trace",
            jump_title: String::new(),
            around: String::new(),
            marked: false,
            cells: Vec::new(),
        }
    }

    /// Leads elsewhere than to its trace: an address, what the link is called, and what stands there. Or nowhere.
    pub(crate) fn leads_to(&mut self, target: Option<(String, &'static str, String)>) {
        let Some((href, jump, title)) = target else {
            self.trace = None;
            return;
        };
        if let Some(trace) = &mut self.trace {
            trace.href = href;
            (self.jump, self.jump_title) = (jump, title);
        }
    }

    /// The line of a search's hit, on a page that shows the senders or not.
    pub(crate) fn of_hit(
        hit: &LogHit,
        tables: Tables<'_>,
        palette: &Palette,
        with_senders: bool,
    ) -> Self {
        let none = LogRecord::default();
        let record = hit.record.as_ref().unwrap_or(&none);
        let scope = tables
            .scopes
            .get(hit.scope as usize)
            .and_then(|entry| entry.scope.as_ref());
        let origin = Origin {
            service: tables
                .resources
                .get(hit.resource as usize)
                .map_or("unknown_service", |entry| &entry.service),
            scope: scope.map_or("", |scope| &scope.name),
            sender: with_senders.then_some(hit.resource as usize),
        };
        let key = key_param(&hit.key.unwrap_or_default());
        let anchor = format!("l{key}");
        let mut line = Self::new(record, origin, palette, anchor.clone());
        line.around = Link::to("/logs").with("around", key).at(anchor).to_string();
        line
    }
}

/// The tables that hits point into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables<'a> {
    pub(crate) resources: &'a [ResourceEntry],
    pub(crate) scopes: &'a [ScopeEntry],
}

/// The services of hits, for their colours.
pub(crate) fn services_of(resources: &[ResourceEntry]) -> impl Iterator<Item = &str> {
    resources.iter().map(|resource| resource.service.as_str())
}

/// A record's key as a parameter: time, partition, offset and index.
pub(crate) fn key_param(key: &RecordKey) -> String {
    format!(
        "{}-{}-{}-{}",
        key.time_unix_nano, key.partition, key.offset, key.index
    )
}

/// Reads [`key_param`].
pub(crate) fn parse_key(text: &str) -> Result<RecordKey, String> {
    let mut parts = text.split('-');
    let key = (|| {
        let key = RecordKey {
            time_unix_nano: parts.next()?.parse().ok()?,
            partition: parts.next()?.parse().ok()?,
            offset: parts.next()?.parse().ok()?,
            index: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(key)
    })();
    key.ok_or_else(|| format!("`{text}` is not the key of a record; follow a link of the list"))
}

fn label(level: &'static str, text: &str) -> String {
    match (text.trim(), level) {
        ("", "unspecified") => "–".to_owned(),
        ("", level) => level.to_uppercase(),
        (text, _) => clip(text, 10).to_uppercase(),
    }
}

fn chips(pairs: &[KeyValue]) -> Vec<Chip> {
    pairs
        .iter()
        .filter_map(|pair| {
            let value = value::scalar(pair.value.as_ref())?;
            Some(Chip {
                key: clip(&pair.key, 40),
                value: clip(&value, 40),
            })
        })
        .take(CHIPS_MAX)
        .collect()
}

fn trace_link(record: &LogRecord) -> Option<TraceLink> {
    let trace = valid_hex::<16>(&record.trace_id)?;
    let span = valid_hex::<8>(&record.span_id).unwrap_or_default();
    Some(TraceLink {
        href: trace_href(&trace, &span),
        id: trace,
        span,
    })
}

/// Where a trace is shown, with one of its spans selected.
pub(crate) fn trace_href(trace: &str, span: &str) -> String {
    let link = Link::to(format!("/trace/{trace}")).with("span", span);
    match span {
        "" => link.to_string(),
        span => link.at(format!("s{span}")).to_string(),
    }
}

/// An id in hexadecimal digits, unless it has the wrong length or is all zero.
pub(crate) fn valid_hex<const LENGTH: usize>(bytes: &[u8]) -> Option<String> {
    let id = <[u8; LENGTH]>::try_from(bytes).ok()?;
    (id != [0; LENGTH]).then(|| hex(&id))
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
            // Writing to a string does not fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// An id from hexadecimal digits of any case; none when it has another length or is all zero.
pub(crate) fn from_hex<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let mut id = [0; LENGTH];
    if text.len() != 2 * LENGTH || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in id.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    (id != [0; LENGTH]).then_some(id)
}

/// The query for all log records of a trace.
pub(crate) fn trace_term(trace: &str) -> String {
    format!("{}:{}", Intrinsic::TraceId.name(), quote(trace))
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::otlp::common::{AnyValue, any_value::Value};
    use proptest::prelude::*;

    use super::*;

    fn record(body: &str) -> LogRecord {
        LogRecord {
            body: Some(AnyValue {
                value: Some(Value::StringValue(body.to_owned())),
            }),
            ..LogRecord::default()
        }
    }

    #[test]
    fn a_line_has_no_line_breaks_and_the_body_keeps_them() {
        assert_eq!(one_line(&record("a\n\tb")), "a b");
        let named = LogRecord {
            event_name: "order.placed".to_owned(),
            ..LogRecord::default()
        };
        assert_eq!(one_line(&named), "order.placed");
    }

    #[test]
    fn severities_fall_into_six_ranges() {
        let names: Vec<&str> = [0, 1, 5, 9, 13, 17, 21, 25, -1]
            .into_iter()
            .map(level)
            .collect();
        let want = [
            "unspecified",
            "trace",
            "debug",
            "info",
            "warn",
            "error",
            "fatal",
            "unspecified",
            "unspecified",
        ];
        assert_eq!(names, want);
    }

    #[test]
    fn ids_are_read_in_any_case_and_never_all_zero() {
        assert_eq!(from_hex::<2>("aBcD"), Some([0xab, 0xcd]));
        for bad in ["", "abc", "abcde", "0000", "ab g", "+1+1", "é0"] {
            assert_eq!(from_hex::<2>(bad), None, "{bad}");
        }
        assert_eq!(valid_hex::<2>(&[0, 0]), None);
        assert_eq!(valid_hex::<2>(&[1]), None);
    }

    proptest! {
        #[test]
        fn a_key_reads_back(time: u64, partition: u32, offset: u64, index: u32) {
            let key = RecordKey { time_unix_nano: time, partition, offset, index };
            prop_assert_eq!(parse_key(&key_param(&key)), Ok(key));
        }

        #[test]
        fn an_id_reads_back(id: [u8; 8]) {
            prop_assume!(id != [0; 8]);
            prop_assert_eq!(from_hex::<8>(&hex(&id)), Some(id));
        }

        #[test]
        fn no_text_is_mistaken_for_a_key(text in "\\PC{0,20}") {
            if let Ok(key) = parse_key(&text) {
                prop_assert_eq!(parse_key(&key_param(&key)), Ok(key));
            }
        }
    }
}
