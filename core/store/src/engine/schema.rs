//! The tables of the catalog, and what is read from and written to them inside a transaction.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | a number: `format`, `log_id`, `commit`, `next_block`, `next_set_aside`, `set_aside_bytes` |
//! | `blocks` | table, id of the block | [`BlockInfo`] as JSON |
//! | `expired` | table | [`Expired`] as JSON |
//! | `cursors` | partition | the next offset to apply |
//! | `seen_heads` | partition | the next sequence number of its batches, and how many are kept |
//! | `seen` | partition, sequence number of the first | batches that were applied one after the other, 20 bytes each: batch id, part index, part count, little-endian |
//! | `set_aside` | sequence number | what was set aside, as it was given |

use redb::{
    ReadTransaction, ReadableTable, StorageError, TableDefinition, TableError, WriteTransaction,
};

use super::Expired;
use crate::{
    Mark, Restored, SeenBatch,
    block::{BlockId, BlockInfo},
};

/// The version of these tables. One that differs is refused.
pub(super) const FORMAT: u128 = 1;

pub(super) const META: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");
const BLOCKS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("blocks");
const EXPIRED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("expired");
const CURSORS: TableDefinition<'_, u16, u64> = TableDefinition::new("cursors");
/// Not in catalogs of before it was noted.
const BEGINS: TableDefinition<'_, u16, u64> = TableDefinition::new("begins");
const SEEN_HEADS: TableDefinition<'_, u16, (u64, u64)> = TableDefinition::new("seen_heads");
const SEEN: TableDefinition<'_, (u16, u64), &[u8]> = TableDefinition::new("seen");
const SET_ASIDE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("set_aside");

/// Bytes of a batch in `seen`.
const SEEN_BYTES: usize = 20;

/// Batches in one row of `seen`: a row leaves as a whole.
const SEEN_ROW_BATCHES: usize = 1024;

/// What can go wrong inside a transaction.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Table(Box<TableError>),
    #[error("table {table}: {reason}")]
    Value { table: &'static str, reason: String },
}

impl From<TableError> for SchemaError {
    fn from(error: TableError) -> Self {
        Self::Table(Box::new(error))
    }
}

type Result<T, E = SchemaError> = std::result::Result<T, E>;

/// Makes the tables of an empty catalog.
pub(super) fn create(write: &WriteTransaction) -> Result<()> {
    write.open_table(META)?.insert("format", FORMAT)?;
    write.open_table(BLOCKS)?;
    write.open_table(EXPIRED)?;
    write.open_table(CURSORS)?;
    write.open_table(BEGINS)?;
    write.open_table(SEEN_HEADS)?;
    write.open_table(SEEN)?;
    write.open_table(SET_ASIDE)?;
    Ok(())
}

/// A number of the `meta` table; none when it was never written.
pub(super) fn meta(read: &ReadTransaction, name: &str) -> Result<Option<u128>> {
    Ok(read.open_table(META)?.get(name)?.map(|value| value.value()))
}

/// Writes a number to the `meta` table.
pub(super) fn set_meta(write: &WriteTransaction, name: &str, value: u128) -> Result<()> {
    write.open_table(META)?.insert(name, value)?;
    Ok(())
}

pub(super) fn add_block(write: &WriteTransaction, table: &str, info: &BlockInfo) -> Result<()> {
    let json = to_json("blocks", info)?;
    let mut blocks = write.open_table(BLOCKS)?;
    blocks.insert((table, info.id.0), json.as_slice())?;
    Ok(())
}

pub(super) fn remove_block(write: &WriteTransaction, table: &str, id: BlockId) -> Result<()> {
    write.open_table(BLOCKS)?.remove((table, id.0))?;
    Ok(())
}

/// The blocks of a table, in the order of their ids.
pub(super) fn blocks(read: &ReadTransaction, table: &str) -> Result<Vec<BlockInfo>> {
    let blocks = read.open_table(BLOCKS)?;
    let of_table = blocks.range((table, 0)..=(table, u64::MAX))?;
    of_table
        .map(|row| {
            let (_, json) = row?;
            from_json("blocks", json.value())
        })
        .collect()
}

pub(super) fn set_expired(write: &WriteTransaction, table: &str, expired: &Expired) -> Result<()> {
    let json = to_json("expired", expired)?;
    write.open_table(EXPIRED)?.insert(table, json.as_slice())?;
    Ok(())
}

pub(super) fn expired(read: &ReadTransaction, table: &str) -> Result<Expired> {
    let expired = read.open_table(EXPIRED)?;
    let found = expired.get(table)?;
    found.map_or_else(
        || Ok(Expired::default()),
        |json| from_json("expired", json.value()),
    )
}

/// What is kept of marks, in bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarkLimits {
    pub(crate) seen_batches_max: u64,
    pub(crate) set_aside_bytes_max: u64,
}

/// Writes a mark over what marks before it left.
pub(super) fn set_mark(write: &WriteTransaction, mark: &Mark, limits: MarkLimits) -> Result<()> {
    let mut meta = write.open_table(META)?;
    let before = meta.insert("log_id", mark.log_id)?;
    let is_other_log = before.is_some_and(|before| before.value() != mark.log_id);
    drop(meta);
    let mut cursors = write.open_table(CURSORS)?;
    if is_other_log {
        cursors.retain(|_, _| false)?;
    }
    for (partition, next) in &mark.cursors {
        cursors.insert(partition, next)?;
    }
    drop(cursors);
    let mut begins = write.open_table(BEGINS)?;
    if is_other_log {
        begins.retain(|_, _| false)?;
    }
    for (partition, begin) in &mark.begins {
        if begins.get(partition)?.is_none() {
            begins.insert(partition, begin)?;
        }
    }
    drop(begins);
    add_seen(write, &mark.seen, limits.seen_batches_max)?;
    add_set_aside(write, &mark.set_aside, limits.set_aside_bytes_max)
}

/// Adds batches, and lets the oldest rows go whose batches are not among the newest so many.
fn add_seen(write: &WriteTransaction, seen: &[SeenBatch], keep_max: u64) -> Result<()> {
    let mut by_partition: std::collections::BTreeMap<u16, Vec<u8>> = Default::default();
    for batch in seen {
        let bytes = by_partition.entry(batch.partition).or_default();
        bytes.extend_from_slice(&batch.batch.to_le_bytes());
        bytes.extend_from_slice(&batch.part_index.to_le_bytes());
        bytes.extend_from_slice(&batch.part_count.to_le_bytes());
    }
    let mut heads = write.open_table(SEEN_HEADS)?;
    let mut rows = write.open_table(SEEN)?;
    for (partition, bytes) in by_partition {
        let head = heads.get(partition)?.map(|head| head.value());
        let (mut next, mut kept) = head.unwrap_or_default();
        for row in bytes.chunks(SEEN_BYTES * SEEN_ROW_BATCHES) {
            rows.insert((partition, next), row)?;
            next += (row.len() / SEEN_BYTES) as u64;
            kept += (row.len() / SEEN_BYTES) as u64;
        }
        while kept > keep_max {
            let oldest = rows.range((partition, 0)..=(partition, u64::MAX))?.next();
            let Some((key, count)) = oldest
                .transpose()?
                .map(|(key, row)| (key.value().1, (row.value().len() / SEEN_BYTES) as u64))
            else {
                break;
            };
            // A row whose newest batch is still among those to keep stays whole.
            if kept - count < keep_max {
                break;
            }
            rows.remove((partition, key))?;
            kept -= count;
        }
        heads.insert(partition, (next, kept))?;
    }
    Ok(())
}

/// Adds what was set aside, and lets the oldest go that do not fit.
fn add_set_aside(write: &WriteTransaction, new: &[Vec<u8>], bytes_max: u64) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let mut meta = write.open_table(META)?;
    let mut rows = write.open_table(SET_ASIDE)?;
    let number = |meta: &redb::Table<'_, &str, u128>, name: &str| -> Result<u64> {
        let found = meta.get(name)?.map_or(0, |value| value.value());
        Ok(u64::try_from(found).unwrap_or(u64::MAX))
    };
    let mut next = number(&meta, "next_set_aside")?;
    let mut bytes = number(&meta, "set_aside_bytes")?;
    for one in new {
        rows.insert(next, one.as_slice())?;
        next += 1;
        bytes += one.len() as u64;
    }
    while bytes > bytes_max {
        let Some((_, oldest)) = rows.pop_first()? else {
            break;
        };
        bytes = bytes.saturating_sub(oldest.value().len() as u64);
    }
    meta.insert("next_set_aside", u128::from(next))?;
    meta.insert("set_aside_bytes", u128::from(bytes))?;
    Ok(())
}

/// Where the consumer goes on.
pub(super) fn restored(read: &ReadTransaction, limits: MarkLimits) -> Result<Restored> {
    let mut restored = Restored {
        log_id: meta(read, "log_id")?,
        ..Restored::default()
    };
    for row in read.open_table(CURSORS)?.range(0..)? {
        let (partition, next) = row?;
        restored.cursors.insert(partition.value(), next.value());
    }
    match read.open_table(BEGINS) {
        Ok(begins) => {
            for row in begins.range(0..)? {
                let (partition, begin) = row?;
                restored.begins.insert(partition.value(), begin.value());
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for row in read.open_table(SEEN_HEADS)?.range(0..)? {
        let partition = row?.0.value();
        let seen = seen_of(read, partition)?;
        let keep = usize::try_from(limits.seen_batches_max).unwrap_or(usize::MAX);
        let skip = seen.len().saturating_sub(keep);
        restored.seen.extend(seen.into_iter().skip(skip));
    }
    for row in read.open_table(SET_ASIDE)?.range(0..)? {
        restored.set_aside.push(row?.1.value().to_vec());
    }
    Ok(restored)
}

fn seen_of(read: &ReadTransaction, partition: u16) -> Result<Vec<SeenBatch>> {
    let mut seen = Vec::new();
    let rows = read.open_table(SEEN)?;
    for row in rows.range((partition, 0)..=(partition, u64::MAX))? {
        let (_, row) = row?;
        let (batches, rest) = row.value().as_chunks::<SEEN_BYTES>();
        if !rest.is_empty() {
            return Err(SchemaError::Value {
                table: "seen",
                reason: format!("a row of partition {partition} ends inside a batch"),
            });
        }
        seen.extend(batches.iter().map(|bytes| batch_of(partition, bytes)));
    }
    Ok(seen)
}

fn batch_of(partition: u16, bytes: &[u8; SEEN_BYTES]) -> SeenBatch {
    let [batch @ .., a, b, c, d] = *bytes;
    SeenBatch {
        partition,
        batch: u128::from_le_bytes(batch),
        part_index: u16::from_le_bytes([a, b]),
        part_count: u16::from_le_bytes([c, d]),
    }
}

/// How many batches are remembered, and how many and how large are what was set aside.
pub(super) fn kept(read: &ReadTransaction) -> Result<(u64, u64, u64)> {
    let mut seen = 0;
    for row in read.open_table(SEEN_HEADS)?.range(0..)? {
        seen += row?.1.value().1;
    }
    let set_aside = redb::ReadableTableMetadata::len(&read.open_table(SET_ASIDE)?)?;
    let bytes = meta(read, "set_aside_bytes")?.unwrap_or(0);
    Ok((seen, set_aside, u64::try_from(bytes).unwrap_or(u64::MAX)))
}

fn to_json(table: &'static str, value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| SchemaError::Value {
        table,
        reason: error.to_string(),
    })
}

fn from_json<T: serde::de::DeserializeOwned>(table: &'static str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| SchemaError::Value {
        table,
        reason: error.to_string(),
    })
}
