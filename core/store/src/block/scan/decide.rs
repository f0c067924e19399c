//! Which rows of a column have a value that a test accepts. A value that many rows share is asked once.

use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, StringArray, cast::AsArray, types::Int32Type,
};
use log_tracer_query::{RowSet, TextTest};

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
        self.search_as(among, test, of_none, |text| Ok(test.accepts(text)))
    }

    /// The rows that `accepts` says yes to, which it does only of a text in which the search can find something.
    pub(super) fn search_as(
        &self,
        among: &RowSet,
        test: &TextTest<'_>,
        of_none: bool,
        mut accepts: impl FnMut(&str) -> Result<bool, Malformed>,
    ) -> Result<RowSet, Malformed> {
        let (Self::Plain(texts), false) = (self, of_none) else {
            return self.decide(among, |place| match place {
                Some((texts, place)) => accepts(texts.value(place)),
                None => Ok(of_none),
            });
        };
        let (ends, letters) = (texts.value_offsets(), texts.value_data());
        let end = |row: usize| usize::try_from(at(ends, row)).unwrap_or(0);
        let first = end(0);
        let letters = letters.get(first..end(texts.len())).unwrap_or_default();
        let Some(finder) = test.finder(letters) else {
            return self.decide(among, |place| match place {
                Some((texts, place)) => accepts(texts.value(place)),
                None => Ok(false),
            });
        };
        let mut found = RowSet::none(among.rows());
        let mut place = 0;
        let mut row = 0;
        while let Some(candidate) = finder.next_from(place) {
            row = row_of(ends, row, first + candidate);
            if row >= texts.len() {
                break;
            }
            if among.contains(row) && texts.is_valid(row) && accepts(text_at(texts, row))? {
                found.insert(row);
            }
            // What follows in the same text says nothing new.
            place = end(row + 1) - first;
        }
        Ok(found)
    }
}

/// The row, from this one on, that a place among the letters of all belongs to. It is seldom far.
fn row_of(ends: &[i32], from: usize, place: usize) -> usize {
    let is_after = |end: &i32| usize::try_from(*end).unwrap_or(0) > place;
    let following = ends.get(from + 1..).unwrap_or_default();
    if following.first().is_some_and(is_after) {
        return from;
    }
    from + following.partition_point(|end| !is_after(end))
}
