//! The paths of both traces: a tree in which what is the same is gathered, or a list with the greatest differences first.

use serde::Serialize;

use super::{Both, State, order, summary::timeline};
use crate::{
    charts::percent,
    pages::{
        trace::{html_bytes, kind_word},
        traces::name,
    },
    palette::Palette,
    sorting::{self, Column, Head, Pager, Pages},
    trace::shape::{
        Sums,
        compare::{Line, Order, Pair, Same, Side, Verdict},
    },
    units::{clip, count, duration, plural},
};

/// Lines on one page: so many, or fewer where names are long, so that the page stays small.
const ROWS_MAX: usize = 60;
const ROWS_MIN: usize = 8;

/// Bytes of HTML of the table at most, and of a row without its texts.
const TABLE_BYTES_MAX: usize = 66_000;
const ROW_BYTES: usize = 760;

/// Deeper rows are not moved further to the right.
const DEPTH_MAX: usize = 24;

/// Steps that are named above a path in a list.
const ABOVE_MAX: usize = 3;

pub(super) const SORT_DEFAULT: &str = "tree";

pub(super) const COLUMNS: [Column; 7] = [
    Column::text("", "Operation"),
    Column::text("", "A and B"),
    Column::number("spans", "Spans"),
    Column::number("errors", "Errors"),
    Column::text("", "Total time"),
    Column::number("total", "Difference"),
    Column::number("self", "Self time"),
];

/// The table.
#[derive(Debug, Serialize)]
pub(super) struct TableView {
    heads: Vec<Head>,
    rows: Vec<RowView>,
    pager: Pager,
    /// Whether it is the tree, and whether that is folded.
    is_tree: bool,
    is_folded: bool,
    /// Shows all of the tree, or folds it again; and back from a list to the tree.
    fold_href: String,
    tree_href: String,
}

#[derive(Debug, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
enum RowView {
    Pair(Box<PairView>),
    Same(SameView),
}

#[derive(Debug, Serialize)]
struct PairView {
    depth: usize,
    service: String,
    colour: usize,
    name: String,
    kind: &'static str,
    /// What stands above it, in a list.
    above: String,
    /// A class: "onlya", "onlyb", "same" or "changed".
    verdict: &'static str,
    words: String,
    /// "and 12 paths below".
    below: String,
    spans: Change,
    errors: Change,
    /// Total time.
    a: Time,
    b: Time,
    /// B less A; empty where that counts as none.
    total: String,
    total_tone: &'static str,
    own: Change,
}

/// A total time of one trace.
#[derive(Debug, Serialize)]
struct Time {
    /// Empty where the trace has no such path.
    words: String,
    /// In percent of the longest.
    width: String,
    /// Its spans in the timeline.
    href: String,
}

/// A number in both.
#[derive(Debug, Default, Serialize)]
struct Change {
    /// "12", or "12 → 14" when they differ.
    values: String,
    /// "+2"; empty when they do not.
    difference: String,
    /// A class: "worse", "better" or none.
    tone: &'static str,
}

/// Neighbours that are the same.
#[derive(Debug, Serialize)]
struct SameView {
    depth: usize,
    words: String,
}

impl TableView {
    pub(super) fn new(state: &State, both: &Both, palette: &Palette) -> Self {
        let order = order(state.sort);
        let lines: Vec<Line> = match order {
            Order::Tree if !state.all => both.comparison.folded(),
            order => both
                .comparison
                .ordered(order)
                .into_iter()
                .map(|pair| Line::Pair {
                    pair,
                    below: Default::default(),
                })
                .collect(),
        };
        let totals = both
            .comparison
            .pairs
            .iter()
            .flat_map(|pair| [pair.a, pair.b]);
        let writer = Writer {
            both,
            palette,
            is_tree: order == Order::Tree,
            longest: totals.flatten().map(|sums| sums.total).max().unwrap_or(0),
        };
        let rows_max = writer.rows_max();
        let pages = Pages::new(lines.len(), rows_max, state.page);
        let folded = State {
            all: !state.all,
            ..state.clone()
        };
        let tree = State {
            sort: SORT_DEFAULT,
            ..state.clone()
        };
        Self {
            heads: sorting::heads(&COLUMNS, state.sort, SORT_DEFAULT, &state.link(), "paths"),
            rows: lines
                .iter()
                .skip(pages.skipped)
                .take(rows_max)
                .filter_map(|line| writer.row(line))
                .collect(),
            pager: pages.pager(&state.link().at("paths")),
            is_tree: order == Order::Tree,
            is_folded: !state.all,
            fold_href: folded.link().at("paths").to_string(),
            tree_href: tree.link().at("paths").to_string(),
        }
    }
}

struct Writer<'a> {
    both: &'a Both,
    palette: &'a Palette,
    is_tree: bool,
    /// The longest total time.
    longest: u64,
}

impl Writer<'_> {
    /// Rows on one page; the same for all pages, so that none is left out between two.
    fn rows_max(&self) -> usize {
        let longest = self.both.comparison.steps.iter().map(|step| {
            let texts = html_bytes(&clip(&step.service, 40)) + html_bytes(&clip(&step.name, 80));
            let href = timeline(&self.both.a.place, &step.service, &step.name);
            texts + 2 * html_bytes(&href)
        });
        let row = ROW_BYTES + longest.max().unwrap_or(0);
        (TABLE_BYTES_MAX / row).clamp(ROWS_MIN, ROWS_MAX)
    }

    fn row(&self, line: &Line) -> Option<RowView> {
        match line {
            Line::Same(same) => Some(RowView::Same(same_view(same))),
            Line::Pair { pair, below } => {
                let pair = self.both.comparison.pairs.get(*pair)?;
                let mut view = self.pair(pair)?;
                if below.pairs > 0 {
                    view.below = format!(
                        "and {} below with {}",
                        plural(below.pairs as u64, "path", "paths"),
                        plural(below.spans, "span", "spans")
                    );
                }
                Some(RowView::Pair(Box::new(view)))
            }
        }
    }

    fn pair(&self, pair: &Pair) -> Option<PairView> {
        let step = self.both.comparison.step(pair)?;
        let time = |side: Side| {
            let place = match side {
                Side::A => &self.both.a.place,
                Side::B => &self.both.b.place,
            };
            match pair.side(side) {
                None => Time {
                    words: String::new(),
                    width: "0".to_owned(),
                    href: String::new(),
                },
                Some(sums) => Time {
                    words: duration(sums.total),
                    width: percent(sums.total as f64, self.longest as f64),
                    href: timeline(place, &step.service, &step.name),
                },
            }
        };
        let longer = self.longer();
        let total = match pair.total_differs(longer) {
            true => pair.difference(|sums| sums.total),
            false => 0,
        };
        Some(PairView {
            depth: if self.is_tree {
                pair.depth.min(DEPTH_MAX)
            } else {
                0
            },
            service: clip(&step.service, 40),
            colour: self.palette.colour(&step.service),
            name: name(&clip(&step.name, 80)),
            kind: kind_word(step),
            above: if self.is_tree {
                String::new()
            } else {
                self.above(pair)
            },
            verdict: match pair.verdict {
                Verdict::Only(Side::A) => "onlya",
                Verdict::Only(Side::B) => "onlyb",
                Verdict::Same => "same",
                Verdict::Changed => "changed",
            },
            words: self.words(pair),
            below: String::new(),
            spans: Change {
                // More or fewer spans are neither good nor bad.
                tone: "",
                ..change(pair, |sums| sums.count, count, true)
            },
            errors: change(pair, |sums| sums.errors, count, true),
            a: time(Side::A),
            b: time(Side::B),
            total: signed(total, duration),
            total_tone: tone(total),
            own: change(pair, |sums| sums.own, duration, pair.own_differs(longer)),
        })
    }

    /// The duration of the longer trace.
    fn longer(&self) -> u64 {
        self.both.a.duration().max(self.both.b.duration())
    }

    /// The nearest steps above a path.
    fn above(&self, pair: &Pair) -> String {
        let pairs = &self.both.comparison.pairs;
        let parents = std::iter::successors(pair.parent, |at| pairs.get(*at)?.parent);
        let mut names: Vec<String> = parents
            .take(ABOVE_MAX)
            .filter_map(|at| self.both.comparison.step(pairs.get(at)?))
            .map(|step| name(&clip(&step.name, 40)))
            .collect();
        if pair.depth > ABOVE_MAX {
            names.push("…".to_owned());
        }
        names.reverse();
        match names.is_empty() {
            true => String::new(),
            false => format!("in {}", names.join(" › ")),
        }
    }

    /// How the two differ.
    fn words(&self, pair: &Pair) -> String {
        match pair.verdict {
            Verdict::Only(Side::A) => return "only in A".to_owned(),
            Verdict::Only(Side::B) => return "only in B".to_owned(),
            Verdict::Same => return "the same".to_owned(),
            Verdict::Changed => {}
        }
        let longer = self.longer();
        let way = |difference: i128, less: &'static str, more: &'static str| match difference {
            0 => None,
            1.. => Some(more),
            _ => Some(less),
        };
        let total = pair
            .total_differs(longer)
            .then(|| way(pair.difference(|sums| sums.total), "faster", "slower"))
            .flatten();
        let own = pair
            .own_differs(longer)
            .then(|| {
                way(
                    pair.difference(|sums| sums.own),
                    "less self time",
                    "more self time",
                )
            })
            .flatten();
        let words: Vec<&str> = [
            way(
                pair.difference(|sums| sums.errors),
                "fewer errors",
                "more errors",
            ),
            way(
                pair.difference(|sums| sums.count),
                "fewer spans",
                "more spans",
            ),
            total,
            own.filter(|_| total.is_none()),
        ]
        .into_iter()
        .flatten()
        .collect();
        words.join(", ")
    }
}

/// `differs` says whether the difference counts; one path alone has nothing to differ from.
fn change(pair: &Pair, of: fn(&Sums) -> u64, write: fn(u64) -> String, differs: bool) -> Change {
    let value = |side| pair.side(side).map(&of);
    let is_both = pair.a.is_some() && pair.b.is_some();
    let difference = match differs && is_both {
        true => pair.difference(of),
        false => 0,
    };
    Change {
        values: match (value(Side::A), value(Side::B)) {
            (Some(a), Some(b)) if a != b => format!("{} → {}", write(a), write(b)),
            (Some(only), _) | (None, Some(only)) => write(only),
            (None, None) => String::new(),
        },
        difference: signed(difference, write),
        tone: tone(difference),
    }
}

/// More time or more errors are worse.
pub(super) fn tone(difference: i128) -> &'static str {
    match difference {
        1.. => "worse",
        0 => "",
        _ => "better",
    }
}

fn same_view(same: &Same) -> SameView {
    SameView {
        depth: same.depth.min(DEPTH_MAX),
        words: format!(
            "{} the same: {}, self time {} and {}",
            count(same.pairs as u64),
            plural(same.spans, "span", "spans"),
            duration(same.a),
            duration(same.b)
        ),
    }
}

/// A difference with its sign; empty for none. One that no number holds is cut to the largest.
pub(super) fn signed(difference: i128, write: fn(u64) -> String) -> String {
    let size = u64::try_from(difference.unsigned_abs()).unwrap_or(u64::MAX);
    match difference {
        0 => String::new(),
        1.. => format!("+{}", write(size)),
        _ => format!("−{}", write(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_its_sign_and_none_is_not_written() {
        assert_eq!(signed(0, count), "");
        assert_eq!(signed(1_200, count), "+1,200");
        assert_eq!(signed(-1_500_000, duration), "−1.50 ms");
        assert!(!signed(i128::MIN, duration).is_empty());
    }
}
