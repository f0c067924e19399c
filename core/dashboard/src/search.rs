//! What searches of traces and logs share: the query box with its help and its errors, and terms that a click adds.

use log_tracer_proto::v1::{Coverage, FacetsResponse, ServiceInfo};
use log_tracer_query::{Expr, Field, Intrinsic, ParseError, Query, Signals, Test, parse, quote};
use serde::Serialize;

use crate::{
    counting::{self, Counting},
    fault::Fault,
    params::Link,
    range::RangeView,
    units::{clip, compact, count, duration},
};

/// A value that is longer is not offered as a search term.
const TERM_BYTES_MAX: usize = 512;

/// Values of a facet that are shown.
const FACET_VALUES_MAX: usize = 8;

/// The query that is sent: what was written, and the choices of the fields beside it.
pub(crate) fn compose(written: &str, choices: &[String]) -> String {
    let choices: Vec<&str> = choices
        .iter()
        .map(String::as_str)
        .filter(|choice| !choice.is_empty())
        .collect();
    match (written.is_empty(), choices.is_empty()) {
        (_, true) => written.to_owned(),
        (true, false) => choices.join(" "),
        (false, false) => format!("{} ({written})", choices.join(" ")),
    }
}

/// `field:value` as a query, when the value is not too long for one.
pub(crate) fn term(field: &Field, value: &str) -> Option<String> {
    (!value.is_empty() && value.len() <= TERM_BYTES_MAX)
        .then(|| format!("{field}:{}", quote(value)))
}

/// A term of a service, or nothing.
pub(crate) fn service_term(service: &str) -> String {
    term(&Field::Intrinsic(Intrinsic::Service), service).unwrap_or_default()
}

/// What a click on a value does to the written query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Only records with it.
    Add,
    /// No records with it.
    Exclude,
}

/// The written query with a term added or excluded.
pub(crate) fn edit(written: &str, term: &str, how: Edit) -> Result<String, Fault> {
    let query = parse(written).map_err(|error| Fault::input(error.to_string()))?;
    let term = parse(term).map_err(|error| Fault::input(format!("the term to add: {error}")))?;
    let Expr::Field(predicate) = term.expr() else {
        return Err(Fault::input(
            "the term to add: expected a field and a value",
        ));
    };
    let Test::Is(value) = &predicate.test else {
        return Err(Fault::input(
            "the term to add: expected a field and a value",
        ));
    };
    let edited = match how {
        Edit::Add => query.with_term(&predicate.field, value.text()),
        Edit::Exclude => query.without_term(&predicate.field, value.text()),
    };
    edited
        .map(|query| query.to_string())
        .map_err(|error| Fault::input(error.to_string()))
}

/// The form above a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SearchForm {
    pub(crate) action: &'static str,
    /// What is searched, for the completion: "spans" or "logs".
    pub(crate) signal: &'static str,
    pub(crate) q: String,
    pub(crate) placeholder: &'static str,
    pub(crate) problem: Option<Problem>,
    pub(crate) range: RangeView,
    pub(crate) services: Vec<Choice>,
    pub(crate) help: Help,
}

/// An option of a select.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) selected: bool,
}

/// The services to choose from; the chosen one is among them even when nothing of it is kept.
pub(crate) fn service_choices(services: &[ServiceInfo], chosen: &str) -> Vec<Choice> {
    let known = services.iter().map(|service| service.service.as_str());
    let missing =
        (!chosen.is_empty() && !known.clone().any(|name| name == chosen)).then_some(chosen);
    known
        .chain(missing)
        .map(|name| Choice {
            value: name.to_owned(),
            label: clip(name, 60),
            selected: name == chosen,
        })
        .collect()
}

/// A query that cannot be read, with the place.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Problem {
    column: usize,
    message: String,
    expected: String,
    /// The query around the place.
    before: String,
    marked: String,
    after: String,
    /// The query as it may have been meant.
    corrected: String,
    corrected_href: String,
}

impl Problem {
    /// `link` leads to the same page with another query.
    pub(crate) fn new(error: &ParseError, link: &Link) -> Self {
        let before = error.query.get(..error.span.start).unwrap_or_default();
        let marked = error.query.get(error.span.clone()).unwrap_or_default();
        let after = error.query.get(error.span.end..).unwrap_or_default();
        let corrected = error.corrected().unwrap_or_default();
        Self {
            column: error.column,
            message: clip(&error.message, 300),
            expected: clip(error.expected.as_deref().unwrap_or_default(), 300),
            before: tail(before, 60),
            marked: clip(if marked.is_empty() { " " } else { marked }, 60),
            after: clip(after, 60),
            corrected_href: link.clone().with("q", corrected.clone()).to_string(),
            corrected,
        }
    }

    /// The same problem, with the corrected query to be tried elsewhere.
    pub(crate) fn leading_to(self, link: Link) -> Self {
        Self {
            corrected_href: link.to_string(),
            ..self
        }
    }
}

/// The last characters of a text.
fn tail(text: &str, chars_max: usize) -> String {
    let surplus = text.chars().count().saturating_sub(chars_max);
    match surplus {
        0 => text.to_owned(),
        surplus => format!("…{}", text.chars().skip(surplus).collect::<String>()),
    }
}

/// The help sheet of the query language.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Help {
    fields: Vec<FieldRow>,
    forms: Vec<FormRow>,
}

#[derive(Clone, Debug, Serialize)]
struct FieldRow {
    name: &'static str,
    summary: &'static str,
    example: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct FormRow {
    example: &'static str,
    meaning: &'static str,
}

/// How terms are written and combined.
const FORMS: [(&str, &str); 9] = [
    ("refused", "a word, anywhere in the record"),
    ("\"connection refused\"", "words next to each other"),
    (
        "http.route:\"/cart\"",
        "any attribute, of the record, its scope or its resource",
    ),
    (
        "http.response.status_code>=500",
        "numbers compare as numbers, durations and sizes with their unit",
    ),
    ("name:check*", "begins with"),
    ("name:/^(GET|HEAD) /", "matches a regular expression"),
    ("user.id:*", "has the attribute at all"),
    ("-kind:client", "not"),
    (
        "status:error (region:eu OR region:us)",
        "terms side by side must all hold; OR and parentheses",
    ),
];

/// The help sheet for spans or logs.
pub(crate) fn help(own: Signals) -> Help {
    let fields = Intrinsic::ALL
        .into_iter()
        .map(Intrinsic::help)
        .filter(|help| help.signals == Signals::Both || help.signals == own)
        .map(|help| FieldRow {
            name: help.name,
            summary: help.summary,
            example: help.examples.first().copied().unwrap_or_default(),
        })
        .collect();
    let forms = FORMS
        .into_iter()
        .map(|(example, meaning)| FormRow { example, meaning })
        .collect();
    Help { fields, forms }
}

/// How much of the question an answer covers.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct CoverageView {
    partial: bool,
    reasons: Vec<String>,
    scanned: String,
    matched: String,
    took: String,
    /// "98,304 of 5,000,000" when a bound left records out that may match.
    share: String,
}

impl CoverageView {
    pub(crate) fn new(coverage: Option<&Coverage>) -> Self {
        let coverage = coverage.cloned().unwrap_or_default();
        Self {
            partial: coverage.partial,
            reasons: coverage
                .reasons
                .iter()
                .take(8)
                .map(|reason| clip(reason, 300))
                .collect(),
            scanned: count(coverage.scanned),
            matched: count(coverage.matched),
            took: duration(coverage.took_us.saturating_mul(1_000)),
            share: counting::share(&coverage).unwrap_or_default(),
        }
    }
}

/// The most frequent values of a field.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FacetView {
    field: String,
    /// Leads to the list with the field as a column; empty where there are no columns.
    column_href: String,
    values: Vec<FacetValueView>,
    other: String,
}

#[derive(Clone, Debug, Serialize)]
struct FacetValueView {
    label: String,
    count: String,
    /// In percent of the most frequent one.
    share: String,
    /// Leads to only these; again, to all.
    href: String,
    chosen: bool,
    /// Leads to all but these.
    exclude_href: String,
}

/// The facets of a page, and how much they cover.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct FacetsView {
    pub(crate) fields: Vec<FacetView>,
    coverage: CoverageView,
    /// Whether there is anything to show: values, or why there are none.
    shown: bool,
    /// Leads to the counts of all records, where not all were looked at.
    all_href: String,
}

impl FacetsView {
    pub(crate) fn new(answer: &FacetsResponse, query: &Query, link: &Link) -> Self {
        let fields = facets(answer, query, link);
        let coverage = CoverageView::new(answer.coverage.as_ref());
        Self {
            shown: !fields.is_empty() || coverage.partial || !coverage.share.is_empty(),
            fields,
            coverage,
            all_href: Counting::All.write(link.clone()).to_string(),
        }
    }

    /// With links that make a column of each field. A field whose name is cut here cannot be one.
    pub(crate) fn with_columns(mut self, href: impl Fn(&str) -> String) -> Self {
        let whole = self.fields.iter_mut();
        for field in whole.filter(|field| !field.field.ends_with('…')) {
            field.column_href = href(&field.field);
        }
        self
    }
}

/// Facets as links that add a term to the query, or take it away again.
fn facets(answer: &FacetsResponse, query: &Query, link: &Link) -> Vec<FacetView> {
    answer
        .facets
        .iter()
        .filter(|facet| !facet.values.is_empty())
        .map(|facet| {
            let field = Field::named(&facet.field);
            let most = facet
                .values
                .iter()
                .map(|value| value.count)
                .max()
                .unwrap_or(0);
            let to = |query: &Query| link.clone().with("q", query.to_string()).to_string();
            let values = facet
                .values
                .iter()
                .take(FACET_VALUES_MAX)
                .filter_map(|value| {
                    let text = facet_text(&facet.field, &value.value);
                    let with = query.with_term(&field, &text).ok()?;
                    let without = query.without_term(&field, &text).ok()?;
                    let chosen = with == *query;
                    let href = if chosen {
                        to(&query.drop_term(&field, &text))
                    } else {
                        to(&with)
                    };
                    Some(FacetValueView {
                        label: clip(&text, 80),
                        count: compact(value.count),
                        share: crate::charts::percent(value.count as f64, most as f64),
                        href,
                        chosen,
                        exclude_href: to(&without),
                    })
                })
                .collect();
            FacetView {
                field: clip(&facet.field, 60),
                column_href: String::new(),
                values,
                other: if facet.other_count == 0 {
                    String::new()
                } else {
                    compact(facet.other_count)
                },
            }
        })
        .collect()
}

/// A value comes as the query language writes it, so it may stand in quotes.
pub(crate) fn facet_text(field: &str, written: &str) -> String {
    match parse(&format!("{field}:{written}"))
        .as_ref()
        .map(Query::expr)
    {
        Ok(Expr::Field(predicate)) => match &predicate.test {
            Test::Is(value) => value.text().to_owned(),
            _ => written.to_owned(),
        },
        _ => written.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn choices_and_the_written_query_must_all_hold() {
        assert_eq!(compose("a OR b", &[String::new()]), "a OR b");
        assert_eq!(compose("", &["service:x".to_owned()]), "service:x");
        assert_eq!(
            compose("a OR b", &["service:x".to_owned()]),
            "service:x (a OR b)"
        );
    }

    #[test]
    fn a_click_adds_a_term_and_its_opposite_takes_its_place() {
        let once = edit("refused", "http.route:\"/cart\"", Edit::Add).unwrap();
        assert_eq!(
            edit(&once, "http.route:\"/cart\"", Edit::Add).unwrap(),
            once
        );
        let not = edit(&once, "http.route:\"/cart\"", Edit::Exclude).unwrap();
        assert!(not.contains("-http.route"), "{not}");
        assert!(edit("", "just words", Edit::Add).is_err());
        assert!(edit("(", "a:b", Edit::Add).is_err());
    }

    #[test]
    fn every_example_of_the_help_sheet_is_a_query() {
        for (example, _) in FORMS {
            parse(example).unwrap();
        }
    }

    proptest! {
        #[test]
        fn a_service_of_any_name_is_a_term(name in "\\PC{1,30}") {
            let term = service_term(&name);
            prop_assert!(parse(&term).is_ok(), "{}", term);
            prop_assert!(edit("", &term, Edit::Add).is_ok());
        }

        #[test]
        fn a_problem_shows_any_text(text in "\\PC{0,200}") {
            if let Err(error) = parse(&text) {
                let problem = Problem::new(&error, &Link::to("/logs"));
                prop_assert!(!problem.message.is_empty() && !problem.marked.is_empty());
            }
        }
    }
}
