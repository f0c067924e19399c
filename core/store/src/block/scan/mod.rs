//! Rows of a block as columns, each read when a question comes to it: to count rows, or to find those that match a query,
//! no row has to be put together.
//!
//! What a query asks of a field it is told of the column, value by value, and once of a value that is numbered in a
//! dictionary. A word is searched in the letters of all bodies at once. The meaning of each field is that of
//! [`crate::fields`], which tests compare it with.

mod attributes;
mod decide;
mod grades;
mod narrow;
mod texts;
mod values;

use std::{ops::Range, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Int32Array, Int64Array,
    TimestampNanosecondArray,
};
use arrow_buffer::ScalarBuffer;
use log_tracer_query::{Field, Intrinsic, Records, RowSet, TextTest, Value, ValueTest};
use log_tracer_record::otlp::logs::SeverityNumber;

use super::{
    Block, BlockError, PAGE_ROWS, Storable,
    decode::Footer,
    error::Malformed,
    json::{event_names_from_json, scope_from_json, value_from_json},
    verified::VerifiedFile,
};
use crate::{
    TimeRange,
    chunk::column::at,
    fields::{any_leaf, status_name},
};
use decide::Texts;
use grades::kind_of;

pub(crate) use grades::{Named, status_of};

/// Rows of a block.
#[derive(Debug)]
pub(crate) struct Scan<'b, C> {
    block: &'b Block<C>,
    file: VerifiedFile,
    footer: Arc<Footer>,
    ranges: Vec<Range<usize>>,
    rows: usize,
    /// What is read at once of a column without a dictionary.
    page_rows: usize,
    /// By number, once it was read: the column, or that no row has a value of it.
    columns: Vec<Option<Option<ArrayRef>>>,
    bytes: u64,
}

impl<C: Storable> Block<C> {
    /// Looks at rows: ranges that are ascending and do not meet. Nothing of them is read yet.
    pub(crate) fn scan(&self, ranges: Vec<Range<usize>>) -> Result<Scan<'_, C>, BlockError> {
        let file = self.verified()?;
        let footer = self.footer(&file)?;
        Ok(Scan {
            block: self,
            file,
            rows: ranges.iter().map(Range::len).sum(),
            ranges,
            page_rows: PAGE_ROWS,
            columns: vec![None; footer.schema.columns.len()],
            footer,
            bytes: 0,
        })
    }
}

impl<C: Storable> Scan<'_, C> {
    /// Takes pages to be smaller than they are.
    #[cfg(test)]
    pub(crate) fn with_page_rows(mut self, page_rows: usize) -> Self {
        self.page_rows = page_rows;
        self
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The numbers in the block of some of the rows, ascending.
    pub(crate) fn numbers_of(&self, rows: &RowSet) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(rows.count());
        let (mut ranges, mut before) = (self.ranges.iter(), 0);
        let mut at = ranges.next();
        for row in rows.iter() {
            while let Some(range) = at
                && row - before >= range.len()
            {
                before += range.len();
                at = ranges.next();
            }
            numbers.extend(at.map(|range| (range.start + row - before) as u32));
        }
        numbers
    }

    /// Bytes of the columns that were read so far, as they are in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the times of all rows lie in a range, as far as is known without reading them.
    pub(crate) fn lies_in(&self, range: TimeRange) -> bool {
        let bounds = self.block.bounds();
        range.contains(bounds.first) && range.contains(bounds.last)
            || self
                .ranges
                .iter()
                .all(|rows| self.piece_bounds_lie_in(rows, range))
    }

    fn piece_bounds_lie_in(&self, rows: &Range<usize>, range: TimeRange) -> bool {
        let pieces = self.block.pieces();
        let first = pieces.partition_point(|piece| piece.rows.end as usize <= rows.start);
        let of_range = pieces.get(first..).unwrap_or_default().iter();
        of_range
            .take_while(|piece| (piece.rows.start as usize) < rows.end)
            .all(|piece| range.contains(piece.bounds.first) && range.contains(piece.bounds.last))
    }

    /// The times of the rows, which ascend.
    pub(crate) fn times(&mut self) -> Result<ScalarBuffer<u64>, BlockError> {
        let name = C::COLUMNS_OF.time;
        if self.rows == 0 {
            return Ok(Vec::new().into());
        }
        let array = self.column(name)?;
        let times: Option<&TimestampNanosecondArray> = self.typed(array.as_ref(), name)?;
        let times = times.map(|times| ScalarBuffer::from(times.values().inner().clone()));
        match times {
            Some(times) if times.len() == self.rows => Ok(times),
            _ => Err(self.corrupt(Malformed(format!("its column {name:?} is not filled")))),
        }
    }

    /// The traces of some rows as numbers, in their order; zero for none.
    pub(crate) fn trace_ids(&mut self, rows: &RowSet) -> Result<Vec<u128>, BlockError> {
        if let Some(mut narrow) = self.narrowed(rows)? {
            let inner = narrow.inner(rows);
            let ids = narrow.scan.trace_ids(&inner);
            self.bytes += narrow.scan.bytes;
            return ids;
        }
        let name = "trace_id";
        let array = self.column(name)?;
        let ids: Option<&FixedSizeBinaryArray> = self.typed(array.as_ref(), name)?;
        let id = |row| {
            let id = ids.filter(|ids| row < ids.len() && ids.is_valid(row));
            let bytes = id.and_then(|ids| ids.value(row).first_chunk::<16>());
            bytes.map_or(0, |bytes| u128::from_be_bytes(*bytes))
        };
        Ok(rows.iter().map(id).collect())
    }

    /// How long some spans took in nanoseconds, in their order; 0 where the end lies before the start.
    pub(crate) fn durations(&mut self, rows: &RowSet) -> Result<Vec<u64>, BlockError> {
        if let Some(mut narrow) = self.narrowed(rows)? {
            let inner = narrow.inner(rows);
            let durations = narrow.scan.durations(&inner);
            self.bytes += narrow.scan.bytes;
            return durations;
        }
        let names = (C::COLUMNS_OF.of_field)(Intrinsic::Duration);
        let Some(name) = names.first().copied() else {
            return Ok(vec![0; rows.count()]);
        };
        let times = self.times()?;
        let array = self.column(name)?;
        let durations = self.duration_values(array.as_ref(), name)?;
        Ok(rows
            .iter()
            .map(|row| duration_of(at(&times, row), at(durations, row)))
            .collect())
    }

    fn duration_values<'a>(
        &self,
        array: Option<&'a ArrayRef>,
        name: &str,
    ) -> Result<&'a [i64], BlockError> {
        let durations: Option<&'a Int64Array> = self.typed(array, name)?;
        Ok(durations.map_or(&[][..], |durations| durations.values()))
    }

    fn corrupt(&self, reason: Malformed) -> BlockError {
        BlockError::corrupt(self.file.path(), reason)
    }

    fn checked<T>(&self, result: Result<T, Malformed>) -> Result<T, BlockError> {
        result.map_err(|reason| self.corrupt(reason))
    }

    fn typed<'a, A: Array + 'static>(
        &self,
        array: Option<&'a ArrayRef>,
        name: &str,
    ) -> Result<Option<&'a A>, BlockError> {
        let Some(array) = array else {
            return Ok(None);
        };
        match array.as_any().downcast_ref() {
            Some(array) => Ok(Some(array)),
            None => Err(self.corrupt(Malformed(format!("its column {name:?} has another type")))),
        }
    }

    /// A column; none when no row of the block has a value of it.
    fn column(&mut self, name: &str) -> Result<Option<ArrayRef>, BlockError> {
        match self.footer.schema.number_of(name) {
            Some(number) => self.column_at(number),
            None => Ok(None),
        }
    }

    fn column_at(&mut self, number: usize) -> Result<Option<ArrayRef>, BlockError> {
        if let Some(Some(known)) = self.columns.get(number) {
            return Ok(known.clone());
        }
        let is_filled = self.rows > 0 && at(&self.footer.filled, number) > 0;
        let array = match is_filled {
            false => None,
            true => {
                let mut wanted = vec![false; self.footer.schema.columns.len()];
                if let Some(wanted) = wanted.get_mut(number) {
                    *wanted = true;
                }
                let decoded = self.footer.decode(&self.file, &self.ranges, &wanted)?;
                decoded.array_at(number).cloned()
            }
        };
        if let Some(array) = &array {
            self.bytes += array.get_array_memory_size() as u64;
        }
        if let Some(place) = self.columns.get_mut(number) {
            *place = Some(array.clone());
        }
        Ok(array)
    }

    /// The rows of which a text column has a text that is accepted.
    fn with_text_in(
        &mut self,
        name: &str,
        among: &RowSet,
        accepts: impl FnMut(Option<&str>) -> bool,
    ) -> Result<RowSet, BlockError> {
        let array = self.column(name)?;
        let found =
            Texts::of(array.as_ref(), name).and_then(|texts| texts.decide_texts(among, accepts));
        self.checked(found)
    }

    fn with_intrinsic(
        &mut self,
        intrinsic: Intrinsic,
        test: &ValueTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, BlockError> {
        let is_text = |text: &str| test.accepts(Value::Str(text));
        let is_filled = |text: Option<&str>| text.is_some_and(|it| !it.is_empty() && is_text(it));
        let names = (C::COLUMNS_OF.of_field)(intrinsic);
        if intrinsic == Intrinsic::Time {
            let times = self.times()?;
            return Ok(both(among, |row| {
                test.accepts(Value::Int(to_int(at(&times, row))))
            }));
        }
        let Some(name) = names.first().copied() else {
            // Records of this kind have no such field.
            return Ok(RowSet::none(self.rows));
        };
        match intrinsic {
            Intrinsic::Time => Ok(RowSet::none(self.rows)),
            // The same text stands in the resource.
            Intrinsic::Service => {
                self.with_text_in("service", among, |text| text.is_some_and(is_text))
            }
            Intrinsic::Name | Intrinsic::StatusMessage => self.with_text_in(name, among, is_filled),
            Intrinsic::Kind => self.with_text_in(name, among, |text| is_text(kind_of(text))),
            Intrinsic::Status => {
                self.with_text_in(name, among, |text| is_text(status_name(status_of(text))))
            }
            Intrinsic::Scope => self.with_scope(among, |scope| is_filled(Some(scope.name()))),
            Intrinsic::Severity => self.with_severity(name, test, among),
            Intrinsic::Duration => self.with_duration(name, test, among),
            Intrinsic::TraceId | Intrinsic::SpanId | Intrinsic::ParentId => {
                let array = self.column(name)?;
                let ids: Option<&FixedSizeBinaryArray> = self.typed(array.as_ref(), name)?;
                let mut found = among.clone();
                found.retain(|row| {
                    ids.is_some_and(|ids| {
                        ids.is_valid(row) && test.accepts(Value::Bytes(ids.value(row)))
                    })
                });
                Ok(found)
            }
            Intrinsic::Body => self.with_body(test, among),
            Intrinsic::Event => {
                let mut any_name = |text: &str| {
                    Ok(event_names_from_json(text)?
                        .iter()
                        .any(|name| is_text(name)))
                };
                self.with_json(name, among, &mut any_name)
            }
        }
    }

    fn with_severity(
        &mut self,
        name: &str,
        test: &ValueTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, BlockError> {
        let array = self.column(name)?;
        let numbers: Option<&Int32Array> = self.typed(array.as_ref(), name)?;
        let Some(numbers) = numbers else {
            return Ok(RowSet::none(self.rows));
        };
        // Those that are none have no value.
        let accepted: Vec<bool> = (0..=MAX_SEVERITY)
            .map(|number| number > 0 && test.accepts(Value::Int(number)))
            .collect();
        let numbers = numbers.values();
        Ok(both(among, |row| {
            let number = usize::try_from(at(numbers, row)).unwrap_or(0);
            at(&accepted, number)
        }))
    }

    fn with_duration(
        &mut self,
        name: &str,
        test: &ValueTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, BlockError> {
        let times = self.times()?;
        let array = self.column(name)?;
        let durations = self.duration_values(array.as_ref(), name)?;
        Ok(both(among, |row| {
            let duration = duration_of(at(&times, row), at(durations, row));
            test.accepts(Value::Int(to_int(duration)))
        }))
    }

    fn with_body(&mut self, test: &ValueTest<'_>, among: &RowSet) -> Result<RowSet, BlockError> {
        let (texts, json) = self.bodies(among)?;
        let mut of_json = |text: &str| {
            let value = value_from_json(text)?;
            Ok(any_leaf(&value, &mut |leaf| test.accepts(leaf)))
        };
        let mut found = self.with_json("body", &json, &mut of_json)?;
        if let Some(test) = test.of_texts() {
            found.unite(&self.search_in("body", &texts, &test, false)?);
        } else {
            let is_text =
                |text: Option<&str>| text.is_some_and(|text| test.accepts(Value::Str(text)));
            found.unite(&self.with_text_in("body", &texts, is_text)?);
        }
        Ok(found)
    }

    /// The rows whose body is a text or none, and those whose body is something else.
    fn bodies(&mut self, among: &RowSet) -> Result<(RowSet, RowSet), BlockError> {
        let name = "body_is_json";
        let mut json = RowSet::none(self.rows);
        // A block hardly ever has one that is.
        if let Some(array) = self.column(name)? {
            let marks: Option<&BooleanArray> = self.typed(Some(&array), name)?;
            if let Some(marks) = marks.filter(|marks| marks.has_true()) {
                json = both(among, |row| marks.is_valid(row) && marks.value(row));
            }
        }
        let mut texts = among.clone();
        texts.subtract(&json);
        Ok((texts, json))
    }

    /// The rows that have JSON of which `accepts` says yes.
    fn with_json(
        &mut self,
        name: &str,
        among: &RowSet,
        accepts: &mut dyn FnMut(&str) -> Result<bool, Malformed>,
    ) -> Result<RowSet, BlockError> {
        if among.is_empty() {
            return Ok(among.clone());
        }
        let array = self.column(name)?;
        let found = Texts::of(array.as_ref(), name).and_then(|texts| {
            texts.decide(among, |place| match place {
                Some((texts, place)) => accepts(texts.value(place)),
                None => Ok(false),
            })
        });
        self.checked(found)
    }

    fn with_scope(
        &mut self,
        among: &RowSet,
        accepts: impl Fn(&log_tracer_record::ScopeContext) -> bool,
    ) -> Result<RowSet, BlockError> {
        let known = &self.block.cache().scopes;
        let mut of_scope = |text: &str| Ok(accepts(known.of(text, scope_from_json)?.as_ref()));
        self.with_json("scope", among, &mut of_scope)
    }
}

/// The greatest number of a severity.
const MAX_SEVERITY: i64 = SeverityNumber::Fatal4 as i64;

impl<C: Storable> Records for Scan<'_, C> {
    type Error = BlockError;

    fn with_value(
        &mut self,
        field: &Field,
        test: &ValueTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, BlockError> {
        self.of_few(among, |scan, among| match field {
            Field::Intrinsic(intrinsic) => scan.with_intrinsic(*intrinsic, test, among),
            Field::Attribute(path) => scan.with_attribute(path, test, among),
        })
    }

    fn with_text(&mut self, test: &TextTest<'_>, among: &RowSet) -> Result<RowSet, BlockError> {
        self.of_few(among, |scan, among| scan.with_any_text(test, among))
    }
}

impl<C: Storable> Scan<'_, C> {
    /// Asks a question about some rows, of a scan of their pages when they are few.
    fn of_few(
        &mut self,
        among: &RowSet,
        ask: impl FnOnce(&mut Self, &RowSet) -> Result<RowSet, BlockError>,
    ) -> Result<RowSet, BlockError> {
        let Some(mut narrow) = self.narrowed(among)? else {
            return ask(self, among);
        };
        let inner = narrow.inner(among);
        let found = ask(&mut narrow.scan, &inner);
        self.bytes += narrow.scan.bytes;
        Ok(narrow.outer(&found?))
    }
}

/// Those of a set that something is true of, too.
fn both(among: &RowSet, mut is_true: impl FnMut(usize) -> bool) -> RowSet {
    let mut found = among.clone();
    found.retain(&mut is_true);
    found
}

/// The duration of a span, whose column holds its end after its start, modulo 2^64.
fn duration_of(start: u64, end_after: i64) -> u64 {
    let end = start.wrapping_add(end_after.cast_unsigned());
    end.saturating_sub(start)
}

/// The query language has signed numbers: see [`crate::fields`].
fn to_int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
