//! Completion of the query box: fields, and the values that records have in them.
//!
//! `GET /complete?signal=spans|logs&before=…` and the range of the page: `before` is the query up to the caret. The answer
//! is `{"replace": n, "options": [{"text", "note"}]}`: each text takes the place of the last `n` UTF-16 units before the
//! caret, which is how a browser counts. Fields are those of
//! the newest records, values those of the records that match the query so far; without a script, the facets beside the results do the same.

use std::collections::BTreeMap;

use http::StatusCode;
use log_tracer_proto::{
    otlp::common::KeyValue,
    v1::{FacetsRequest, FacetsResponse, SearchLogsRequest, Signal},
};
use log_tracer_query::{Field, Intrinsic, Signals, parse};
use serde::Serialize;
use warp::reply::Response;

use crate::{
    app::App,
    clock,
    fault::Fault,
    params::Params,
    range::Range,
    reply,
    search::{facet_text, term},
    units::{HOUR, clip, compact},
    value,
};

/// Options that are offered.
const OPTIONS_MAX: usize = 12;

/// Values that are asked for, to choose those from that begin as it is written.
const VALUES_MAX: u32 = 200;

/// The newest records whose attributes are offered as fields, and the most keys of them that are looked at.
const RECENT: u32 = 100;
const KEYS_MAX: usize = 500;

/// How far back values are looked for when the range of the page is relative and longer.
const RELATIVE_MAX: u64 = 6 * HOUR;

/// The term before the caret.
#[derive(Debug, PartialEq, Eq)]
struct Term<'a> {
    /// The query before it.
    rest: &'a str,
    /// What the completion replaces: the term without its minus.
    text: &'a str,
    /// Its field and what of its value is written, when it is that far.
    value: Option<(&'a str, &'a str)>,
}

/// Answers `/complete`.
pub(crate) async fn answer(app: &App, params: &Params) -> Result<Response, Fault> {
    let signal = params.read("signal", |text| match text {
        "spans" => Ok(Signal::Spans),
        "logs" => Ok(Signal::Logs),
        _ => Err(format!("`{text}` is not a signal; it is spans or logs")),
    })?;
    let signal = signal.unwrap_or(Signal::Logs);
    let range = match Range::read(params)? {
        Range::Last(nanos) => Range::Last(nanos.min(RELATIVE_MAX)),
        range => range,
    };
    // The spaces at the end say that a term is complete.
    let before = params.raw("before");
    let term = Term::before_caret(before);
    let options = match term.value {
        None => fields(app, signal, range, term.text).await?,
        Some((field, written)) => values(app, signal, range, &term, field, written).await?,
    };
    let replaced = term.text.encode_utf16().count();
    let body = Answer {
        replace: replaced,
        options,
    };
    Ok(reply::json(StatusCode::OK, &body))
}

#[derive(Debug, Serialize)]
struct Answer {
    replace: usize,
    options: Vec<Choice>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Choice {
    text: String,
    note: String,
}

impl<'a> Term<'a> {
    fn before_caret(before: &'a str) -> Self {
        let mut start = 0;
        let mut quoted = false;
        let mut escaped = false;
        for (at, c) in before.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ if !quoted && (c.is_whitespace() || matches!(c, '(' | ')')) => {
                    start = at + c.len_utf8();
                }
                _ => {}
            }
        }
        let (rest, text) = before.split_at(start);
        let text = text.strip_prefix('-').unwrap_or(text);
        let value = text
            .split_once([':', '=', '<', '>'])
            .filter(|(field, _)| !field.is_empty() && !field.contains('"'))
            .map(|(field, value)| (field, value.trim_start_matches(['=', '"'])));
        Self { rest, text, value }
    }

    /// The records to look at: those that match what stands before, if that can be read by itself.
    fn scope(&self) -> String {
        let rest = self
            .rest
            .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '(' | '-'));
        let rest = ["OR", "AND", "NOT"]
            .into_iter()
            .find_map(|word| rest.strip_suffix(word))
            .unwrap_or(rest)
            .trim();
        match parse(rest) {
            Ok(query) => query.to_string(),
            Err(_) => String::new(),
        }
    }
}

async fn facets(
    app: &App,
    signal: Signal,
    range: Range,
    query: String,
    fields: Vec<String>,
) -> Result<FacetsResponse, Fault> {
    app.ask
        .facets(FacetsRequest {
            signal: signal.into(),
            query,
            range: Some(range.bounds(clock::now())),
            fields,
            values_max: VALUES_MAX,
            records_max: app.config.facet_records_max,
        })
        .await
}

async fn fields(
    app: &App,
    signal: Signal,
    range: Range,
    written: &str,
) -> Result<Vec<Choice>, Fault> {
    let own = match signal {
        Signal::Spans => Signals::Spans,
        _ => Signals::Logs,
    };
    let known = Intrinsic::ALL
        .into_iter()
        .map(Intrinsic::help)
        .filter(|help| help.signals == Signals::Both || help.signals == own)
        .map(|help| (help.name.to_owned(), help.summary.to_owned()));
    let (found, recent) = tokio::try_join!(
        facets(app, signal, range, String::new(), Vec::new()),
        recent_keys(app, signal)
    )?;
    let found = found.facets.iter().map(|facet| {
        let most: Vec<String> = facet
            .values
            .iter()
            .take(3)
            .map(|value| clip(&value.value, 24))
            .collect();
        (facet.field.clone(), most.join(", "))
    });
    Ok(fields_that_fit(known.chain(found).chain(recent), written))
}

/// The keys of the newest records' attributes, each with one of its values: facets are of the best known fields only.
async fn recent_keys(app: &App, signal: Signal) -> Result<BTreeMap<String, String>, Fault> {
    let mut keys = BTreeMap::new();
    let mut add = |attributes: &[KeyValue]| {
        for pair in attributes.iter().filter(|pair| !pair.key.is_empty()) {
            if keys.len() < KEYS_MAX {
                keys.entry(pair.key.clone())
                    .or_insert_with(|| value::text(pair.value.as_ref(), 60));
            }
        }
    };
    let (resources, scopes) = if signal == Signal::Logs {
        let answer = app
            .ask
            .search_logs(SearchLogsRequest {
                range: Some(Range::All.bounds(clock::now())),
                limit: RECENT,
                ..SearchLogsRequest::default()
            })
            .await?;
        let records = answer.hits.iter().filter_map(|hit| hit.record.as_ref());
        records.for_each(|record| add(&record.attributes));
        (answer.resources, answer.scopes)
    } else {
        let newest = app.ask.newest_spans(RECENT).await?;
        let spans = newest.spans.iter().filter_map(|hit| hit.span.as_ref());
        spans.for_each(|span| add(&span.attributes));
        (newest.resources, newest.scopes)
    };
    for entry in &resources {
        add(entry.resource.as_ref().map_or(&[], |own| &own.attributes));
    }
    for entry in &scopes {
        add(entry.scope.as_ref().map_or(&[], |own| &own.attributes));
    }
    Ok(keys)
}

/// Those that begin as it is written, and then those that have it elsewhere.
fn fields_that_fit(fields: impl Iterator<Item = (String, String)>, written: &str) -> Vec<Choice> {
    let written = written.trim_matches('"').to_lowercase();
    let mut seen = std::collections::BTreeSet::new();
    let mut fitting: Vec<(usize, Choice)> = fields
        .filter_map(|(name, note)| {
            let at = name.to_lowercase().find(&written)?;
            let field = Field::named(&name).to_string();
            seen.insert(field.clone()).then(|| {
                let choice = Choice {
                    text: format!("{field}:"),
                    note: clip(&note, 80),
                };
                (at.min(1), choice)
            })
        })
        .collect();
    fitting.sort_by_key(|(rank, _)| *rank);
    fitting
        .into_iter()
        .map(|(_, choice)| choice)
        .take(OPTIONS_MAX)
        .collect()
}

async fn values(
    app: &App,
    signal: Signal,
    range: Range,
    term: &Term<'_>,
    field: &str,
    written: &str,
) -> Result<Vec<Choice>, Fault> {
    let operator_and_value = term.text.get(field.len()..).unwrap_or_default();
    let operator: String = operator_and_value
        .chars()
        .take_while(|c| matches!(c, ':' | '=' | '<' | '>'))
        .collect();
    let known = Intrinsic::named(field).map_or(&[] as &[&str], |field| field.help().values);
    if !known.is_empty() {
        let choices = known.iter().filter(|value| value.starts_with(written));
        return Ok(choices
            .map(|value| Choice {
                text: format!("{field}{operator}{value} "),
                note: String::new(),
            })
            .collect());
    }
    if operator != ":" {
        // Numbers to compare with are for the visitor to choose.
        return Ok(Vec::new());
    }
    // Values that begin so may be rare, and so not among the most frequent of all.
    let begins = format!("{field}:{written}*");
    let is_plain = !written.is_empty() && written.bytes().all(|b| b.is_ascii_alphanumeric());
    let scope = term.scope();
    let query = match is_plain && parse(&begins).is_ok() {
        true if scope.is_empty() => begins,
        true => format!("({scope}) {begins}"),
        false => scope,
    };
    let found = facets(app, signal, range, query, vec![field.to_owned()]).await?;
    Ok(values_that_fit(&found, field, written))
}

fn values_that_fit(found: &FacetsResponse, field: &str, written: &str) -> Vec<Choice> {
    let named = Field::named(field);
    let written = written.to_lowercase();
    found
        .facets
        .iter()
        .flat_map(|facet| &facet.values)
        .filter_map(|value| {
            let text = facet_text(field, &value.value);
            if !text.to_lowercase().starts_with(&written) {
                return None;
            }
            Some(Choice {
                text: format!("{} ", term(&named, &text)?),
                note: compact(value.count),
            })
        })
        .take(OPTIONS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::v1::{Facet, FacetValue};
    use proptest::prelude::*;

    use super::*;

    fn term_of(before: &str) -> (&str, Option<(&str, &str)>) {
        let term = Term::before_caret(before);
        (term.text, term.value)
    }

    #[test]
    fn the_term_before_the_caret_is_found() {
        assert_eq!(term_of("status:error ser"), ("ser", None));
        assert_eq!(
            term_of("(-service:ca"),
            ("service:ca", Some(("service", "ca")))
        );
        assert_eq!(
            term_of("name:\"GET /c"),
            ("name:\"GET /c", Some(("name", "GET /c")))
        );
        assert_eq!(
            term_of("severity>=wa"),
            ("severity>=wa", Some(("severity", "wa")))
        );
        assert_eq!(term_of("a:b "), ("", None));
        assert_eq!(term_of("\"two words: "), ("\"two words: ", None));
    }

    #[test]
    fn what_stands_before_narrows_the_values() {
        let scope = |before| Term::before_caret(before).scope();
        assert_eq!(scope("status:error service:"), "status:error");
        assert_eq!(scope("status:error OR (service:"), "status:error");
        assert_eq!(scope("(a OR service:"), "");
    }

    #[test]
    fn fields_that_begin_so_come_first_and_each_once() {
        let fields = ["http.route", "route", "service", "route"]
            .map(|name| (name.to_owned(), String::new()));
        let texts: Vec<String> = fields_that_fit(fields.into_iter(), "Rou")
            .into_iter()
            .map(|choice| choice.text)
            .collect();
        assert_eq!(texts, ["route:", "http.route:"]);
    }

    #[test]
    fn values_are_quoted_and_counted() {
        let found = FacetsResponse {
            facets: vec![Facet {
                field: "http.route".to_owned(),
                values: vec![
                    FacetValue {
                        value: "\"/cart\"".to_owned(),
                        count: 12_345,
                    },
                    FacetValue {
                        value: "other".to_owned(),
                        count: 1,
                    },
                ],
                other_count: 0,
            }],
            coverage: None,
        };
        let choices = values_that_fit(&found, "http.route", "/C");
        assert_eq!(choices.len(), 1);
        assert_eq!(choices[0].text, "http.route:\"/cart\" ");
        assert_eq!(choices[0].note, "12.3k");
    }

    proptest! {
        #[test]
        fn any_text_has_a_term_at_its_end(before in "\\PC{0,60}") {
            let term = Term::before_caret(&before);
            prop_assert!(before.ends_with(term.text));
            prop_assert!(parse(&term.scope()).is_ok());
            if let Some((field, written)) = term.value {
                prop_assert!(!field.is_empty() && term.text.ends_with(written));
            }
        }
    }
}
