//! The patterns of the newest log records that match: similar messages, counted together.

use std::collections::{BTreeMap, BTreeSet};

use log_tracer_proto::v1::{LogHit, SearchLogsResponse};
use log_tracer_query::{Query, quote};
use serde::Serialize;

use super::Search;
use crate::{
    charts::{self, spark::Spark},
    lines::{self, one_line},
    palette::Palette,
    patterns::{self, Pattern, WILDCARD},
    units::{clip, count, percent},
};

/// Patterns that are shown.
const PATTERNS_MAX: usize = 60;

/// Words of a pattern that are shown, and fixed parts that its query asks for.
const WORDS_MAX: usize = 40;
const PARTS_MAX: usize = 6;

/// Steps of the line that shows when a pattern occurs.
const STEPS: usize = 24;

/// Services of a pattern that are named.
const SERVICES_MAX: usize = 3;

/// The patterns of a sample.
#[derive(Debug, Serialize)]
pub(super) struct Patterns {
    /// "of the newest 5,000 records".
    sample: String,
    rows: Vec<PatternRow>,
    more: usize,
}

#[derive(Debug, Serialize)]
struct PatternRow {
    words: Vec<Word>,
    count: String,
    share: String,
    /// In percent of the most frequent.
    width: String,
    line: Spark,
    /// The most severe of its records: a class, and in words.
    level: &'static str,
    services: Vec<ServiceChip>,
    more_services: usize,
    /// One of its messages.
    example: String,
    /// Lead to only these and to all but these; empty where no query tells them apart.
    only_href: String,
    not_href: String,
}

#[derive(Debug, Serialize)]
struct Word {
    text: String,
    varies: bool,
}

#[derive(Debug, Serialize)]
struct ServiceChip {
    name: String,
    colour: usize,
}

/// Of the records of an answer. `query` is the written one.
pub(super) fn view(
    answer: &SearchLogsResponse,
    search: &Search,
    query: &Query,
    palette: &Palette,
) -> Patterns {
    let messages: Vec<String> = answer
        .hits
        .iter()
        .map(|hit| hit.record.as_ref().map_or_else(String::new, one_line))
        .collect();
    let found = patterns::mine(messages.iter().map(String::as_str));
    let total = messages.len();
    let most = found.first().map_or(0, |pattern| pattern.members.len());
    let times = Times::new(&answer.hits);
    let which = if answer.next.is_some() {
        "the newest"
    } else {
        "all"
    };
    Patterns {
        sample: format!("of {which} {} records", count(total as u64)),
        more: found.len().saturating_sub(PATTERNS_MAX),
        rows: found
            .iter()
            .take(PATTERNS_MAX)
            .map(|pattern| {
                let hits: Vec<&LogHit> = pattern
                    .members
                    .iter()
                    .filter_map(|member| answer.hits.get(*member))
                    .collect();
                let example = pattern.members.first().and_then(|at| messages.get(*at));
                let (only, not) = queries(pattern, query);
                let to = |query: Option<String>| {
                    query.map_or_else(String::new, |q| {
                        Search {
                            q,
                            patterns: false,
                            ..search.clone()
                        }
                        .link()
                        .to_string()
                    })
                };
                let services = services(&hits, answer);
                PatternRow {
                    words: words(pattern),
                    count: count(hits.len() as u64),
                    share: percent(hits.len() as u64, total as u64),
                    width: charts::percent(hits.len() as f64, most as f64),
                    line: times.line(&hits),
                    level: level(&hits),
                    more_services: services.len().saturating_sub(SERVICES_MAX),
                    services: services
                        .into_iter()
                        .take(SERVICES_MAX)
                        .map(|name| ServiceChip {
                            colour: palette.colour(name),
                            name: clip(name, 40),
                        })
                        .collect(),
                    example: clip(example.map_or("", String::as_str), 300),
                    only_href: to(only),
                    not_href: to(not),
                }
            })
            .collect(),
    }
}

/// The written query with the fixed parts of a pattern, and without them.
fn queries(pattern: &Pattern, query: &Query) -> (Option<String>, Option<String>) {
    let parts: Vec<String> = pattern
        .fixed()
        .iter()
        .filter(|part| part.chars().any(char::is_alphanumeric))
        .take(PARTS_MAX)
        .map(|part| quote(part))
        .collect();
    if parts.is_empty() {
        return (None, None);
    }
    let parts = parts.join(" ");
    let written = query.to_string();
    let with = |term: String| match written.as_str() {
        "" => term,
        written => format!("({written}) {term}"),
    };
    let readable = |text: String| log_tracer_query::parse(&text).ok().map(|_| text);
    (
        readable(with(parts.clone())),
        readable(with(format!("-({parts})"))),
    )
}

/// Neighbouring words of the same kind stand together, so that a page stays small.
fn words(pattern: &Pattern) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for word in pattern.words.iter().take(WORDS_MAX) {
        let varies = word.contains(WILDCARD);
        match words.last_mut() {
            Some(last) if last.varies == varies && !varies => {
                last.text.push(' ');
                last.text.push_str(word);
            }
            _ => words.push(Word {
                text: word.clone(),
                varies,
            }),
        }
    }
    for word in &mut words {
        word.text = clip(&word.text, 200);
    }
    words
}

fn level(hits: &[&LogHit]) -> &'static str {
    let severities = hits
        .iter()
        .filter_map(|hit| hit.record.as_ref())
        .map(|record| record.severity_number)
        .filter(|severity| (1..=24).contains(severity));
    lines::level(severities.max().unwrap_or(0))
}

fn services<'a>(hits: &[&LogHit], answer: &'a SearchLogsResponse) -> Vec<&'a str> {
    let resources: BTreeSet<u32> = hits.iter().map(|hit| hit.resource).collect();
    let mut names: Vec<&str> = resources
        .into_iter()
        .filter_map(|resource| answer.resources.get(resource as usize))
        .map(|entry| entry.service.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// When the records of the sample are from.
struct Times {
    start: u64,
    step: u64,
}

impl Times {
    fn new(hits: &[LogHit]) -> Self {
        let times = || {
            hits.iter()
                .filter_map(|hit| hit.key.as_ref())
                .map(|key| key.time_unix_nano)
        };
        let (start, end) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        Self {
            start,
            step: ((end - start) / STEPS as u64).saturating_add(1),
        }
    }

    fn line(&self, hits: &[&LogHit]) -> Spark {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for key in hits.iter().filter_map(|hit| hit.key.as_ref()) {
            let step = key.time_unix_nano.saturating_sub(self.start) / self.step;
            *counts.entry(step).or_default() += 1;
        }
        let values: Vec<Option<f64>> = (0..STEPS as u64)
            .map(|step| Some(counts.get(&step).copied().unwrap_or(0) as f64))
            .collect();
        Spark::new(&values)
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_query::parse;
    use proptest::prelude::*;

    use super::*;

    fn pattern(messages: &[&str]) -> Pattern {
        patterns::mine(messages.iter().copied()).remove(0)
    }

    #[test]
    fn a_pattern_is_searched_by_its_fixed_parts() {
        let found = pattern(&["charged order 17 in 3 ms", "charged order 18 in 4 ms"]);
        let (only, not) = queries(&found, &parse("a OR b").unwrap());
        assert_eq!(only.unwrap(), "(a OR b) \"charged order\" \"in\" \"ms\"");
        assert!(not.unwrap().ends_with("-(\"charged order\" \"in\" \"ms\")"));
        let nothing = pattern(&["17", "18"]);
        assert_eq!(queries(&nothing, &parse("").unwrap()), (None, None));
    }

    #[test]
    fn fixed_words_stand_together_and_wildcards_apart() {
        let texts: Vec<(String, bool)> = words(&pattern(&["a b 1 c", "a b 2 c"]))
            .into_iter()
            .map(|word| (word.text, word.varies))
            .collect();
        let want = [("a b", false), ("*", true), ("c", false)];
        assert_eq!(texts, want.map(|(text, varies)| (text.to_owned(), varies)));
    }

    proptest! {
        #[test]
        fn the_query_of_any_pattern_can_be_read(messages in prop::collection::vec("\\PC{0,40}", 1..8), written in "[a-z: ]{0,10}") {
            let query = parse(&written).unwrap_or_else(|_| parse("").unwrap());
            for pattern in patterns::mine(messages.iter().map(String::as_str)) {
                let (only, not) = queries(&pattern, &query);
                for query in [only, not].into_iter().flatten() {
                    prop_assert!(parse(&query).is_ok(), "{}", query);
                }
            }
        }
    }
}
