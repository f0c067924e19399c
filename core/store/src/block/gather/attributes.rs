//! Attributes as columns: one for each frequent key and type, one for the others, and one that says in which order they
//! stood.
//!
//! # The order
//!
//! `attribute_order` holds for each row a number for each of its attributes, in LEB128: 0 is the next of
//! `other_attributes`, and n is the column of number n - 1 among the columns of attributes, in the order of the file.
//! Rows with the same keys in the same order have the same bytes, so that there are few different ones.
//!
//! An attribute goes to the others when its key or type is rare, when it is a list or a map, when its value is empty or
//! absent, when its key has an index, and when one of the same key and type stood before it.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef,
    builder::{BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder},
};

use super::{Picked, sparse_texts};
use crate::{
    block::{
        Storable,
        error::Malformed,
        json::attributes_to_json,
        schema::{AttributeCounts, ColumnType},
        wire::put_varint,
    },
    chunk::{
        attributes::Attributes,
        column::{at, bytes_at, text_at},
        value::Kind,
    },
};

/// Kinds of values; each can be an index.
const KINDS: usize = 8;

/// No column.
const OTHERS: u16 = u16::MAX;

/// The columns of attributes.
#[derive(Debug)]
pub(crate) struct AttributePlan {
    types: Vec<ColumnType>,
    by_key: HashMap<String, [u16; KINDS]>,
}

impl AttributePlan {
    pub(crate) fn new(columns: &[(String, ColumnType)]) -> Self {
        let mut by_key: HashMap<String, [u16; KINDS]> = HashMap::new();
        for ((key, r#type), number) in columns.iter().zip(0..OTHERS) {
            let of_key = by_key.entry(key.clone()).or_insert([OTHERS; KINDS]);
            if let Some(column) = of_key.get_mut(kind_of(*r#type) as usize) {
                *column = number;
            }
        }
        Self {
            types: columns.iter().map(|(_, r#type)| *r#type).collect(),
            by_key,
        }
    }

    /// By the number of a key in a chunk and by kind: the column.
    fn on(&self, attributes: &Attributes) -> Vec<[u16; KINDS]> {
        let of_key = |key| {
            let columns = self.by_key.get(text_at(&attributes.key_names, key));
            columns.copied().unwrap_or([OTHERS; KINDS])
        };
        (0..attributes.key_names.len()).map(of_key).collect()
    }

    /// The columns `other_attributes` and `attribute_order`, and those of the attributes.
    pub(super) fn columns<C: Storable>(
        &self,
        picked: Picked<'_, C>,
    ) -> Result<Vec<ArrayRef>, Malformed> {
        let mut cells: Vec<Cells> = self
            .types
            .iter()
            .map(|of| Cells::new(*of, picked.len()))
            .collect();
        let mut others: Vec<Option<String>> = Vec::with_capacity(picked.len());
        let mut orders = BinaryBuilder::with_capacity(picked.len(), picked.len() * 12);
        let mut plans: Vec<Option<Vec<[u16; KINDS]>>> = vec![None; picked.chunks.len()];
        let (mut order, mut apart) = (Vec::new(), Vec::new());
        for (number, place) in picked.places.iter().enumerate() {
            let (Some(chunk), Some(plan)) = (
                picked.chunks.get(place.chunk as usize),
                plans.get_mut(place.chunk as usize),
            ) else {
                continue;
            };
            let attributes = chunk.attributes();
            let plan = plan.get_or_insert_with(|| self.on(attributes));
            for item in attributes.lists.items(place.row as usize) {
                let column = column_of(plan, attributes, item);
                match cells.get_mut(usize::from(column)) {
                    Some(cells) if cells.rows <= number => {
                        cells.push(number, attributes, item);
                        put_varint(&mut order, u64::from(column) + 1);
                    }
                    _ => {
                        apart.push(attributes.item(item));
                        put_varint(&mut order, 0);
                    }
                }
            }
            let other = match apart.is_empty() {
                true => None,
                false => Some(attributes_to_json(&apart)?),
            };
            others.push(other);
            orders.append_value(&order);
            order.clear();
            apart.clear();
        }
        let mut columns: Vec<ArrayRef> = vec![sparse_texts(&others), Arc::new(orders.finish())];
        columns.extend(cells.into_iter().map(|cells| cells.finish(picked.len())));
        Ok(columns)
    }
}

/// The column of an attribute, as far as its key and kind decide.
#[inline]
fn column_of(plan: &[[u16; KINDS]], attributes: &Attributes, item: usize) -> u16 {
    let kind = at(&attributes.values.kinds, item);
    let columns = plan.get(at(&attributes.keys, item) as usize);
    let column = columns.and_then(|columns| columns.get(kind as usize));
    if !attributes.key_indexes.is_empty() && has_index(attributes, item) {
        return OTHERS;
    }
    column.copied().unwrap_or(OTHERS)
}

fn has_index(attributes: &Attributes, item: usize) -> bool {
    let indexes = &attributes.key_indexes;
    indexes
        .binary_search_by_key(&item, |(item, _)| *item as usize)
        .is_ok()
}

fn kind_of(r#type: ColumnType) -> Kind {
    match r#type {
        ColumnType::Bool => Kind::Bool,
        ColumnType::Int => Kind::Int,
        ColumnType::Double => Kind::Double,
        ColumnType::Bytes => Kind::Bytes,
        _ => Kind::Text,
    }
}

/// Counts the attributes of all rows of a chunk that could be in a column.
pub(crate) fn count_attributes(attributes: &Attributes, counts: &mut AttributeCounts) {
    const TYPES: [ColumnType; 5] = [
        ColumnType::Text,
        ColumnType::Bool,
        ColumnType::Int,
        ColumnType::Double,
        ColumnType::Bytes,
    ];
    let mut by_key = vec![[0_u64; KINDS]; attributes.key_names.len()];
    for (key, kind) in attributes.keys.iter().zip(&attributes.values.kinds) {
        if let Some(count) = by_key
            .get_mut(*key as usize)
            .and_then(|kinds| kinds.get_mut(*kind as usize))
        {
            *count += 1;
        }
    }
    for (key, of_kinds) in by_key.iter().enumerate() {
        for r#type in TYPES {
            let count = at(of_kinds, kind_of(r#type) as usize);
            if count > 0 {
                let key = text_at(&attributes.key_names, key).to_owned();
                *counts.entry((key, r#type)).or_default() += count;
            }
        }
    }
}

/// What a text takes, about: columns of longer ones grow.
const TEXT_BYTES: usize = 8;

/// A column that grows; rows without a value are filled up later.
struct Cells {
    rows: usize,
    values: Builder,
}

enum Builder {
    Text(StringBuilder),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Double(Float64Builder),
    Bytes(BinaryBuilder),
}

impl Cells {
    /// With room for so many rows; a row without a value takes its place, too.
    fn new(r#type: ColumnType, rows: usize) -> Self {
        let bytes = rows * TEXT_BYTES;
        let values = match kind_of(r#type) {
            Kind::Bool => Builder::Bool(BooleanBuilder::with_capacity(rows)),
            Kind::Int => Builder::Int(Int64Builder::with_capacity(rows)),
            Kind::Double => Builder::Double(Float64Builder::with_capacity(rows)),
            Kind::Bytes => Builder::Bytes(BinaryBuilder::with_capacity(rows, bytes)),
            _ => Builder::Text(StringBuilder::with_capacity(rows, bytes)),
        };
        Self { rows: 0, values }
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.rows);
        if missing == 0 {
            return;
        }
        match &mut self.values {
            Builder::Text(builder) => builder.append_nulls(missing),
            Builder::Bool(builder) => builder.append_nulls(missing),
            Builder::Int(builder) => builder.append_nulls(missing),
            Builder::Double(builder) => builder.append_nulls(missing),
            Builder::Bytes(builder) => builder.append_nulls(missing),
        }
        self.rows = rows;
    }

    fn push(&mut self, row: usize, attributes: &Attributes, item: usize) {
        self.pad(row);
        self.rows = row + 1;
        let values = &attributes.values;
        let number = at(&values.numbers, item);
        match &mut self.values {
            Builder::Text(builder) => builder.append_value(text_at(&values.texts, item)),
            Builder::Bool(builder) => builder.append_value(number != 0),
            Builder::Int(builder) => builder.append_value(number),
            Builder::Double(builder) => {
                builder.append_value(f64::from_bits(number.cast_unsigned()))
            }
            Builder::Bytes(builder) => {
                let index = usize::try_from(number).unwrap_or(usize::MAX);
                builder.append_value(bytes_at(&values.encoded, index));
            }
        }
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        match self.values {
            Builder::Text(mut builder) => Arc::new(builder.finish()),
            Builder::Bool(mut builder) => Arc::new(builder.finish()),
            Builder::Int(mut builder) => Arc::new(builder.finish()),
            Builder::Double(mut builder) => Arc::new(builder.finish()),
            Builder::Bytes(mut builder) => Arc::new(builder.finish()),
        }
    }
}
