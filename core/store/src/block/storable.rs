//! What a chunk must do so that its rows can be kept in blocks.

use arrow_array::ArrayRef;
use log_tracer_query::Intrinsic;
use log_tracer_record::ScopeContext;

use super::{
    BlockCache, Columns,
    assemble::{self, ColumnsOf},
    decode::Decoded,
    error::Malformed,
    gather::{self, AttributePlan, ContextTexts, Picked},
    index::{Facts, needles::Needles},
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
}

impl Storable for SpanChunk {
    const TABLE: &'static str = "spans";
    const COLUMNS: &'static [(&'static str, ColumnType)] = gather::SPAN_COLUMNS;
    const COLUMNS_OF: ColumnsOf = assemble::SPAN_COLUMNS_OF;

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
        needles.add_name(Intrinsic::Name, self.name(row));
        needles.add_text(self.name(row));
        needles.add_any_name(Intrinsic::Kind, crate::fields::kind_name(self.kind(row)));
        let status = crate::fields::status_name(self.status_code(row));
        needles.add_any_name(Intrinsic::Status, status);
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
}

impl Storable for LogChunk {
    const TABLE: &'static str = "logs";
    const COLUMNS: &'static [(&'static str, ColumnType)] = gather::LOG_COLUMNS;
    const COLUMNS_OF: ColumnsOf = assemble::LOG_COLUMNS_OF;

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
        let name = self.event_names.value(row);
        needles.add_name(Intrinsic::Name, name);
        needles.add_text(name);
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
}
