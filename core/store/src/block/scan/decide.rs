//! Which rows of a column have a value that a test accepts. A value that many rows share is asked once.

use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, StringArray, cast::AsArray, types::Int32Type,
};
use log_tracer_query::{Finder, RowSet, TextTest};

use crate::{
    block::error::Malformed,
    chunk::column::{at, text_at},
};

/// A column of texts or of bytes; without an array, no row has one.
#[derive(Debug)]
pub(super) enum Column<'a, A> {
    Empty,
    Plain(&'a A),
    Numbered(&'a DictionaryArray<Int32Type>, &'a A),
}

impl<'a, A: Array + 'static> Column<'a, A> {
    pub(super) fn of(array: Option<&'a ArrayRef>, name: &str) -> Result<Self, Malformed> {
        let wrong = || Malformed(format!("its column {name:?} has another type"));
        let Some(array) = array else {
            return Ok(Self::Empty);
        };
        match array.as_dictionary_opt::<Int32Type>() {
            Some(numbered) => {
                let values = numbered.values().as_any().downcast_ref();
                Ok(Self::Numbered(numbered, values.ok_or_else(wrong)?))
            }
            None => array
                .as_any()
                .downcast_ref()
                .map(Self::Plain)
                .ok_or_else(wrong),
        }
    }

    /// Of `among`, the rows that `accepts` says yes to: of the place of a row's value in the array of values, or of none.
    /// It is asked once of each place.
    pub(super) fn decide(
        &self,
        among: &RowSet,
        mut accepts: impl FnMut(Option<(&'a A, usize)>) -> Result<bool, Malformed>,
    ) -> Result<RowSet, Malformed> {
        let mut found = among.clone();
        let mut failure = None;
        let mut check = |result: Result<bool, Malformed>| match result {
            Ok(accepted) => accepted,
            Err(error) => {
                failure.get_or_insert(error);
                false
            }
        };
        match self {
            Self::Empty => {
                if !check(accepts(None)) {
                    found = RowSet::none(among.rows());
                }
            }
            Self::Plain(values) => {
                let mut of_null = None;
                found.retain(|row| match values.is_valid(row) {
                    true => check(accepts(Some((values, row)))),
                    false => *of_null.get_or_insert_with(|| check(accepts(None))),
                });
            }
            Self::Numbered(numbered, values) => {
                let mut of_null = None;
                let mut known: Vec<Option<bool>> = vec![None; values.len()];
                let numbers = numbered.keys().values();
                found.retain(|row| {
                    let number = usize::try_from(at(numbers, row)).ok();
                    let number = number.filter(|_| numbered.is_valid(row));
                    let place = number.and_then(|number| Some((number, known.get_mut(number)?)));
                    match place {
                        Some((number, known)) if values.is_valid(number) => {
                            *known.get_or_insert_with(|| check(accepts(Some((values, number)))))
                        }
                        _ => *of_null.get_or_insert_with(|| check(accepts(None))),
                    }
                });
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(found),
        }
    }
}

pub(super) type Texts<'a> = Column<'a, StringArray>;
pub(super) type Bytes<'a> = Column<'a, BinaryArray>;

impl Texts<'_> {
    /// The same, with the text itself.
    pub(super) fn decide_texts(
        &self,
        among: &RowSet,
        mut accepts: impl FnMut(Option<&str>) -> bool,
    ) -> Result<RowSet, Malformed> {
        self.decide(among, |place| {
            Ok(accepts(place.map(|(texts, place)| texts.value(place))))
        })
    }

    /// The rows whose text a search accepts; `of_none` is what it says of rows without one.
    pub(super) fn search(
        &self,
        among: &RowSet,
        test: &TextTest<'_>,
        of_none: bool,
    ) -> Result<RowSet, Malformed> {
        self.search_as(among, test, of_none, |text, found| {
            Ok(match found {
                Some((finder, place)) if finder.accepts_at(text, place) => Accepted::Yes,
                Some(_) => Accepted::NotHere,
                None if test.accepts(text) => Accepted::Yes,
                None => Accepted::No,
            })
        })
    }

    fn one_by_one(
        &self,
        among: &RowSet,
        of_none: bool,
        mut accepts: impl FnMut(&str, Option<At<'_>>) -> Result<Accepted, Malformed>,
    ) -> Result<RowSet, Malformed> {
        self.decide(among, |place| match place {
            Some((texts, place)) => Ok(accepts(texts.value(place), None)? == Accepted::Yes),
            None => Ok(of_none),
        })
    }

    /// The rows that `accepts` says yes to, which it does only of a text in which the search can find something; it hears
    /// where, if that is known.
    pub(super) fn search_as<'t>(
        &self,
        among: &RowSet,
        test: &'t TextTest<'t>,
        of_none: bool,
        mut accepts: impl FnMut(&str, Option<At<'_>>) -> Result<Accepted, Malformed>,
    ) -> Result<RowSet, Malformed> {
        let (Self::Plain(texts), false) = (self, of_none) else {
            return self.one_by_one(among, of_none, accepts);
        };
        let (ends, letters) = (texts.value_offsets(), texts.value_data());
        let end = |row: usize| usize::try_from(at(ends, row)).unwrap_or(0);
        let mut asked = among.iter();
        let Some(first_row) = asked.next() else {
            return Ok(RowSet::none(among.rows()));
        };
        let end_row = asked.next_back().unwrap_or(first_row) + 1;
        let first = end(first_row);
        let letters = letters.get(first..end(end_row)).unwrap_or_default();
        let Some(finder) = test.finder(letters) else {
            return self.one_by_one(among, of_none, accepts);
        };
        let mut found = RowSet::none(among.rows());
        let mut place = 0;
        let mut row = first_row;
        while let Some(candidate) = finder.next_from(place) {
            row = row_of(ends, row, first + candidate);
            if row >= end_row.min(texts.len()) {
                break;
            }
            let is_asked = among.contains(row) && texts.is_valid(row);
            let answer = match is_asked {
                true => {
                    let place = (first + candidate).saturating_sub(end(row));
                    accepts(text_at(texts, row), Some((&finder, place)))?
                }
                false => Accepted::No,
            };
            if answer == Accepted::Yes {
                found.insert(row);
            }
            place = match answer {
                Accepted::NotHere => candidate + 1,
                // What follows in the same text says nothing new.
                Accepted::Yes | Accepted::No => end(row + 1) - first,
            };
        }
        Ok(found)
    }
}

/// A place in a text where something was found, and what found it.
type At<'f> = (&'f Finder<'f>, usize);

/// What is said of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    Yes,
    No,
    /// Not because of this place.
    NotHere,
}

/// The row, from this one on, that a place among the letters of all belongs to. It is seldom far.
fn row_of(ends: &[i32], from: usize, place: usize) -> usize {
    let is_after = |end: &i32| usize::try_from(*end).unwrap_or(0) > place;
    let following = ends.get(from + 1..).unwrap_or_default();
    if following.first().is_some_and(is_after) {
        return from;
    }
    // It is looked for in strides that double.
    let mut stride = 1;
    while following.get(stride).is_some_and(|end| !is_after(end)) {
        stride *= 2;
    }
    let before = stride / 2;
    let some = following.get(before..(stride + 1).min(following.len()));
    from + before
        + some
            .unwrap_or_default()
            .partition_point(|end| !is_after(end))
}
