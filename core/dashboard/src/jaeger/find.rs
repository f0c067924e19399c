//! The parameters of Jaeger's searches, as questions in log-tracer's query language.
//!
//! | version 1 | version 3 | means |
//! |---|---|---|
//! | `service`, `operation` | `query.serviceName`, `query.operationName` | exactly this service, this name; absent means any |
//! | `tag` (`key:value`, again and again), `tags` (a JSON map, or logfmt) | `query.attributes` (a JSON map) | a span has all of these tags |
//! | `minDuration`, `maxDuration` | `query.durationMin`, `query.durationMax` | the span took as long: Go's durations, `1.2s`, `1h30m` |
//! | `start`, `end` | `query.startTimeMin`, `query.startTimeMax` | when the trace starts: microseconds; RFC 3339, both required |
//! | `lookback` | | how far back from `end` when there is no `start`: a duration; 2 days when absent or `custom` |
//! | `limit` | `query.searchDepth`, `query.num_traces` | traces at most, 100 when absent |
//!
//! Version 3 takes each name in snake_case, too. A trace is found when one of its spans matches all of it, as in Jaeger.
//! Tags that Jaeger makes of other parts of a span are looked for there: `error`, `span.kind`, `otel.status_code`,
//! `otel.status_description`, `otel.scope.name`.

use log_tracer_proto::v1::{SearchTracesRequest, TimeRange, TraceOrder};
use log_tracer_query::{Field, Intrinsic, parse, quote};

use crate::{
    clock,
    fault::Fault,
    params::Params,
    units::{DAY, HOUR, MINUTE, SECOND},
};

/// Traces of a search when it names no number.
const LIMIT_DEFAULT: u64 = 100;

/// More are not answered, however many are asked for.
const LIMIT_MAX: u64 = 1_000;

/// Tags of a search; each becomes a term.
const TAGS_MAX: usize = 64;

/// How far back a search of version 1 looks that does not say.
const LOOKBACK: u64 = 2 * DAY;

/// What a search looks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Find {
    pub(super) query: String,
    pub(super) range: TimeRange,
    pub(super) limit: u32,
}

impl Find {
    /// Reads the parameters of version 1.
    pub(super) fn v1(params: &Params, now: u64) -> Result<Self, Fault> {
        let mut terms = Terms::default();
        terms.exactly(
            &Field::Intrinsic(Intrinsic::Service),
            &params.text("service"),
        );
        terms.exactly(
            &Field::Intrinsic(Intrinsic::Name),
            &params.text("operation"),
        );
        for tag in params.all("tag") {
            let (key, value) = tag
                .split_once(':')
                .ok_or_else(|| Fault::input("malformed 'tag' parameter, expecting key:value"))?;
            terms.tag(key, value)?;
        }
        for tags in params.all("tags") {
            let pairs = if tags.starts_with('{') {
                json_map("tags", tags)?
            } else {
                logfmt(tags)
            };
            for (key, value) in pairs {
                terms.tag(&key, &value)?;
            }
        }
        terms.durations(
            params.read("minDuration", go_duration)?,
            params.read("maxDuration", go_duration)?,
        )?;
        let end = params.read("end", unix_time)?.unwrap_or(now);
        let lookback = params.read("lookback", |text| match text {
            "custom" => Ok(LOOKBACK),
            text => go_duration(text),
        })?;
        let start = params.read("start", unix_time)?;
        Ok(Self {
            query: terms.query()?,
            range: TimeRange {
                start_unix_nano: start
                    .unwrap_or_else(|| end.saturating_sub(lookback.unwrap_or(LOOKBACK))),
                // Jaeger's end is within the range.
                end_unix_nano: end.saturating_add(1),
            },
            limit: limit(params, &["limit"])?,
        })
    }

    /// Reads the parameters of version 3.
    pub(super) fn v3(params: &Params) -> Result<Self, Fault> {
        let mut terms = Terms::default();
        let either = |names: [&'static str; 2]| {
            names
                .into_iter()
                .find(|name| params.get(name).is_some())
                .unwrap_or(names[0])
        };
        let service = either(["query.serviceName", "query.service_name"]);
        terms.exactly(&Field::Intrinsic(Intrinsic::Service), &params.text(service));
        let name = either(["query.operationName", "query.operation_name"]);
        terms.exactly(&Field::Intrinsic(Intrinsic::Name), &params.text(name));
        if let Some(text) = params.get("query.attributes") {
            for (key, value) in json_map("query.attributes", text)? {
                terms.tag(&key, &value)?;
            }
        }
        if params.get("query.filter").is_some() {
            return Err(Fault::input(
                "query.filter: filter expressions are not supported; use query.attributes",
            ));
        }
        terms.durations(
            params.read(
                either(["query.durationMin", "query.duration_min"]),
                go_duration,
            )?,
            params.read(
                either(["query.durationMax", "query.duration_max"]),
                go_duration,
            )?,
        )?;
        let time = |names| params.read(either(names), clock::from_param);
        let start = time(["query.startTimeMin", "query.start_time_min"])?;
        let end = time(["query.startTimeMax", "query.start_time_max"])?;
        let (Some(start), Some(end)) = (start, end) else {
            return Err(Fault::input(
                "query.startTimeMin and query.startTimeMax are required",
            ));
        };
        if start >= end {
            return Err(Fault::input(
                "query.startTimeMin must be before query.startTimeMax",
            ));
        }
        let limits = [
            "query.searchDepth",
            "query.search_depth",
            "query.num_traces",
        ];
        Ok(Self {
            query: terms.query()?,
            range: TimeRange {
                start_unix_nano: start,
                end_unix_nano: end,
            },
            limit: limit(params, &limits)?,
        })
    }

    pub(super) fn request(&self) -> SearchTracesRequest {
        SearchTracesRequest {
            query: self.query.clone(),
            range: Some(self.range),
            order: TraceOrder::Newest.into(),
            limit: self.limit,
            ..SearchTracesRequest::default()
        }
    }
}

/// Traces at most; 0 takes the default, as a front end may send it for a field left empty.
fn limit(params: &Params, names: &[&str]) -> Result<u32, Fault> {
    let name = names.iter().find(|name| params.get(name).is_some());
    let limit = match name {
        Some(name) => params.number(name, 0, u64::from(u32::MAX))?,
        None => None,
    };
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT);
    // At most LIMIT_MAX, so it fits.
    Ok(limit.min(LIMIT_MAX) as u32)
}

/// The terms of a query, all of which one span must match.
#[derive(Debug, Default)]
struct Terms {
    terms: Vec<String>,
    tags: usize,
}

impl Terms {
    /// A field with exactly a value; an empty value is any.
    fn exactly(&mut self, field: &Field, value: &str) {
        if !value.is_empty() {
            self.terms.push(format!("{field}={}", quote(value)));
        }
    }

    fn tag(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        self.tags += 1;
        if self.tags > TAGS_MAX {
            return Err(Fault::input(format!(
                "a search takes at most {TAGS_MAX} tags"
            )));
        }
        if key.is_empty() {
            return Err(Fault::input("a tag of the search has no key"));
        }
        let term = match (key, value) {
            ("error", "true") => "status:error".to_owned(),
            ("error", "false") => "-status:error".to_owned(),
            ("span.kind", kind) => format!("kind:{}", quote(kind)),
            ("otel.status_code", code) => format!("status:{}", quote(&code.to_lowercase())),
            ("otel.status_description", text) => format!("status.message={}", quote(text)),
            ("otel.scope.name" | "otel.library.name", name) => format!("scope={}", quote(name)),
            ("service.name", name) => format!("service={}", quote(name)),
            (key, value) => {
                let field = Field::Attribute(key.to_owned());
                match value {
                    // Without quotes, so that it is the boolean as well as the text.
                    "true" | "false" => format!("{field}={value}"),
                    value => format!("{field}={}", quote(value)),
                }
            }
        };
        self.terms.push(term);
        Ok(())
    }

    /// Bounds of how long the span took.
    fn durations(&mut self, min: Option<u64>, max: Option<u64>) -> Result<(), Fault> {
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            return Err(Fault::input(
                "'maxDuration' should be greater than 'minDuration'",
            ));
        }
        self.terms
            .extend(min.map(|min| format!("duration>={min}ns")));
        self.terms
            .extend(max.map(|max| format!("duration<={max}ns")));
        Ok(())
    }

    fn query(&self) -> Result<String, Fault> {
        let query = self.terms.join(" ");
        match parse(&query) {
            Ok(_) => Ok(query),
            Err(error) => Err(Fault::input(format!(
                "these parameters make no search: {error}"
            ))),
        }
    }
}

/// A map of text to text.
fn json_map(key: &str, text: &str) -> Result<Vec<(String, String)>, Fault> {
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| {
            Fault::input(format!(
                "malformed '{key}' parameter, cannot read JSON: {error}"
            ))
        })?;
    map.into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => Ok((name, text)),
            value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => {
                Ok((name, value.to_string()))
            }
            _ => Err(Fault::input(format!(
                "malformed '{key}' parameter: a value must be a text, a number, true or false"
            ))),
        })
        .collect()
}

/// Pairs such as `error=true http.route="/a b" retried`; a key without a value is true.
fn logfmt(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            None => ("true".to_owned(), after),
            Some(after) => match after.strip_prefix('"') {
                Some(quoted) => in_quotes(quoted),
                None => {
                    let end = after.find(char::is_whitespace).unwrap_or(after.len());
                    let (value, after) = after.split_at(end);
                    (value.to_owned(), after)
                }
            },
        };
        pairs.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    pairs
}

/// A text up to its closing quote, and what follows.
fn in_quotes(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// A duration as Go writes it: `1.2s`, `1h30m`, `300ms`, `0`; never negative. In nanoseconds.
pub(super) fn go_duration(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", SECOND),
        ("m", MINUTE),
        ("h", HOUR),
        ("d", DAY),
    ];
    let refused = || {
        format!(
            "`{text}` is not a duration; write numbers with units, such as 250ms, 1.5s or 1h30m"
        )
    };
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(refused());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(refused)?;
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, nanos) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(refused)?;
        let part = scaled(number, *nanos).ok_or_else(refused)?;
        total = total.checked_add(part).ok_or_else(refused)?;
        rest = after;
    }
    Ok(total)
}

/// A decimal number of units in whole nanoseconds; none when it is no number or too large.
fn scaled(number: &str, nanos: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(nanos)?;
    let mut unit = nanos;
    for digit in fraction.bytes() {
        unit /= 10;
        total = total.checked_add(u64::from(digit - b'0').checked_mul(unit)?)?;
    }
    Some(total)
}

/// A moment as a whole number since 1970. Callers mix up units (Grafana sends milliseconds where Jaeger wants
/// microseconds), and today differs by a thousand from one unit to the next: the size tells which it is. Answers
/// nanoseconds.
pub(super) fn unix_time(text: &str) -> Result<u64, String> {
    let number: u64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a time: a whole number since 1970"))?;
    let unit: u64 = match number {
        0..100_000_000_000 => SECOND,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number
        .checked_mul(unit)
        .ok_or_else(|| format!("`{text}` is not a time of this age"))
}

#[cfg(test)]
mod tests;
