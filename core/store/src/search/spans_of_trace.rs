//! The spans of one trace, each of them once, in the order of time.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use log_tracer_query::{Field, Intrinsic};
use log_tracer_record::SpanRow;
use prost::Message;

use super::{
    rows_of_trace::{Gathered, Gatherer, RowRef, RowsOfTrace},
    source::Source,
};
use crate::{
    block::{BlockError, Columns},
    chunk::{Chunk, SpanChunk},
    stop::Progress,
    table::Snapshot,
};

/// The id of a parent that is not named.
pub(super) const NO_SPAN: [u8; 8] = [0; 8];

/// The spans of one trace by their key, without those that are stored more than once: the same span, equal in all its
/// fields and in its resource and scope, as a client sends it again in another request. Spans that share no more than
/// their id are different: a client and a server may give both sides of a call one id.
#[derive(Debug, Default)]
pub(super) struct SpansOfTrace {
    pub(super) spans: Gathered<SpanChunk>,
    /// Spans that are equal to one of these.
    pub(super) duplicate_count: u64,
    /// Spans that are stored beside these and were not read, because there are more than were wanted.
    pub(super) left_out: u64,
}

impl SpansOfTrace {
    /// Reads the first spans of a trace, `spans_max` at most, with at least these columns and the ids of spans.
    pub(super) fn read<'s>(
        snapshot: &'s Snapshot<SpanChunk>,
        id: u128,
        columns: &Columns,
        spans_max: usize,
        progress: &mut Progress<'_>,
    ) -> Self {
        let all = |source: Source<'s, SpanChunk>, _: &mut Progress<'_>| source.rows_of_trace(id);
        Self::read_found(snapshot, all, columns, spans_max, progress)
    }

    /// Likewise of the rows that are found in each place.
    pub(super) fn read_found<'s>(
        snapshot: &'s Snapshot<SpanChunk>,
        find: impl Fn(Source<'s, SpanChunk>, &mut Progress<'_>) -> Result<Cow<'s, [u32]>, BlockError>,
        columns: &Columns,
        spans_max: usize,
        progress: &mut Progress<'_>,
    ) -> Self {
        let mut with_ids = columns.clone();
        with_ids.fields.insert(Field::Intrinsic(Intrinsic::SpanId));
        let rows = RowsOfTrace::found(snapshot, &find, with_ids, spans_max, progress);
        let spans = Self::from_rows(rows, columns.all, spans_max, progress);
        spans.unwrap_or_else(|| {
            let rows = RowsOfTrace::found(snapshot, &find, Columns::all(), spans_max, progress);
            Self::from_rows(rows, true, spans_max, progress).unwrap_or_default()
        })
    }

    /// None when two spans look alike and the rows are not whole, so that it cannot be told whether they are equal.
    fn from_rows(
        mut rows: RowsOfTrace<'_, SpanChunk>,
        rows_are_whole: bool,
        spans_max: usize,
        progress: &mut Progress<'_>,
    ) -> Option<Self> {
        let mut gatherer = Gatherer::default();
        let mut moment = Moment::default();
        let mut duplicate_count = 0;
        while let Some((chunk, row)) = rows.next(progress) {
            let is_full = gatherer.rows() >= spans_max;
            if is_full && moment.time != Some(chunk.time(row)) {
                break;
            }
            moment.move_to(chunk.time(row));
            let span_id = chunk.span_id(row);
            if !rows_are_whole && moment.by_id.contains_key(&span_id) {
                return None;
            }
            match moment.compare(&chunk, row, &gatherer) {
                Comparison::Equal => duplicate_count += 1,
                Comparison::Different(_) if is_full => {}
                Comparison::Different(hash) => {
                    let place = gatherer.add(chunk, row);
                    moment.include(span_id, place, hash);
                }
            }
        }
        let answered = gatherer.rows() as u64 + duplicate_count;
        Some(Self {
            spans: gatherer.end(),
            duplicate_count,
            left_out: rows.row_count().saturating_sub(answered),
        })
    }

    /// Whether there is a root, and each parent that is named.
    pub(super) fn is_whole(&self) -> bool {
        // As numbers, which are compared quickly.
        let mut ids: Vec<u64> = Vec::with_capacity(self.spans.rows.len());
        let mut parents: Vec<u64> = Vec::new();
        for (chunk, row) in self.spans.iter() {
            ids.push(u64::from_ne_bytes(chunk.span_id(row)));
            let parent = u64::from_ne_bytes(chunk.parent_id(row));
            // Siblings often stand together.
            if parents.last() != Some(&parent) {
                parents.push(parent);
            }
        }
        ids.sort_unstable();
        parents.sort_unstable();
        parents.dedup();
        let no_span = u64::from_ne_bytes(NO_SPAN);
        let has_root = parents.first() == Some(&no_span);
        let mut named = parents.iter().filter(|parent| **parent != no_span);
        let has_all_parents = named.all(|parent| ids.binary_search(parent).is_ok());
        has_root && has_all_parents && self.left_out == 0
    }
}

/// The spans that start at one time: equal ones are always among them.
#[derive(Debug, Default)]
struct Moment {
    time: Option<u64>,
    by_id: hashbrown::HashMap<[u8; 8], Alike>,
    hasher: RandomState,
}

/// Spans of a moment whose table is emptied for the next; a larger one is let go of, since to empty it costs its size.
const KEPT_SPANS_MAX: usize = 64;

/// Spans with the same id.
#[derive(Debug)]
struct Alike {
    first: RowRef,
    /// All of them by the hash of their bytes, once there are two.
    by_hash: Option<HashMap<u64, Vec<RowRef>>>,
}

/// What a span is to those before it.
enum Comparison {
    Equal,
    /// With the hash of its bytes when it shares its id.
    Different(Option<u64>),
}

impl Moment {
    fn move_to(&mut self, time: u64) {
        if self.time.replace(time) == Some(time) {
            return;
        }
        match self.by_id.capacity() > KEPT_SPANS_MAX {
            true => self.by_id = hashbrown::HashMap::new(),
            false => self.by_id.clear(),
        }
    }

    /// Reads spans whole only when they share their id.
    fn compare(
        &mut self,
        chunk: &SpanChunk,
        row: usize,
        gatherer: &Gatherer<SpanChunk>,
    ) -> Comparison {
        let Some(alike) = self.by_id.get_mut(&chunk.span_id(row)) else {
            return Comparison::Different(None);
        };
        let identity_at = |place: RowRef| {
            let (chunk, row) = gatherer.get(place)?;
            Some(identity(&chunk.row(row)))
        };
        let by_hash = alike.by_hash.get_or_insert_default();
        if by_hash.is_empty()
            && let Some(first) = identity_at(alike.first)
        {
            let hash = self.hasher.hash_one(&first);
            by_hash.insert(hash, vec![alike.first]);
        }
        let identity = identity(&chunk.row(row));
        let hash = self.hasher.hash_one(&identity);
        let mut others = by_hash.get(&hash).into_iter().flatten();
        match others.any(|other| identity_at(*other).as_ref() == Some(&identity)) {
            true => Comparison::Equal,
            false => Comparison::Different(Some(hash)),
        }
    }

    fn include(&mut self, span_id: [u8; 8], place: RowRef, hash: Option<u64>) {
        let alike = self.by_id.entry(span_id).or_insert_with(|| Alike {
            first: place,
            by_hash: None,
        });
        if let Some(hash) = hash {
            let by_hash = alike.by_hash.get_or_insert_default();
            by_hash.entry(hash).or_default().push(place);
        }
    }
}

/// All of a span as bytes: equal for equal spans, also where a number is not a number.
fn identity(row: &SpanRow) -> Vec<u8> {
    let mut bytes = row.span.encode_length_delimited_to_vec();
    bytes.extend(row.resource.resource.encode_length_delimited_to_vec());
    bytes.extend(row.resource.schema_url.encode_length_delimited_to_vec());
    bytes.extend(
        row.scope
            .scope
            .as_ref()
            .map(Message::encode_length_delimited_to_vec)
            .unwrap_or_default(),
    );
    bytes.extend(row.scope.schema_url.encode_length_delimited_to_vec());
    bytes
}
