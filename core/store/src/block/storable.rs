//! What a chunk must do so that its rows can be kept in blocks.

use arrow_array::ArrayRef;
use log_tracer_query::{Intrinsic, Value};
use log_tracer_record::{
    ScopeContext,
    otlp::{logs::SeverityNumber, trace::status::StatusCode},
};

use super::{
    BlockCache, Columns,
    assemble::{self, ColumnsOf},
    decode::Decoded,
    error::Malformed,
    gather::{self, AttributePlan, ContextTexts, Picked},
    index::{Facts, needles::Needles, traces::Entries},
    scan::status_of,
    schema::ColumnType,
};
use crate::{
    chunk::{
        Chunk, Contexts, LogChunk, SpanChunk,
        attributes::Attributes,
        column::{bytes_at, text_at},
    },
    rollup::Rollup,
};

/// Rows that can be kept in blocks.
pub(crate) trait Storable: Chunk + Sized + 'static {
    /// Names the files of the table: "spans", "logs".
    const TABLE: &'static str;

    /// The columns before those of attributes.
    const COLUMNS: &'static [(&'static str, ColumnType)];

    /// What the columns are for.
    const COLUMNS_OF: ColumnsOf;

    /// What the index tells of the traces.
    const ENTRIES: Entries;

    fn attributes(&self) -> &Attributes;

    fn scopes(&self) -> &Contexts<ScopeContext>;

    /// The trace of a row as a number; zero for none.
    fn trace_of(&self, row: usize) -> u128;

    /// About how many bytes a row takes in the columns that hold texts.
    fn text_bytes(&self, row: usize) -> usize;

    /// The rows as columns, in the order of [`Self::COLUMNS`] and then of the plan.
    fn columns(
        picked: Picked<'_, Self>,
        plan: &AttributePlan,
        texts: &mut ContextTexts,
    ) -> Result<Vec<ArrayRef>, Malformed>;

    /// A chunk of the columns that were read.
    fn assemble(
        decoded: &Decoded<'_>,
        columns: &Columns,
        cache: &BlockCache,
    ) -> Result<Self, Malformed>;

    /// Adds all that a query can ask a row for.
    fn add_needles(&self, row: usize, needles: &mut Needles, facts: &mut Facts);

    /// Counts rows.
    fn roll_up(picked: Picked<'_, Self>, rollup: &mut Rollup);

    /// The section of the index with what was counted.
    fn rolled_up(rollup: Rollup) -> Vec<u8>;

    /// The field that the grade of a row is a value of.
    const GRADE: Intrinsic;

    /// The number of a row's severity or status, as a query sees it: see `index/tally.rs`.
    fn grade(&self, row: usize) -> u8;

    /// The grade of a value of its column.
    fn grade_of(cell: GradeCell<'_>) -> u8;

    /// The level of a grade, an index into `Chunk::LEVELS`.
    fn level_of(grade: u8) -> usize;

    /// The value of its field, if rows of the grade have one.
    fn value_of(grade: u8) -> Option<Value<'static>>;
}

/// What the column of grades has for a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GradeCell<'a> {
    Number(i32),
    Text(Option<&'a str>),
}

fn status_grade(code: StatusCode) -> u8 {
    match code {
        StatusCode::Unset => 0,
        StatusCode::Ok => 1,
        StatusCode::Error => 2,
    }
}

impl Storable for SpanChunk {
    const TABLE: &'static str = "spans";
    const COLUMNS: &'static [(&'static str, ColumnType)] = gather::SPAN_COLUMNS;
    const COLUMNS_OF: ColumnsOf = assemble::SPAN_COLUMNS_OF;
    const ENTRIES: Entries = Entries::Whole;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn scopes(&self) -> &Contexts<ScopeContext> {
        &self.scopes
    }

    fn trace_of(&self, row: usize) -> u128 {
        u128::from_be_bytes(self.trace_ids.value(row))
    }

    fn text_bytes(&self, row: usize) -> usize {
        let events = self.events.lists.items(row);
        let of_events = events
            .map(|item| self.events.attributes.text_bytes(item))
            .sum::<usize>();
        let message = text_at(&self.status_messages, row).len();
        self.attributes.text_bytes(row)
            + of_events
            + message
            + self.name(row).len()
            + bytes_at(&self.rest, row).len()
    }

    fn columns(
        picked: Picked<'_, Self>,
        plan: &AttributePlan,
        texts: &mut ContextTexts,
    ) -> Result<Vec<ArrayRef>, Malformed> {
        gather::span_columns(picked, plan, texts)
    }

    fn assemble(
        decoded: &Decoded<'_>,
        columns: &Columns,
        cache: &BlockCache,
    ) -> Result<Self, Malformed> {
        assemble::assemble_spans(decoded, columns, cache)
    }

    fn add_needles(&self, row: usize, needles: &mut Needles, facts: &mut Facts) {
        needles.add_resource(self.resources.of(row));
        needles.add_scope(self.scopes.of(row));
        if needles.is_new_of(self.names(), self.names().number(row)) {
            needles.add_name(Intrinsic::Name, self.name(row));
            needles.add_text(self.name(row));
        }
        let (kind, status) = (self.kind(row), self.status_code(row));
        if needles.is_new_of(&self.kinds, (kind as u32) << 8 | status as u32) {
            needles.add_any_name(Intrinsic::Kind, crate::fields::kind_name(kind));
            needles.add_any_name(Intrinsic::Status, crate::fields::status_name(status));
        }
        let message = text_at(&self.status_messages, row);
        if !message.is_empty() {
            needles.add_presence(Intrinsic::StatusMessage);
            needles.add_text(message);
        }
        needles.add_presence(Intrinsic::Duration);
        needles.add_presence(Intrinsic::Time);
        facts.include_duration(self.end(row).saturating_sub(self.time(row)));
        let ids = [
            (Intrinsic::TraceId, self.trace_of(row) != 0),
            (Intrinsic::SpanId, self.span_id(row) != [0; 8]),
            (Intrinsic::ParentId, self.parent_id(row) != [0; 8]),
        ];
        for (intrinsic, _) in ids.into_iter().filter(|(_, is_there)| *is_there) {
            needles.add_presence(intrinsic);
        }
        needles.add_attributes(&self.attributes, row);
        for item in self.events.lists.items(row) {
            let name = self.events.names.value(item);
            needles.add_any_name(Intrinsic::Event, name);
            needles.add_text(name);
            needles.add_attribute_texts(&self.events.attributes, item);
        }
    }

    fn roll_up(picked: Picked<'_, Self>, rollup: &mut Rollup) {
        rollup.spans.add(picked);
    }

    fn rolled_up(rollup: Rollup) -> Vec<u8> {
        rollup.spans.finish()
    }

    const GRADE: Intrinsic = Intrinsic::Status;

    fn grade(&self, row: usize) -> u8 {
        status_grade(self.status_code(row))
    }

    fn grade_of(cell: GradeCell<'_>) -> u8 {
        match cell {
            GradeCell::Text(text) => status_grade(status_of(text)),
            GradeCell::Number(_) => 0,
        }
    }

    fn level_of(grade: u8) -> usize {
        grade.into()
    }

    fn value_of(grade: u8) -> Option<Value<'static>> {
        let code = StatusCode::try_from(i32::from(grade)).unwrap_or(StatusCode::Unset);
        Some(Value::Str(crate::fields::status_name(code)))
    }
}

impl Storable for LogChunk {
    const TABLE: &'static str = "logs";
    const COLUMNS: &'static [(&'static str, ColumnType)] = gather::LOG_COLUMNS;
    const COLUMNS_OF: ColumnsOf = assemble::LOG_COLUMNS_OF;
    const ENTRIES: Entries = Entries::Rows;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn scopes(&self) -> &Contexts<ScopeContext> {
        &self.scopes
    }

    fn trace_of(&self, row: usize) -> u128 {
        u128::from_be_bytes(self.trace_ids.value(row))
    }

    fn text_bytes(&self, row: usize) -> usize {
        self.attributes.text_bytes(row)
            + self.bodies.text_bytes(row..row + 1)
            + bytes_at(&self.rest, row).len()
    }

    fn columns(
        picked: Picked<'_, Self>,
        plan: &AttributePlan,
        texts: &mut ContextTexts,
    ) -> Result<Vec<ArrayRef>, Malformed> {
        gather::log_columns(picked, plan, texts)
    }

    fn assemble(
        decoded: &Decoded<'_>,
        columns: &Columns,
        cache: &BlockCache,
    ) -> Result<Self, Malformed> {
        assemble::assemble_logs(decoded, columns, cache)
    }

    fn add_needles(&self, row: usize, needles: &mut Needles, facts: &mut Facts) {
        needles.add_resource(self.resources.of(row));
        needles.add_scope(self.scopes.of(row));
        if needles.is_new_of(&self.event_names, self.event_names.number(row)) {
            let name = self.event_names.value(row);
            needles.add_name(Intrinsic::Name, name);
            needles.add_text(name);
        }
        needles.add_presence(Intrinsic::Time);
        let severity = self.severity(row) as u32;
        if severity != 0 {
            needles.add_presence(Intrinsic::Severity);
            facts.include_severity(severity);
        }
        if self.trace_of(row) != 0 {
            needles.add_presence(Intrinsic::TraceId);
        }
        if self.span_ids.value(row) != [0; 8] {
            needles.add_presence(Intrinsic::SpanId);
        }
        needles.add_body(&self.bodies, row);
        needles.add_attributes(&self.attributes, row);
    }

    fn roll_up(picked: Picked<'_, Self>, rollup: &mut Rollup) {
        rollup.logs.add(picked);
    }

    fn rolled_up(rollup: Rollup) -> Vec<u8> {
        rollup.logs.finish()
    }

    const GRADE: Intrinsic = Intrinsic::Severity;

    fn grade(&self, row: usize) -> u8 {
        self.severity(row) as u8
    }

    fn grade_of(cell: GradeCell<'_>) -> u8 {
        match cell {
            GradeCell::Number(number) => {
                SeverityNumber::try_from(number).unwrap_or(SeverityNumber::Unspecified) as u8
            }
            GradeCell::Text(_) => 0,
        }
    }

    fn level_of(grade: u8) -> usize {
        // OTLP gives each range four numbers: 1 to 4 are TRACE, 21 to 24 FATAL.
        usize::from(grade).div_ceil(4)
    }

    fn value_of(grade: u8) -> Option<Value<'static>> {
        (grade > 0).then(|| Value::Int(grade.into()))
    }
}
