//! The spans of one trace, each of them once, in the order of time.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use log_tracer_record::SpanRow;
use prost::Message;

use crate::chunk::{Chunk, SpanChunk};

/// The id of a parent that is not named.
pub(super) const NO_SPAN: [u8; 8] = [0; 8];

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowRef {
    pub(super) chunk_number: u32,
    pub(super) row: u32,
}

/// The spans of one trace by their key, without those that are stored more than once: the same span, equal in all its
/// fields and in its resource and scope, as a client sends it again in another request. Spans that share no more than
/// their id are different: a client and a server may give both sides of a call one id.
#[derive(Debug)]
pub(super) struct SpansOfTrace<'s> {
    chunks: &'s [Arc<SpanChunk>],
    pub(super) rows: Vec<RowRef>,
    pub(super) duplicate_count: u64,
}

impl<'s> SpansOfTrace<'s> {
    /// From the rows in each chunk.
    pub(super) fn of<'r>(
        chunks: &'s [Arc<SpanChunk>],
        parts: impl Iterator<Item = (u32, &'r [u32])>,
    ) -> Self {
        let of_part = |(chunk_number, rows): (u32, &'r [u32])| {
            rows.iter().map(move |row| RowRef {
                chunk_number,
                row: *row,
            })
        };
        let rows: Vec<RowRef> = parts.flat_map(of_part).collect();
        let stored = rows.len();
        let mut spans = Self {
            chunks,
            rows,
            duplicate_count: 0,
        };
        spans.sort();
        spans.drop_duplicates();
        spans.duplicate_count = (stored - spans.rows.len()) as u64;
        spans
    }

    fn sort(&mut self) {
        let chunks = self.chunks;
        self.rows.sort_by_cached_key(|place| {
            chunk_of(chunks, *place).map(|chunk| chunk.key(place.row as usize))
        });
    }

    /// Keeps the first of equal spans. Only spans that share their id are read.
    fn drop_duplicates(&mut self) {
        let mut seen: HashMap<[u8; 8], u32> = HashMap::with_capacity(self.rows.len());
        for (chunk, row) in self.iter() {
            *seen.entry(chunk.span_id(row)).or_default() += 1;
        }
        if seen.len() == self.rows.len() {
            return;
        }
        let chunks = self.chunks;
        let hasher = RandomState::new();
        let mut by_hash: HashMap<u64, Vec<RowRef>> = HashMap::new();
        self.rows.retain(|place| {
            let Some(chunk) = chunk_of(chunks, *place) else {
                return false;
            };
            if seen.get(&chunk.span_id(place.row as usize)) == Some(&1) {
                return true;
            }
            let identity = identity(&chunk.row(place.row as usize));
            let alike = by_hash.entry(hasher.hash_one(&identity)).or_default();
            let is_new = !alike.iter().any(|other| {
                let other_chunk = chunk_of(chunks, *other);
                other_chunk
                    .is_some_and(|chunk| self::identity(&chunk.row(other.row as usize)) == identity)
            });
            if is_new {
                alike.push(*place);
            }
            is_new
        });
    }

    /// Whether there is a root, and each parent that is named.
    pub(super) fn is_whole(&self) -> bool {
        let ids: HashSet<[u8; 8]> = self.iter().map(|(chunk, row)| chunk.span_id(row)).collect();
        let mut has_root = false;
        let has_all_parents = self.iter().all(|(chunk, row)| {
            let parent = chunk.parent_id(row);
            has_root |= parent == NO_SPAN;
            parent == NO_SPAN || ids.contains(&parent)
        });
        has_root && has_all_parents
    }

    /// The spans: their chunks, and their rows there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'s SpanChunk, usize)> + '_ {
        let find =
            |place: &RowRef| chunk_of(self.chunks, *place).map(|chunk| (chunk, place.row as usize));
        self.rows.iter().filter_map(find)
    }
}

fn chunk_of(chunks: &[Arc<SpanChunk>], place: RowRef) -> Option<&SpanChunk> {
    chunks.get(place.chunk_number as usize).map(Arc::as_ref)
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
