//! What stands above the table: both traces, their numbers side by side, and what differs most.

use serde::Serialize;

use super::{
    Both, Subject,
    table::{signed, tone},
};
use crate::{
    clock::Moment,
    lines::{hex, trace_href},
    pages::{trace, traces},
    palette::Palette,
    params::Link,
    search::CoverageView,
    trace::shape::compare::{Order, Pair, Side, Verdict},
    units::{clip, count, duration, plural},
};

/// Entries of a list of the greatest differences.
const ENTRIES_MAX: usize = 5;

/// One of the traces.
#[derive(Debug, Serialize)]
pub(super) struct Card {
    href: String,
    id: String,
    file: String,
    service: String,
    colour: usize,
    name: String,
    start: Moment,
    coverage: CoverageView,
}

impl Card {
    pub(super) fn new(subject: &Subject, palette: &Palette) -> Self {
        Self {
            href: trace_href(&hex(&subject.place), ""),
            id: hex(&subject.trace_id),
            file: clip(&subject.file, 80),
            service: clip(&subject.service, 60),
            colour: palette.colour(&subject.service),
            name: match subject.whole.count {
                0 => "(logs without a span)".to_owned(),
                _ => traces::name(&subject.name),
            },
            start: Moment::new(subject.start),
            coverage: CoverageView::new(Some(&subject.coverage)),
        }
    }
}

/// Numbers side by side, and the greatest differences.
#[derive(Debug, Serialize)]
pub(super) struct SummaryView {
    /// The outcome in a sentence.
    words: String,
    facts: Vec<Fact>,
    lists: Vec<List>,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    a: String,
    b: String,
    /// Empty when there is none.
    difference: String,
    /// A class: "worse", "better" or none.
    tone: &'static str,
}

/// Paths that differ in one way, those that differ most first.
#[derive(Debug, Serialize)]
struct List {
    title: &'static str,
    entries: Vec<Entry>,
    /// "and 12 more"; empty when all are listed.
    more: String,
}

#[derive(Debug, Serialize)]
struct Entry {
    service: String,
    colour: usize,
    name: String,
    href: String,
    words: String,
}

impl SummaryView {
    pub(super) fn new(both: &Both, palette: &Palette) -> Self {
        Self {
            words: words(both),
            facts: facts(both),
            lists: lists(both, palette),
        }
    }
}

fn words(both: &Both) -> String {
    let of = |verdict| both.comparison.count(verdict);
    let (changed, same) = (of(Verdict::Changed), of(Verdict::Same));
    let (gone, added) = (of(Verdict::Only(Side::A)), of(Verdict::Only(Side::B)));
    if both.a.place == both.b.place {
        return "This is one trace compared with itself.".to_owned();
    }
    if both.comparison.pairs.is_empty() {
        return "Neither trace has a span.".to_owned();
    }
    if changed + gone + added == 0 {
        return format!("No difference in {}.", plural(same, "path", "paths"));
    }
    if changed + same == 0 {
        return "No path is in both: they begin with different operations.".to_owned();
    }
    let parts: Vec<String> = [
        (changed, "differs", "differ"),
        (gone, "is only in A", "are only in A"),
        (added, "is only in B", "are only in B"),
        (same, "is the same", "are the same"),
    ]
    .into_iter()
    .filter(|(number, ..)| *number > 0)
    .enumerate()
    .map(|(at, (number, one, many))| match at {
        0 => plural(number, &format!("path {one}"), &format!("paths {many}")),
        _ => plural(number, one, many),
    })
    .collect();
    format!("{}.", parts.join(", "))
}

fn facts(both: &Both) -> Vec<Fact> {
    let (a, b) = (&both.a, &both.b);
    let time = |name, a: u64, b: u64| {
        let difference = i128::from(b) - i128::from(a);
        Fact {
            name,
            a: duration(a),
            b: duration(b),
            difference: signed(difference, duration),
            tone: tone(difference),
        }
    };
    let number = |name, a: u64, b: u64, is_bad: bool| {
        let difference = i128::from(b) - i128::from(a);
        Fact {
            name,
            a: count(a),
            b: count(b),
            difference: signed(difference, count),
            tone: if is_bad { tone(difference) } else { "" },
        }
    };
    vec![
        time("Duration", a.duration(), b.duration()),
        number("Spans", a.whole.count, b.whole.count, false),
        number("Errors", a.whole.errors, b.whole.errors, true),
        number("Services", a.services, b.services, false),
        number(
            "Paths",
            a.shape.nodes.len() as u64,
            b.shape.nodes.len() as u64,
            false,
        ),
        number("Log records", a.logs, b.logs, false),
    ]
}

fn lists(both: &Both, palette: &Palette) -> Vec<List> {
    let slower = by_time(both, 1);
    let faster = by_time(both, -1);
    let only = |side| {
        let mut tops = both.comparison.tops(side);
        let spans = |at: &usize| {
            let pairs = both.comparison.pairs.iter();
            let size = both.comparison.pairs.get(*at).map_or(0, |pair| pair.size);
            pairs
                .skip(*at)
                .take(size)
                .filter_map(|pair| pair.side(side))
                .fold(0_u64, |spans, sums| spans.saturating_add(sums.count))
        };
        tops.sort_by_cached_key(|at| std::cmp::Reverse(spans(at)));
        tops
    };
    [
        ("Slower in B, by self time", slower, Side::B),
        ("Faster in B, by self time", faster, Side::B),
        ("Only in A", only(Side::A), Side::A),
        ("Only in B", only(Side::B), Side::B),
    ]
    .into_iter()
    .filter(|(_, numbers, _)| !numbers.is_empty())
    .map(|(title, numbers, side)| List {
        title,
        more: match numbers.len().saturating_sub(ENTRIES_MAX) as u64 {
            0 => String::new(),
            more => format!("and {} more", count(more)),
        },
        entries: numbers
            .into_iter()
            .take(ENTRIES_MAX)
            .filter_map(|at| entry(both, palette, at, side))
            .collect(),
    })
    .collect()
}

/// The paths of both whose self time changed that way, the most first.
fn by_time(both: &Both, sign: i128) -> Vec<usize> {
    let pair = |at: &usize| both.comparison.pairs.get(*at);
    let longer = both.a.duration().max(both.b.duration());
    both.comparison
        .ordered(Order::Own)
        .into_iter()
        .filter(|at| {
            pair(at).is_some_and(|pair| {
                pair.verdict == Verdict::Changed
                    && pair.difference(|sums| sums.own).signum() == sign
                    && pair.own_differs(longer)
            })
        })
        .collect()
}

fn entry(both: &Both, palette: &Palette, at: usize, side: Side) -> Option<Entry> {
    let pair: &Pair = both.comparison.pairs.get(at)?;
    let step = both.comparison.step(pair)?;
    let words = match pair.verdict {
        Verdict::Only(side) => {
            let sums = pair.side(side).copied().unwrap_or_default();
            let below = match pair.size - 1 {
                0 => String::new(),
                below => format!(", and {} below", plural(below as u64, "path", "paths")),
            };
            format!(
                "{}, {}{below}",
                plural(sums.count, "span", "spans"),
                duration(sums.total)
            )
        }
        Verdict::Changed | Verdict::Same => {
            let own = |side| pair.side(side).map_or(0, |sums| sums.own);
            format!(
                "{} ({} → {})",
                signed(pair.difference(|sums| sums.own), duration),
                duration(own(Side::A)),
                duration(own(Side::B))
            )
        }
    };
    let place = match side {
        Side::A => &both.a.place,
        Side::B => &both.b.place,
    };
    Some(Entry {
        service: clip(&step.service, 40),
        colour: palette.colour(&step.service),
        name: traces::name(&clip(&step.name, 80)),
        href: timeline(place, &step.service, &step.name),
        words,
    })
}

/// The spans of an operation in the timeline of a trace.
pub(super) fn timeline(place: &super::Id, service: &str, name: &str) -> String {
    Link::to(format!("/trace/{}", hex(place)))
        .with("f", trace::filter(service, Some(name)))
        .to_string()
}
