//! The texts that words are searched in, as columns.

use log_tracer_query::{RowSet, TextTest};

use super::{
    Scan,
    decide::{Accepted, Texts},
};
use crate::{
    block::{
        BlockError, Storable,
        error::Malformed,
        json::{attributes_from_json, events_from_json, value_from_json},
        schema::ColumnType,
    },
    fields::{any_leaf_text, any_text_of},
};

impl<C: Storable> Scan<'_, C> {
    /// The rows with a text that is accepted. What is dear to look at is asked last, and only of rows that were not found
    /// yet.
    pub(super) fn with_any_text(
        &mut self,
        test: &TextTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, BlockError> {
        let mut found = RowSet::none(self.rows);
        let mut left = among.clone();
        let mut take = |some: RowSet, left: &mut RowSet| {
            left.subtract(&some);
            found.unite(&some);
            left.is_empty()
        };
        let mut has_events = false;
        for name in C::COLUMNS_OF.texts {
            let some = match *name {
                "body" => self.with_body_text(test, &left)?,
                "body_is_json" => continue,
                "events" => {
                    has_events = true;
                    continue;
                }
                // A name that is not there is an empty text.
                name => self.search_in(name, &left, test, test.accepts(""))?,
            };
            if take(some, &mut left) {
                return Ok(found);
            }
        }
        let attributes = self.footer.schema.attributes();
        let of_texts = attributes.filter(|(.., r#type)| *r#type == ColumnType::Text);
        let numbers: Vec<usize> = of_texts.map(|(number, ..)| number).collect();
        for number in numbers {
            if let Some(array) = self.column_at(number)? {
                let some = Texts::of(Some(&array), "attributes")
                    .and_then(|texts| texts.search(&left, test, false));
                if take(self.checked(some)?, &mut left) {
                    return Ok(found);
                }
            }
        }
        let others = &mut |text: &str| {
            let attributes = attributes_from_json(text)?;
            Ok(any_text_of(&attributes, &mut |text| test.accepts(text)))
        };
        let some = self.search_json("other_attributes", &left, test, others)?;
        take(some, &mut left);
        if has_events {
            let of_events = &mut |text: &str| {
                let events = events_from_json(text)?;
                Ok(events.iter().any(|event| {
                    let accepts = &mut |text: &str| test.accepts(text);
                    accepts(&event.name) || any_text_of(&event.attributes, accepts)
                }))
            };
            let some = self.search_json("events", &left, test, of_events)?;
            take(some, &mut left);
        }
        Ok(found)
    }

    fn with_body_text(
        &mut self,
        test: &TextTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, BlockError> {
        let (texts, json) = self.bodies(among)?;
        let mut found = self.search_in("body", &texts, test, false)?;
        let of_json = &mut |text: &str| {
            let value = value_from_json(text)?;
            Ok(any_leaf_text(&value, &mut |text| test.accepts(text)))
        };
        found.unite(&self.search_json("body", &json, test, of_json)?);
        Ok(found)
    }

    /// The rows whose text in a column is accepted; `of_none` is what is said of rows without one.
    pub(super) fn search_in(
        &mut self,
        name: &str,
        among: &RowSet,
        test: &TextTest<'_>,
        of_none: bool,
    ) -> Result<RowSet, BlockError> {
        if among.is_empty() {
            return Ok(among.clone());
        }
        let array = self.column(name)?;
        let found =
            Texts::of(array.as_ref(), name).and_then(|texts| texts.search(among, test, of_none));
        self.checked(found)
    }

    /// The same of a column of JSON: a word that stands in one of its texts stands in the JSON as it is.
    fn search_json(
        &mut self,
        name: &str,
        among: &RowSet,
        test: &TextTest<'_>,
        accepts: &mut dyn FnMut(&str) -> Result<bool, Malformed>,
    ) -> Result<RowSet, BlockError> {
        if among.is_empty() {
            return Ok(among.clone());
        }
        let array = self.column(name)?;
        let found = Texts::of(array.as_ref(), name).and_then(|texts| {
            texts.search_as(among, test, false, |text, _| {
                Ok(match accepts(text)? {
                    true => Accepted::Yes,
                    false => Accepted::No,
                })
            })
        });
        self.checked(found)
    }
}
