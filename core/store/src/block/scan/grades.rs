//! What rows are counted by: their level and their service.

use std::collections::HashMap;

use arrow_array::{Array, Int32Array, StringArray};
use log_tracer_record::otlp::trace::{span::SpanKind, status::StatusCode};

use super::{Scan, decide::Column};
use crate::{
    block::{BlockError, Storable, error::Malformed, storable::GradeCell},
    chunk::column::at,
    fields::{kind_name, status_name},
};

/// A name for each row, by a number.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// By row: its place among the names.
    pub(crate) numbers: Vec<u32>,
    pub(crate) names: Vec<String>,
}

/// The kind that a text of its column stands for.
pub(crate) fn kind_of(text: Option<&str>) -> &'static str {
    const KINDS: [SpanKind; 6] = [
        SpanKind::Unspecified,
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ];
    let mut names = KINDS.into_iter().map(kind_name);
    // A number is one that this version does not know.
    names
        .find(|name| Some(*name) == text)
        .unwrap_or(kind_name(SpanKind::Unspecified))
}

/// The status that a text of its column stands for.
pub(crate) fn status_of(text: Option<&str>) -> StatusCode {
    const CODES: [StatusCode; 3] = [StatusCode::Unset, StatusCode::Ok, StatusCode::Error];
    let mut codes = CODES.into_iter();
    codes
        .find(|code| Some(status_name(*code)) == text)
        .unwrap_or(StatusCode::Unset)
}

impl<C: Storable> Scan<'_, C> {
    /// The grade of each row: see [`Storable::grade`].
    pub(crate) fn grades(&mut self) -> Result<Vec<u8>, BlockError> {
        let name = C::COLUMNS_OF.level;
        let Some(array) = self.column(name)? else {
            return Ok(vec![0; self.rows]);
        };
        if let Some(numbers) = array.as_any().downcast_ref::<Int32Array>() {
            // One that is null has the number 0, which is no severity.
            let grade = |number: Option<i32>| C::grade_of(GradeCell::Number(number.unwrap_or(0)));
            return Ok(numbers.iter().map(grade).collect());
        }
        self.names_in(name, |text| C::grade_of(GradeCell::Text(text)))
    }

    /// The service of each row.
    pub(crate) fn services(&mut self) -> Result<Named, BlockError> {
        let mut names: Vec<String> = Vec::new();
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut number_of = |text: Option<&str>| {
            let text = text.unwrap_or_default();
            if let Some(number) = known.get(text) {
                return *number;
            }
            let number = names.len() as u32;
            names.push(text.to_owned());
            known.insert(text.to_owned(), number);
            number
        };
        let numbers = self.names_in("service", &mut number_of)?;
        Ok(Named { numbers, names })
    }

    /// What is made of the text of each row, and once of one that is numbered.
    fn names_in<T: Copy + Default>(
        &mut self,
        name: &str,
        mut of_text: impl FnMut(Option<&str>) -> T,
    ) -> Result<Vec<T>, BlockError> {
        let array = self.column(name)?;
        let column: Result<Column<'_, StringArray>, Malformed> = Column::of(array.as_ref(), name);
        Ok(match self.checked(column)? {
            Column::Empty => vec![of_text(None); self.rows],
            Column::Plain(texts) => {
                let mut last: Option<(Option<&str>, T)> = None;
                let of_row = |text| match last {
                    Some((of, made)) if of == text => made,
                    _ => last.insert((text, of_text(text))).1,
                };
                texts.iter().map(of_row).collect()
            }
            Column::Numbered(numbered, texts) => {
                let mut known: Vec<Option<T>> = vec![None; texts.len() + 1];
                let numbers = numbered.keys().values();
                let of_row = |row: usize| {
                    let number = usize::try_from(at(numbers, row)).unwrap_or(usize::MAX);
                    let is_there = numbered.is_valid(row) && number < texts.len();
                    // The last place is of rows without a text.
                    let number = if is_there { number } else { texts.len() };
                    let Some(known) = known.get_mut(number) else {
                        return T::default();
                    };
                    *known.get_or_insert_with(|| {
                        of_text((is_there && texts.is_valid(number)).then(|| texts.value(number)))
                    })
                };
                (0..numbered.len()).map(of_row).collect()
            }
        })
    }
}
