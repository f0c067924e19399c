//! Columns of attributes as lists.

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array};

use super::cells::{BytesCells, Cells, TextCells, cast};
use crate::{
    block::{
        decode::Decoded, error::Malformed, json::attributes_from_json, schema::ColumnType,
        wire::Input,
    },
    chunk::{
        attributes::{Attributes, AttributesBuilder},
        value::Kind,
    },
};

/// A column of attributes that was read.
struct Source<'d> {
    key: u32,
    values: Values<'d>,
}

enum Values<'d> {
    Text(TextCells<'d>),
    Bool(&'d BooleanArray),
    Int(&'d Int64Array),
    Double(&'d Float64Array),
    Bytes(BytesCells<'d>),
}

impl<'d> Values<'d> {
    fn new(array: &'d ArrayRef, r#type: ColumnType, name: &str) -> Result<Self, Malformed> {
        Ok(match r#type {
            ColumnType::Bool => Self::Bool(cast(array, name)?),
            ColumnType::Int => Self::Int(cast(array, name)?),
            ColumnType::Double => Self::Double(cast(array, name)?),
            ColumnType::Bytes => Self::Bytes(Cells::new(array, name)?),
            _ => Self::Text(Cells::new(array, name)?),
        })
    }
}

impl Source<'_> {
    /// Appends the value of a row; false when it has none.
    #[inline]
    fn append(&self, row: usize, builder: &mut AttributesBuilder) -> bool {
        let mut number = |kind, number| {
            builder.values_of(self.key).append_number(kind, number);
            true
        };
        match &self.values {
            Values::Text(cells) => match cells.get(row) {
                Some(text) => {
                    builder.values_of(self.key).append_text(text);
                    true
                }
                None => false,
            },
            Values::Bool(array) => {
                array.is_valid(row) && number(Kind::Bool, i64::from(array.value(row)))
            }
            Values::Int(array) => array.is_valid(row) && number(Kind::Int, array.value(row)),
            Values::Double(array) => {
                array.is_valid(row)
                    && number(Kind::Double, array.value(row).to_bits().cast_signed())
            }
            Values::Bytes(cells) => match cells.get(row) {
                Some(bytes) => {
                    builder.values_of(self.key).append_bytes(bytes);
                    true
                }
                None => false,
            },
        }
    }
}

/// A step of an order: a column that was read, or the next of the others.
#[derive(Clone, Copy)]
enum Step {
    Column(u32),
    Other,
}

pub(super) fn attributes(decoded: &Decoded<'_>) -> Result<Attributes, Malformed> {
    let mut builder = AttributesBuilder::default();
    let others = TextCells::of(decoded, "other_attributes")?;
    let orders = BytesCells::of(decoded, "attribute_order")?;
    // By the number of the column among those of attributes.
    let mut places: Vec<Option<u32>> = Vec::new();
    let mut sources: Vec<Source<'_>> = Vec::new();
    for (number, key, r#type) in decoded.schema.attributes() {
        let array = decoded.array_at(number);
        places.push(array.map(|_| sources.len() as u32));
        if let Some(array) = array {
            sources.push(Source {
                key: builder.key_number(key),
                values: Values::new(array, r#type, key)?,
            });
        }
    }
    if sources.is_empty() && others.is_missing() {
        return Ok(builder.freeze());
    }
    let orders_read = Orders {
        places,
        has_others: !others.is_missing(),
    };
    let without = orders_read.steps(None)?;
    let mut by_label: Vec<Option<Vec<Step>>> = vec![None; orders.label_count()];
    for row in 0..decoded.rows {
        let order = orders.get(row);
        let known = orders
            .label_number(row)
            .and_then(|label| by_label.get_mut(label));
        let own;
        let steps: &[Step] = match (order, known) {
            (None, _) => &without,
            (_, Some(Some(steps))) => steps,
            (_, Some(unknown)) => unknown.insert(orders_read.steps(order)?),
            (_, None) => {
                own = orders_read.steps(order)?;
                &own
            }
        };
        append_row(row, steps, &sources, &others, &mut builder)?;
        builder.end_row();
    }
    Ok(builder.freeze())
}

struct Orders {
    places: Vec<Option<u32>>,
    has_others: bool,
}

impl Orders {
    /// The steps of an order, without those whose columns were not read. Without an order there is but one column.
    fn steps(&self, order: Option<&[u8]>) -> Result<Vec<Step>, Malformed> {
        let Some(order) = order else {
            let columns = self.places.iter().flatten();
            return Ok(columns.map(|place| Step::Column(*place)).collect());
        };
        let mut input = Input::new(order);
        let mut steps = Vec::new();
        while !input.is_empty() {
            match input.varint_u32()? as usize {
                0 if self.has_others => steps.push(Step::Other),
                0 => {}
                column => {
                    let place = self.places.get(column - 1);
                    let place = place.ok_or_else(|| Malformed::new("an order names no column"))?;
                    steps.extend(place.map(Step::Column));
                }
            }
        }
        Ok(steps)
    }
}

fn append_row(
    row: usize,
    steps: &[Step],
    sources: &[Source<'_>],
    others: &TextCells<'_>,
    builder: &mut AttributesBuilder,
) -> Result<(), Malformed> {
    let other = match others.get(row) {
        Some(text) => attributes_from_json(text)?,
        None => Vec::new(),
    };
    let mut other = other.iter();
    for step in steps {
        let found = match step {
            Step::Column(place) => sources
                .get(*place as usize)
                .is_some_and(|source| source.append(row, builder)),
            Step::Other => other.next().map(|pair| builder.push(pair)).is_some(),
        };
        // Without an order, a row need not have a value.
        if !found && steps.len() > 1 {
            return Err(Malformed::new("an order names a value that is not there"));
        }
    }
    Ok(())
}
