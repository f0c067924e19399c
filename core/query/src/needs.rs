//! What a query needs: facts that hold of every record that matches. A store uses them to leave out whole blocks,
//! pages and columns; it must still ask [`Query::matches`](crate::Query::matches) of the records that remain.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::compile::{Check, Node};
use crate::field::Type;
use crate::record::{Field, Intrinsic, Record, Value};
use crate::text::{equals_lowered, starts_with_lowered, tokens, value_text};
use crate::words::TokenRun;

/// The most clauses that are kept; the least selective are dropped.
const CLAUSES_MAX: usize = 32;
/// The most alternatives that an `OR` may have for its clauses to be combined each with each.
const COMBINED_ALTERNATIVES_MAX: usize = 4;
/// The most needles in a clause; a wider one says too little for its price.
const NEEDLES_MAX: usize = 1024;

/// What every record that matches a query has.
///
/// The ranges and clauses are conditions that all hold; within a clause at least one needle does. Times, durations and
/// severities are taken to be one per record, as [`Intrinsic`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// No record can match.
    pub never: bool,
    /// The record has a time in this range, nanoseconds since 1970.
    pub time: Option<RangeInclusive<i64>>,
    /// The record has a duration in this range, nanoseconds.
    pub duration: Option<RangeInclusive<i64>>,
    /// The record has a severity in this range, OTLP's numbers.
    pub severity: Option<RangeInclusive<i64>>,
    /// The most selective first.
    pub clauses: Vec<Clause>,
    /// The fields that the query looks at; no other column need be read for it.
    pub fields: BTreeSet<Field>,
    /// Whether the query looks at the texts of a record: [`Record::any_text`].
    pub texts: bool,
}

/// Alternatives of which a record has at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clause {
    /// Never empty.
    pub any_of: BTreeSet<Needle>,
}

/// Something that a record has, in terms that an index can hold. Texts are lower-cased and cut as by
/// [`text`](crate::text).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needle {
    /// This field has this id.
    Id(Intrinsic, Vec<u8>),
    /// This field has a value whose text ([`text::value_text`](crate::text::value_text)), lower-cased, is this.
    Value(Field, String),
    /// This token stands in a value of the field, or in a text of the record when there is none.
    Token(Option<Field>, String),
    /// A token that begins so stands in a value of the field, or in a text of the record when there is none.
    TokenPrefix(Option<Field>, String),
    /// This field has an id whose digits begin so.
    IdPrefix(Intrinsic, String),
    /// This field has a value whose text, lower-cased, begins so.
    ValuePrefix(Field, String),
    /// This field, a time, a duration or a severity, lies in this range.
    Within(Intrinsic, i64, i64),
    /// This field has a value.
    Present(Field),
}

impl Needs {
    pub(crate) fn of(node: &Node) -> Needs {
        let mut needs = summarise(node, true);
        collect_fields(node, &mut needs);
        needs.keep_best_clauses();
        needs
    }

    /// The ids, whole, of which a record must have one in this field, if the query says so.
    pub fn ids(&self, field: Intrinsic) -> Option<Vec<&[u8]>> {
        self.only(|needle| match needle {
            Needle::Id(of, id) if *of == field => Some(id.as_slice()),
            _ => None,
        })
    }

    /// The values, as text in lower case, of which a record must have one in this field, if the query says so.
    pub fn values(&self, field: &Field) -> Option<Vec<&str>> {
        self.only(|needle| match needle {
            Needle::Value(of, value) if of == field => Some(value.as_str()),
            _ => None,
        })
    }

    /// What `pick` answers of each needle of the first clause of which it answers for all.
    fn only<'n, T>(&'n self, pick: impl Fn(&'n Needle) -> Option<T>) -> Option<Vec<T>> {
        self.clauses
            .iter()
            .find_map(|clause| clause.any_of.iter().map(&pick).collect())
    }

    /// Whether a record has all of it: true of every record that matches, and of some others.
    pub fn admit<R: Record + ?Sized>(&self, record: &R) -> bool {
        let is_within = |field: Intrinsic, range: &Option<RangeInclusive<i64>>| {
            range.as_ref().is_none_or(|range| {
                Needle::Within(field, *range.start(), *range.end()).found_in(record)
            })
        };
        !self.never
            && is_within(Intrinsic::Time, &self.time)
            && is_within(Intrinsic::Duration, &self.duration)
            && is_within(Intrinsic::Severity, &self.severity)
            && self
                .clauses
                .iter()
                .all(|clause| clause.any_of.iter().any(|needle| needle.found_in(record)))
    }

    /// Whether a record can have all of it, of which only some fields are known: whatever asks for another one may be there.
    pub fn may_admit<R: Record + ?Sized>(
        &self,
        record: &R,
        is_known: impl Fn(&Field) -> bool,
    ) -> bool {
        let may_have = |needle: &Needle| {
            let field = needle.field();
            field.is_none_or(|field| !is_known(&field)) || needle.found_in(record)
        };
        !self.never
            && self
                .clauses
                .iter()
                .all(|clause| clause.any_of.iter().any(may_have))
    }

    fn nothing_matches() -> Needs {
        Needs {
            never: true,
            ..Needs::default()
        }
    }

    fn of_clauses(clauses: impl IntoIterator<Item = Clause>) -> Needs {
        Needs {
            clauses: clauses.into_iter().collect(),
            ..Needs::default()
        }
    }

    fn and(mut self, other: Needs) -> Needs {
        self.never |= other.never;
        for (mine, theirs) in self.ranges().into_iter().zip(other.bounds()) {
            *mine = match (mine.take(), theirs) {
                (Some(a), Some(b)) => Some(*a.start().max(b.start())..=*a.end().min(b.end())),
                (a, b) => a.or(b),
            };
        }
        let is_empty = |range: &Option<RangeInclusive<i64>>| {
            range.as_ref().is_some_and(RangeInclusive::is_empty)
        };
        self.never |= self.bounds().iter().any(is_empty);
        if self.never {
            return Needs::nothing_matches();
        }
        self.clauses.extend(other.clauses);
        self
    }

    fn or(alternatives: Vec<Needs>) -> Needs {
        let mut possible: Vec<Needs> = alternatives
            .into_iter()
            .filter(|needs| !needs.never)
            .collect();
        if possible.len() > COMBINED_ALTERNATIVES_MAX {
            // Each with each would be too many.
            for needs in &mut possible {
                needs.keep_best_clauses();
                needs.clauses.truncate(1);
            }
        }
        possible
            .into_iter()
            .reduce(Needs::either)
            .unwrap_or_else(Needs::nothing_matches)
    }

    /// What holds whichever of two holds.
    fn either(mut self, other: Needs) -> Needs {
        for (mine, theirs) in self.ranges().into_iter().zip(other.bounds()) {
            *mine = match (mine.take(), theirs) {
                (Some(a), Some(b)) => Some(*a.start().min(b.start())..=*a.end().max(b.end())),
                _ => None,
            };
        }
        // One with one is how a long list grows: without a copy of all that it has.
        if let ([mine], [_]) = (self.clauses.as_mut_slice(), other.clauses.as_slice()) {
            mine.any_of
                .extend(other.clauses.into_iter().flat_map(|clause| clause.any_of));
        } else {
            self.clauses = each_with_each(&self.clauses, &other.clauses);
        }
        self.clauses
            .retain(|clause| clause.any_of.len() <= NEEDLES_MAX);
        self.keep_best_clauses();
        self
    }

    fn keep_best_clauses(&mut self) {
        self.clauses.sort();
        self.clauses.dedup();
        self.clauses.sort_by_cached_key(Clause::breadth);
        self.clauses.truncate(CLAUSES_MAX);
    }

    fn ranges(&mut self) -> [&mut Option<RangeInclusive<i64>>; 3] {
        [&mut self.time, &mut self.duration, &mut self.severity]
    }

    fn bounds(&self) -> [Option<RangeInclusive<i64>>; 3] {
        [
            self.time.clone(),
            self.duration.clone(),
            self.severity.clone(),
        ]
    }
}

impl Clause {
    fn of(needles: impl IntoIterator<Item = Needle>) -> Clause {
        Clause {
            any_of: needles.into_iter().collect(),
        }
    }

    /// Grows with the records that a clause lets through: its broadest needle decides, then how many there are.
    fn breadth(&self) -> (u8, usize) {
        let broadest = self
            .any_of
            .iter()
            .map(Needle::breadth)
            .max()
            .unwrap_or_default();
        (broadest, self.any_of.len())
    }
}

impl Needle {
    /// Whether the record has it.
    pub fn found_in<R: Record + ?Sized>(&self, record: &R) -> bool {
        match self {
            Needle::Id(field, id) => record.any_value(&Field::Intrinsic(*field), &mut |value| {
                matches!(value, Value::Bytes(bytes) if bytes == id.as_slice())
            }),
            Needle::IdPrefix(field, digits) => record
                .any_value(&Field::Intrinsic(*field), &mut |value| {
                    value_text(value).starts_with(digits.as_str())
                }),
            Needle::Value(field, text) => record
                .any_value(field, &mut |value| equals_lowered(&value_text(value), text)),
            Needle::ValuePrefix(field, prefix) => record
                .any_value(field, &mut |value| starts_with_lowered(&value_text(value), prefix)),
            Needle::Token(field, token) => {
                any_token(record, field.as_ref(), |found| found == token)
            }
            Needle::TokenPrefix(field, prefix) => {
                any_token(record, field.as_ref(), |found| found.starts_with(prefix.as_str()))
            }
            Needle::Within(field, first, last) => record
                .any_value(&Field::Intrinsic(*field), &mut |value| {
                    matches!(value, Value::Int(number) if (*first..=*last).contains(&number))
                }),
            Needle::Present(field) => record.any_value(field, &mut |_| true),
        }
    }

    /// The field that it is in; none when it may be in any text of the record.
    fn field(&self) -> Option<Cow<'_, Field>> {
        match self {
            Needle::Id(field, _) | Needle::IdPrefix(field, _) | Needle::Within(field, ..) => {
                Some(Cow::Owned(Field::Intrinsic(*field)))
            }
            Needle::Value(field, _) | Needle::ValuePrefix(field, _) | Needle::Present(field) => {
                Some(Cow::Borrowed(field))
            }
            Needle::Token(field, _) | Needle::TokenPrefix(field, _) => {
                field.as_ref().map(Cow::Borrowed)
            }
        }
    }

    /// A guess at how many records have it, for the order only.
    fn breadth(&self) -> u8 {
        match self {
            Needle::Id(..) => 0,
            Needle::IdPrefix(..) => 1,
            Needle::Value(Field::Attribute(_), _) => 2,
            Needle::Token(..) => 3,
            Needle::TokenPrefix(..) => 4,
            Needle::ValuePrefix(..) => 5,
            Needle::Value(Field::Intrinsic(Intrinsic::Kind | Intrinsic::Status), _) => 7,
            Needle::Value(Field::Intrinsic(_), _) => 6,
            Needle::Within(..) => 8,
            Needle::Present(_) => 9,
        }
    }
}

fn each_with_each(some: &[Clause], others: &[Clause]) -> Vec<Clause> {
    let both = |one: &Clause, other: &Clause| Clause {
        any_of: one.any_of.union(&other.any_of).cloned().collect(),
    };
    some.iter()
        .flat_map(|one| others.iter().map(move |other| both(one, other)))
        .collect()
}

fn any_token<R: Record + ?Sized>(
    record: &R,
    field: Option<&Field>,
    wanted: impl Fn(&str) -> bool,
) -> bool {
    let has_token = |text: &str| tokens(text).any(|token| wanted(&token));
    match field {
        Some(field) => record.any_value(field, &mut |value| has_token(&value_text(value))),
        None => record.any_text(&mut |text| has_token(text)),
    }
}

/// What holds of every record of which `node` is `positive`.
fn summarise(node: &Node, positive: bool) -> Needs {
    let all = |parts: &[Node]| {
        let each = parts.iter().map(|part| summarise(part, positive));
        each.fold(Needs::default(), Needs::and)
    };
    let any =
        |parts: &[Node]| Needs::or(parts.iter().map(|part| summarise(part, positive)).collect());
    match (node, positive) {
        (Node::All, true) => Needs::default(),
        (Node::All, false) => Needs::nothing_matches(),
        (Node::Not(inner), _) => summarise(inner, !positive),
        (Node::And(parts), true) | (Node::Or(parts), false) => all(parts),
        (Node::Or(parts), true) | (Node::And(parts), false) => any(parts),
        (Node::Words(words), true) => words_needed(None, words),
        (Node::Field { field, check }, true) => check_needed(field, check),
        // A text that lacks something, or that a regular expression finds something in, may be any text.
        (Node::Regex(_), _) | (Node::Words(_) | Node::Field { .. }, false) => Needs::default(),
    }
}

fn words_needed(field: Option<&Field>, words: &TokenRun) -> Needs {
    let whole = words
        .whole_tokens()
        .map(|token| Needle::Token(field.cloned(), token.to_owned()));
    let begun = words
        .last_prefix()
        .map(|prefix| Needle::TokenPrefix(field.cloned(), prefix.to_owned()));
    Needs::of_clauses(whole.chain(begun).map(|needle| Clause::of([needle])))
}

fn check_needed(field: &Field, check: &Check) -> Needs {
    let clause = match check {
        Check::Never => return Needs::nothing_matches(),
        Check::Within(range) => return range_needed(field, range),
        Check::Words(words) => return words_needed(Some(field), words),
        Check::Exists | Check::Ordered(..) | Check::Regex(_) | Check::Differs(_) => {
            Clause::of([Needle::Present(field.clone())])
        }
        Check::Equals(equality) => Clause::of(
            equality
                .texts()
                .into_iter()
                .map(|text| Needle::Value(field.clone(), text)),
        ),
        Check::Glob(glob) if glob.prefix().is_empty() => {
            Clause::of([Needle::Present(field.clone())])
        }
        Check::Glob(glob) => {
            Clause::of([Needle::ValuePrefix(field.clone(), glob.prefix().to_owned())])
        }
        Check::Id(prefix) => match (field, field.value_type()) {
            (Field::Intrinsic(intrinsic), Type::Id(bytes)) => {
                Clause::of([match prefix.whole(bytes) {
                    Some(id) => Needle::Id(*intrinsic, id.to_vec()),
                    None => Needle::IdPrefix(*intrinsic, prefix.digits()),
                }])
            }
            _ => Clause::of([Needle::Present(field.clone())]),
        },
    };
    Needs::of_clauses([clause])
}

fn range_needed(field: &Field, range: &RangeInclusive<i64>) -> Needs {
    let Field::Intrinsic(intrinsic) = field else {
        return Needs::default();
    };
    let within = Needle::Within(*intrinsic, *range.start(), *range.end());
    let mut needs = Needs::of_clauses([Clause::of([within])]);
    match intrinsic {
        Intrinsic::Time => needs.time = Some(range.clone()),
        Intrinsic::Duration => needs.duration = Some(range.clone()),
        Intrinsic::Severity => needs.severity = Some(range.clone()),
        _ => {}
    }
    needs
}

fn collect_fields(node: &Node, needs: &mut Needs) {
    match node {
        Node::All => {}
        Node::And(parts) | Node::Or(parts) => {
            parts.iter().for_each(|part| collect_fields(part, needs));
        }
        Node::Not(inner) => collect_fields(inner, needs),
        Node::Words(_) | Node::Regex(_) => needs.texts = true,
        Node::Field { field, .. } => {
            needs.fields.insert(field.clone());
        }
    }
}
