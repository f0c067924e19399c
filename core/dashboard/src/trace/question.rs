//! What is asked of each span and each log record of a trace: whether it matches, and what value it has of a field.
//!
//! A consumer answers that with an outline, so that nothing has to be whole for it. Of a trace that is there whole it is
//! answered here.

use log_tracer_query::{Field, Query, Record, Value};

use super::{fields::SpanFields, log_fields::LogFields, model::Trace};
use crate::lines::hex;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    /// Which spans, and which log records, are wanted; none asks nothing.
    pub(crate) spans: Option<Query>,
    pub(crate) logs: Option<Query>,
    /// Of which field the first value of each span is wanted.
    pub(crate) field: Option<Field>,
}

impl Trace {
    /// Answers for all that is there whole.
    pub(crate) fn answer(&mut self, question: &Question) {
        if let Some(query) = &question.spans {
            self.answer_for_spans(query);
        }
        if let Some(query) = &question.logs {
            let logs = self.logs.iter();
            let matches: Vec<bool> = logs
                .map(|item| LogFields::new(self, item).is_some_and(|fields| query.matches(&fields)))
                .collect();
            for (item, matches) in self.logs.iter_mut().zip(matches) {
                item.matches = matches;
            }
        }
        if let Some(field) = &question.field {
            self.answer_values(field);
        }
    }

    fn answer_for_spans(&mut self, query: &Query) {
        let spans = self.spans.iter();
        let matches: Vec<bool> = spans
            .map(|item| SpanFields::new(self, item).is_some_and(|fields| query.matches(&fields)))
            .collect();
        for (item, matches) in self.spans.iter_mut().zip(matches) {
            item.matches = matches;
        }
    }

    fn answer_values(&mut self, field: &Field) {
        let of_span = |item| {
            let mut first = None;
            SpanFields::new(self, item)?.any_value(field, &mut |value| {
                first = Some(text(&value));
                true
            });
            first
        };
        let of_spans: Vec<Option<String>> = self.spans.iter().map(of_span).collect();
        let mut values: Vec<String> = of_spans.iter().flatten().cloned().collect();
        values.sort_unstable();
        values.dedup();
        for (item, value) in self.spans.iter_mut().zip(of_spans) {
            let place = value.and_then(|value| values.binary_search(&value).ok());
            item.value = place.map(|place| place as u32);
        }
        self.values = values;
    }
}

/// Bytes of a value that count, as in an outline.
const VALUE_BYTES_MAX: usize = 1 << 10;

/// A value as a group of spans is named by it.
fn text(value: &Value<'_>) -> String {
    match value {
        Value::Str(text) => {
            let end = text.floor_char_boundary(VALUE_BYTES_MAX);
            text.get(..end).unwrap_or_default().to_owned()
        }
        Value::Int(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::Bool(value) => value.to_string(),
        Value::Bytes(bytes) => hex(bytes.get(..VALUE_BYTES_MAX / 2).unwrap_or(bytes)),
    }
}
