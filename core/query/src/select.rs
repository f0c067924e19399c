//! A query asked of many records at once, test by test: what a test says of a value can be worked out once for all
//! records that have it.

use regex::Regex;

use crate::compile::{Check, Node};
use crate::record::{Field, Value};
use crate::rows::RowSet;
use crate::words::TokenRun;

/// Numbered records, as far as a query looks at them. What each has is what a [`Record`](crate::Record) of it would hand
/// out.
pub trait Records {
    /// Why the records cannot be looked at.
    type Error;

    /// Of `among`, those that have a value of the field that the test accepts.
    ///
    /// # Errors
    /// They cannot be looked at.
    fn with_value(
        &mut self,
        field: &Field,
        test: &ValueTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, Self::Error>;

    /// Of `among`, those that have a text, of those that words are searched in, that the test accepts.
    ///
    /// # Errors
    /// They cannot be looked at.
    fn with_text(&mut self, test: &TextTest<'_>, among: &RowSet) -> Result<RowSet, Self::Error>;
}

/// A test of one value. It says the same of equal values.
#[derive(Clone, Copy, Debug)]
pub struct ValueTest<'q>(&'q Check);

impl<'q> ValueTest<'q> {
    /// Whether the value is one that is asked for.
    #[inline]
    pub fn accepts(&self, value: Value<'_>) -> bool {
        self.0.accepts(value)
    }

    /// The same of values that are texts, when it is a search in them.
    pub fn of_texts(&self) -> Option<TextTest<'q>> {
        match self.0 {
            Check::Words(words) => Some(TextTest(Search::Words(words))),
            Check::Regex(regex) => Some(TextTest(Search::Regex(regex))),
            _ => None,
        }
    }
}

/// A test of one text. It says the same of equal texts.
#[derive(Clone, Copy, Debug)]
pub struct TextTest<'q>(Search<'q>);

#[derive(Clone, Copy, Debug)]
enum Search<'q> {
    Words(&'q TokenRun),
    Regex(&'q Regex),
}

impl TextTest<'_> {
    /// Whether the text is one that is asked for.
    #[inline]
    pub fn accepts(&self, text: &str) -> bool {
        match self.0 {
            Search::Words(words) => words.found_in(text),
            Search::Regex(regex) => regex.is_match(text),
        }
    }

    /// Finds the texts that can be accepted among many that stand one after the other in `texts`; none when each has to
    /// be asked.
    pub fn finder<'t>(&'t self, texts: &'t [u8]) -> Option<Finder<'t>> {
        match self.0 {
            Search::Words(words) if words.is_found_by_anchor(texts) => {
                Some(Finder { words, texts })
            }
            _ => None,
        }
    }
}

/// Finds where a text that is accepted can be.
#[derive(Clone, Copy, Debug)]
pub struct Finder<'t> {
    words: &'t TokenRun,
    texts: &'t [u8],
}

impl Finder<'_> {
    /// The first place, from this one on, where something stands that each text has which is accepted.
    #[inline]
    pub fn next_from(&self, place: usize) -> Option<usize> {
        self.words.next_anchor(self.texts, place)
    }

    /// Whether a text is accepted because of what stands at this place of it, which is one that was found.
    #[inline]
    pub fn accepts_at(&self, text: &str, place: usize) -> bool {
        self.words.found_at(text, place)
    }
}

impl Node {
    pub(crate) fn select<R: Records>(
        &self,
        records: &mut R,
        mut among: RowSet,
    ) -> Result<RowSet, R::Error> {
        if among.is_empty() {
            return Ok(among);
        }
        match self {
            Node::All => Ok(among),
            Node::And(parts) => parts
                .iter()
                .try_fold(among, |left, part| part.select(records, left)),
            Node::Or(parts) => {
                let mut found = RowSet::none(among.rows());
                for part in parts {
                    let some = part.select(records, among.clone())?;
                    among.subtract(&some);
                    found.unite(&some);
                }
                Ok(found)
            }
            Node::Not(inner) => {
                let some = inner.select(records, among.clone())?;
                among.subtract(&some);
                Ok(among)
            }
            Node::Words(words) => records.with_text(&TextTest(Search::Words(words)), &among),
            Node::Regex(regex) => records.with_text(&TextTest(Search::Regex(regex)), &among),
            Node::Field {
                field,
                check: Check::Differs(check),
            } => {
                let mut present = records.with_value(field, &ValueTest(&Check::Exists), &among)?;
                if present.is_empty() {
                    return Ok(present);
                }
                let equal = records.with_value(field, &ValueTest(check), &present)?;
                present.subtract(&equal);
                Ok(present)
            }
            Node::Field { field, check } => records.with_value(field, &ValueTest(check), &among),
        }
    }
}
