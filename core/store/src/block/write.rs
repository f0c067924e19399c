//! Writes rows that are in memory.

use std::{collections::HashMap, path::Path, sync::Arc};

use log_tracer_record::otlp::trace::span::SpanKind;

use super::{
    Block, BlockError, BlockId, OperationCount, Options, ServiceCount, Storable,
    files::{self, Role},
    gather::{Picked, Place, count_attributes},
    schema::{AttributeCounts, Sample},
    writer::{BlockWriter, Plan, Totals, sample_of},
};

/// Rows whose values decide how a column is encoded.
const SAMPLE_ROWS: usize = 8192;

/// What a block says of its rows that does not stand in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// About when the newest of them arrived.
    pub(crate) received_unix_nano: u64,
    /// [`BlockInfo::level`](super::BlockInfo::level).
    pub(crate) level: u8,
}

/// Writes the rows of `chunks`, sorted by their key, as a new block, durable when this returns.
///
/// # Errors
/// There is no row, or the file system refuses. What was written until then has to be deleted.
pub(crate) fn write<C: Storable>(
    directory: &Path,
    id: BlockId,
    chunks: &[Arc<C>],
    arrival: Arrival,
    options: &Options,
) -> Result<Block<C>, BlockError> {
    let places = sorted(chunks);
    if places.is_empty() {
        let path = directory.join(files::name(C::TABLE, id, Role::Rows));
        return Err(BlockError::unwritable(&path, "there are no rows"));
    }
    let plan = plan(directory, id, chunks, &places, options)?;
    let mut writer = BlockWriter::create::<C>(directory, id, plan, options)?;
    let mut left = places.as_slice();
    while !left.is_empty() {
        let (piece, after) = left
            .split_at_checked(piece_len(chunks, left, options))
            .unwrap_or((left, &[]));
        writer.add(Picked {
            chunks,
            places: piece,
        })?;
        left = after;
    }
    let totals = Totals {
        services: sum_services(chunks.iter().map(|chunk| chunk.service_counts())),
        operations: sum_operations(chunks.iter().map(|chunk| chunk.operation_counts())),
        arrival,
    };
    let info = writer.finish(totals)?;
    Block::open(directory, &info, &options.cache)
}

/// All rows in the order of their keys.
fn sorted<C: Storable>(chunks: &[Arc<C>]) -> Vec<Place> {
    let mut timed = Vec::with_capacity(chunks.iter().map(|chunk| chunk.rows()).sum());
    for (number, chunk) in (0_u32..).zip(chunks) {
        let place = |row| Place { chunk: number, row };
        timed.extend((0..chunk.rows()).map(|row| (chunk.time(row), place(row as u32))));
    }
    // A key begins with the time, and few rows have the same one.
    let key = |place: Place| {
        let chunk = chunks.get(place.chunk as usize);
        chunk.map(|chunk| chunk.key(place.row as usize))
    };
    // Stable: it makes use of the order in which rows arrive, which is nearly that of time.
    timed.sort_by(|(a, of_a), (b, of_b)| a.cmp(b).then_with(|| key(*of_a).cmp(&key(*of_b))));
    timed.into_iter().map(|(_, place)| place).collect()
}

fn plan<C: Storable>(
    directory: &Path,
    id: BlockId,
    chunks: &[Arc<C>],
    places: &[Place],
    options: &Options,
) -> Result<Plan, BlockError> {
    let mut counts = AttributeCounts::new();
    for chunk in chunks {
        count_attributes(chunk.attributes(), &mut counts);
    }
    let rows = places.len() as u64;
    let unknown = Plan::new::<C>(&counts, rows, options, |_, _| Sample::default());
    let step = places.len().div_ceil(SAMPLE_ROWS).max(1);
    let every: Vec<Place> = places.iter().copied().step_by(step).collect();
    let mut samples: Vec<Vec<Sample>> = Vec::new();
    let mut left = every.as_slice();
    while !left.is_empty() {
        // Rows of a sample may be large, too.
        let (some, after) = left
            .split_at_checked(piece_len(chunks, left, options).max(1))
            .unwrap_or((left, &[]));
        let picked = Picked {
            chunks,
            places: some,
        };
        let arrays = C::columns(picked, &unknown.attributes, &mut Default::default());
        let path = || directory.join(files::name(C::TABLE, id, Role::Rows));
        let arrays = arrays.map_err(|reason| BlockError::unwritable(&path(), reason))?;
        samples.push(sample_of(&arrays));
        left = after;
    }
    let sample = |number: usize, _: &super::schema::Column| {
        let parts = samples.iter().filter_map(|part| part.get(number));
        parts.copied().fold(Sample::default(), Sample::plus)
    };
    Ok(Plan::new::<C>(&counts, rows, options, sample))
}

/// How many of the rows make the next piece.
pub(super) fn piece_len<C: Storable>(
    chunks: &[Arc<C>],
    places: &[Place],
    options: &Options,
) -> usize {
    let settings = &options.settings;
    let mut bytes = 0_usize;
    let fits = |place: &&Place| {
        let chunk = chunks.get(place.chunk as usize);
        bytes += chunk.map_or(0, |chunk| chunk.text_bytes(place.row as usize));
        bytes <= settings.piece_bytes
    };
    let rows = places.iter().take(settings.piece_rows.max(1));
    rows.take_while(fits).count().max(1)
}

/// The counts of several parts, by service.
pub(super) fn sum_services(parts: impl Iterator<Item = Vec<ServiceCount>>) -> Vec<ServiceCount> {
    let mut sums: HashMap<String, ServiceCount> = HashMap::new();
    for count in parts.flatten() {
        match sums.get_mut(&count.service) {
            Some(sum) => {
                sum.row_count += count.row_count;
                sum.error_count += count.error_count;
                sum.last_seen_unix_nano = sum.last_seen_unix_nano.max(count.last_seen_unix_nano);
            }
            None => {
                sums.insert(count.service.clone(), count);
            }
        }
    }
    let mut sums: Vec<_> = sums.into_values().collect();
    sums.sort_unstable_by(|a, b| a.service.cmp(&b.service));
    sums
}

/// The counts of several parts, by operation.
pub(super) fn sum_operations(
    parts: impl Iterator<Item = Vec<OperationCount>>,
) -> Vec<OperationCount> {
    let mut sums: HashMap<(String, String, SpanKind), u64> = HashMap::new();
    for count in parts.flatten() {
        let operation = (count.service, count.name, count.kind);
        *sums.entry(operation).or_default() += count.span_count;
    }
    let count = |((service, name, kind), span_count)| OperationCount {
        service,
        name,
        kind,
        span_count,
    };
    let mut sums: Vec<OperationCount> = sums.into_iter().map(count).collect();
    sums.sort_unstable_by(|a, b| {
        (&a.service, &a.name, a.kind as i32).cmp(&(&b.service, &b.name, b.kind as i32))
    });
    sums
}
