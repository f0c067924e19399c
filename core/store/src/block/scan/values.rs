//! The values of a field of many rows, each different one told once with the rows that have it, where that can be.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use hashbrown::HashMap;
use log_tracer_query::{Field, Intrinsic, RowSet, Value};

use super::{
    Scan,
    attributes::{can_have, cast},
    decide::{Bytes, Column, Texts},
    grades::{kind_of, status_of},
};
use crate::{
    block::{
        BlockError, Columns, Storable,
        assemble::wanted,
        error::Malformed,
        json::{event_names_from_json, resource_from_json, scope_from_json},
        schema::ColumnType,
    },
    chunk::column::at,
    fields::{any_at_resource, any_at_scope, status_name},
};

/// Hears of a value, and how many rows have it. Of a row with several, each is told once.
type Visit<'v> = &'v mut dyn FnMut(Value<'_>, u64);

/// Where rows have an attribute.
enum Place {
    Nowhere,
    /// In one column.
    Column(usize, ColumnType),
    /// In their resources.
    Resources,
    /// In several places, or in one that has to be looked at row by row.
    Several,
}

impl<C: Storable> Scan<'_, C> {
    /// Tells the values that some rows have of a field. False, and nothing was told, when rows have to be put together
    /// for it.
    pub(crate) fn values_of(
        &mut self,
        field: &Field,
        rows: &RowSet,
        visit: Visit<'_>,
    ) -> Result<bool, BlockError> {
        match field {
            Field::Intrinsic(intrinsic) => self.values_of_intrinsic(*intrinsic, rows, visit),
            Field::Attribute(path) => match self.place_of(path)? {
                Place::Nowhere => Ok(true),
                Place::Several => Ok(false),
                Place::Column(number, r#type) => {
                    let array = self.column_at(number)?;
                    let array = array.as_ref();
                    let told = array.map_or(Ok(()), |it| tell(it, r#type, path, rows, visit));
                    self.checked(told)?;
                    Ok(true)
                }
                Place::Resources => {
                    let known = &self.block.cache().resources;
                    self.tell_texts("resource", rows, |text, count| {
                        let resource = known.of(text.unwrap_or("{}"), resource_from_json)?;
                        // Each has one value at most: see `place_of`.
                        any_at_resource(&resource, path, &mut |value| {
                            visit(value, count);
                            false
                        });
                        Ok(())
                    })?;
                    Ok(true)
                }
            },
        }
    }

    fn values_of_intrinsic(
        &mut self,
        intrinsic: Intrinsic,
        rows: &RowSet,
        visit: Visit<'_>,
    ) -> Result<bool, BlockError> {
        let Some(name) = (C::COLUMNS_OF.of_field)(intrinsic).first().copied() else {
            return Ok(intrinsic != Intrinsic::Time);
        };
        let mut filled = |text: &str, count| {
            if !text.is_empty() {
                visit(Value::Str(text), count);
            }
        };
        match intrinsic {
            Intrinsic::Service => self.tell_texts("service", rows, |text, count| {
                visit(Value::Str(text.unwrap_or_default()), count);
                Ok(())
            })?,
            Intrinsic::Name | Intrinsic::StatusMessage => {
                self.tell_texts(name, rows, |text, count| {
                    filled(text.unwrap_or_default(), count);
                    Ok(())
                })?;
            }
            Intrinsic::Kind => self.tell_texts(name, rows, |text, count| {
                visit(Value::Str(kind_of(text)), count);
                Ok(())
            })?,
            Intrinsic::Status => self.tell_texts(name, rows, |text, count| {
                visit(Value::Str(status_name(status_of(text))), count);
                Ok(())
            })?,
            Intrinsic::Scope => {
                let known = &self.block.cache().scopes;
                self.tell_texts(name, rows, |text, count| {
                    let scope = known.of(text.unwrap_or("{}"), scope_from_json)?;
                    filled(scope.name(), count);
                    Ok(())
                })?;
            }
            Intrinsic::Severity => {
                let grades = self.grades()?;
                let mut counts = [0_u64; 32];
                for row in rows.iter() {
                    if let Some(count) = counts.get_mut(usize::from(at(&grades, row))) {
                        *count += 1;
                    }
                }
                for (grade, count) in (0_u8..).zip(counts).filter(|(_, count)| *count > 0) {
                    if let Some(value) = C::value_of(grade) {
                        visit(value, count);
                    }
                }
            }
            Intrinsic::Event => self.tell_texts(name, rows, |text, count| {
                let mut names = match text {
                    Some(text) => event_names_from_json(text)?,
                    None => Vec::new(),
                };
                names.sort_unstable();
                names.dedup();
                names.iter().for_each(|name| visit(Value::Str(name), count));
                Ok(())
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Where the rows have an attribute.
    fn place_of(&mut self, path: &str) -> Result<Place, BlockError> {
        let columns = self.columns_of(path);
        let mut columns = columns
            .into_iter()
            .filter(|(number, _)| at(&self.footer.filled, *number) > 0);
        let (first, second) = (columns.next(), columns.next());
        if second.is_some() || self.any_text("other_attributes", |text| Ok(can_have(text, path)))? {
            return Ok(Place::Several);
        }
        let known = &self.block.cache().scopes;
        let of_scopes = self.any_text("scope", |text| {
            let scope = known.of(text, scope_from_json)?;
            Ok(any_at_scope(&scope, path, &mut |_| true))
        })?;
        if of_scopes {
            return Ok(Place::Several);
        }
        let known = &self.block.cache().resources;
        let mut has_many = false;
        let of_resources = self.any_text("resource", |text| {
            let resource = known.of(text, resource_from_json)?;
            let mut count = 0;
            any_at_resource(&resource, path, &mut |_| {
                count += 1;
                false
            });
            has_many |= count > 1;
            Ok(count > 0)
        })?;
        Ok(match (first, of_resources) {
            (Some((number, r#type)), false) => Place::Column(number, r#type),
            (None, true) if !has_many => Place::Resources,
            (None, false) => Place::Nowhere,
            _ => Place::Several,
        })
    }

    /// Whether something is true of a text of a column, of one that no row has, too. Each is asked.
    fn any_text(
        &mut self,
        name: &str,
        mut is_true: impl FnMut(&str) -> Result<bool, Malformed>,
    ) -> Result<bool, BlockError> {
        let array = self.column(name)?;
        let found = Texts::of(array.as_ref(), name).and_then(|texts| {
            let texts: &StringArray = match texts {
                Column::Empty => return Ok(false),
                Column::Plain(texts) | Column::Numbered(_, texts) => texts,
            };
            let mut found = false;
            for text in texts.iter().flatten() {
                found |= is_true(text)?;
            }
            Ok(found)
        });
        self.checked(found)
    }

    fn tell_texts(
        &mut self,
        name: &str,
        rows: &RowSet,
        mut visit: impl FnMut(Option<&str>, u64) -> Result<(), Malformed>,
    ) -> Result<(), BlockError> {
        let array = self.column(name)?;
        let told = Texts::of(array.as_ref(), name).and_then(|texts| {
            texts.tell(rows, |place, count| {
                visit(place.map(|(texts, place)| texts.value(place)), count)
            })
        });
        self.checked(told)
    }

    /// The rows put together, with these columns.
    pub(crate) fn chunk(&mut self, columns: &Columns) -> Result<Arc<C>, BlockError> {
        let wanted = wanted(&self.footer, columns, &C::COLUMNS_OF);
        let decoded = self.footer.decode(&self.file, &self.ranges, &wanted)?;
        let arrays = (0..wanted.len()).filter_map(|number| decoded.array_at(number));
        self.bytes += arrays
            .map(|array| array.get_array_memory_size() as u64)
            .sum::<u64>();
        let chunk = C::assemble(&decoded, columns, self.block.cache());
        self.checked(chunk).map(Arc::new)
    }
}

impl<'a, A: Array + 'static> Column<'a, A> {
    /// Tells the places of the values that some rows have, and how many have it; of rows without one, too.
    fn tell(
        &self,
        rows: &RowSet,
        mut visit: impl FnMut(Option<(&'a A, usize)>, u64) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut without = 0;
        match self {
            Self::Empty => without = rows.count() as u64,
            Self::Plain(values) => {
                for row in rows.iter() {
                    match values.is_valid(row) {
                        true => visit(Some((values, row)), 1)?,
                        false => without += 1,
                    }
                }
            }
            Self::Numbered(numbered, values) => {
                let mut counts = vec![0_u64; values.len()];
                let numbers = numbered.keys().values();
                for row in rows.iter() {
                    let number = usize::try_from(at(numbers, row)).ok();
                    let number = number.filter(|_| numbered.is_valid(row));
                    match number.and_then(|number| counts.get_mut(number)) {
                        Some(count) => *count += 1,
                        None => without += 1,
                    }
                }
                for (number, count) in counts.into_iter().enumerate() {
                    match (count, values.is_valid(number)) {
                        (0, _) => {}
                        (_, true) => visit(Some((values, number)), count)?,
                        (_, false) => without += count,
                    }
                }
            }
        }
        match without {
            0 => Ok(()),
            _ => visit(None, without),
        }
    }
}

/// Different numbers that are told together at most: neighbours seldom have more, unless nearly each is different.
const NUMBERS_MAX: usize = 4096;

/// Tells the values of a column of attributes.
fn tell(
    array: &ArrayRef,
    r#type: ColumnType,
    name: &str,
    rows: &RowSet,
    visit: Visit<'_>,
) -> Result<(), Malformed> {
    match r#type {
        ColumnType::Int => {
            let array: &Int64Array = cast(array, name)?;
            let mut counts: HashMap<i64, u64> = HashMap::new();
            for row in rows.iter().filter(|row| array.is_valid(*row)) {
                if counts.len() >= NUMBERS_MAX {
                    let counts = counts.drain();
                    counts.for_each(|(number, count)| visit(Value::Int(number), count));
                }
                *counts.entry(array.value(row)).or_default() += 1;
            }
            for (number, count) in counts {
                visit(Value::Int(number), count);
            }
        }
        ColumnType::Double => {
            let array: &Float64Array = cast(array, name)?;
            let rows = rows.iter().filter(|row| array.is_valid(*row));
            rows.for_each(|row| visit(Value::Double(array.value(row)), 1));
        }
        ColumnType::Bool => {
            let array: &BooleanArray = cast(array, name)?;
            let rows = rows.iter().filter(|row| array.is_valid(*row));
            let (mut all, mut of_true) = (0, 0);
            rows.for_each(|row| {
                all += 1;
                of_true += u64::from(array.value(row));
            });
            for (value, count) in [(true, of_true), (false, all - of_true)] {
                if count > 0 {
                    visit(Value::Bool(value), count);
                }
            }
        }
        ColumnType::Bytes => Bytes::of(Some(array), name)?.tell(rows, |place, count| {
            if let Some((values, place)) = place {
                visit(Value::Bytes(values.value(place)), count);
            }
            Ok(())
        })?,
        _ => Texts::of(Some(array), name)?.tell(rows, |place, count| {
            if let Some((texts, place)) = place {
                visit(Value::Str(texts.value(place)), count);
            }
            Ok(())
        })?,
    }
    Ok(())
}
