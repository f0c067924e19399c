//! Attributes of the record itself, of its scope and of its resource, as columns.

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array};
use log_tracer_query::{RowSet, Value, ValueTest};

use super::{
    Scan, both,
    decide::{Bytes, Texts},
};
use crate::{
    block::{
        BlockError, Storable,
        error::Malformed,
        json::{attributes_from_json, resource_from_json},
        schema::ColumnType,
    },
    fields::{any_at, any_at_resource, any_at_scope},
};

impl<C: Storable> Scan<'_, C> {
    /// The rows that have a value of an attribute that is accepted. Each place where it can be is asked only of rows that
    /// were not found yet.
    pub(super) fn with_attribute(
        &mut self,
        path: &str,
        test: &ValueTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, BlockError> {
        let mut found = RowSet::none(self.rows);
        let mut left = among.clone();
        let mut take = |some: RowSet, left: &mut RowSet| {
            left.subtract(&some);
            found.unite(&some);
        };
        for (number, r#type) in self.columns_of(path) {
            if let Some(array) = self.column_at(number)? {
                let some = self.checked(with_value(&array, r#type, path, test, &left))?;
                take(some, &mut left);
            }
        }
        let mut of_others = |text: &str| {
            if !can_have(text, path) {
                return Ok(false);
            }
            let attributes = attributes_from_json(text)?;
            Ok(any_at(&attributes, path, &mut |value| test.accepts(value)))
        };
        let some = self.with_json("other_attributes", &left, &mut of_others)?;
        take(some, &mut left);
        let some = self.with_scope(&left, |scope| {
            any_at_scope(scope, path, &mut |value| test.accepts(value))
        })?;
        take(some, &mut left);
        let known = &self.block.cache().resources;
        let mut of_resource = |text: &str| {
            let resource = known.of(text, resource_from_json)?;
            Ok(any_at_resource(&resource, path, &mut |value| {
                test.accepts(value)
            }))
        };
        let some = self.with_json("resource", &left, &mut of_resource)?;
        take(some, &mut left);
        Ok(found)
    }

    /// The columns of an attribute, one for each of its types.
    pub(super) fn columns_of(&self, path: &str) -> Vec<(usize, ColumnType)> {
        let attributes = self.footer.schema.attributes();
        attributes
            .filter(|(_, key, _)| *key == path)
            .map(|(number, _, r#type)| (number, r#type))
            .collect()
    }
}

fn with_value(
    array: &ArrayRef,
    r#type: ColumnType,
    name: &str,
    test: &ValueTest<'_>,
    among: &RowSet,
) -> Result<RowSet, Malformed> {
    Ok(match r#type {
        ColumnType::Int => {
            let array: &Int64Array = cast(array, name)?;
            both(among, |row| {
                array.is_valid(row) && test.accepts(Value::Int(array.value(row)))
            })
        }
        ColumnType::Double => {
            let array: &Float64Array = cast(array, name)?;
            both(among, |row| {
                array.is_valid(row) && test.accepts(Value::Double(array.value(row)))
            })
        }
        ColumnType::Bool => {
            let array: &BooleanArray = cast(array, name)?;
            let [of_false, of_true] = [false, true].map(|value| test.accepts(Value::Bool(value)));
            both(among, |row| {
                array.is_valid(row) && if array.value(row) { of_true } else { of_false }
            })
        }
        ColumnType::Bytes => {
            Bytes::of(Some(array), name)?.decide(among, |place| {
                Ok(place
                    .is_some_and(|(values, place)| test.accepts(Value::Bytes(values.value(place)))))
            })?
        }
        _ => {
            let texts = Texts::of(Some(array), name)?;
            match test.of_texts() {
                Some(search) => texts.search(among, &search, false)?,
                None => texts.decide_texts(among, |text| {
                    text.is_some_and(|text| test.accepts(Value::Str(text)))
                })?,
            }
        }
    })
}

pub(super) fn cast<'a, A: Array + 'static>(
    array: &'a ArrayRef,
    name: &str,
) -> Result<&'a A, Malformed> {
    array
        .as_any()
        .downcast_ref()
        .ok_or_else(|| Malformed(format!("its column {name:?} has another type")))
}

/// Whether attributes as JSON can have a path: each key on it begins like the path does, and stands in quotes.
pub(super) fn can_have(json: &str, path: &str) -> bool {
    let first = path.split('.').next().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if first.is_empty() || !first.bytes().all(is_plain) {
        return true;
    }
    json.match_indices(first)
        .any(|(at, _)| json.get(..at).is_some_and(|before| before.ends_with('"')))
}
