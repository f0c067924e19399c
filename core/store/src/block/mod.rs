//! Blocks: immutable rows on disk, sorted by time, each with what is needed to leave most of it unread.
//!
//! A block is cut into **pieces** of a few thousand neighbouring rows. A search asks [`Block::admits`] of each piece,
//! and reads from the others, with [`Block::read`], only the columns that it looks at. What it wants to show is then
//! read whole, row by row, with [`Block::take`].
//!
//! | module | what it does |
//! |---|---|
//! | `files` | names of files, and how they come and go |
//! | `gather` | rows of chunks to columns of the file |
//! | `assemble` | columns of the file to a chunk |
//! | `json` | what has no column of its own, as JSON |
//! | `schema` | the columns, and how each is encoded |
//! | `writer`, `merge` | write a block |
//! | `verified`, `decode` | read the Parquet file, every byte checked |
//! | `scan` | columns of some rows, for questions that need no whole rows |
//! | `index` | the index file |
//! | `cache` | what blocks share |
//! | `rollup` | the rollups in the index file, for [`crate::rollup`] |
//! | `verify` | checks a block in all its parts |

mod assemble;
pub mod bench;
mod cache;
mod columns;
mod decode;
mod error;
mod files;
mod gather;
mod index;
mod info;
mod json;
mod merge;
mod open;
mod options;
mod rollup;
mod scan;
mod schema;
mod storable;
#[cfg(test)]
mod tests;
mod verified;
mod verify;
mod wire;
mod write;
mod writer;

pub(crate) use cache::BlockCache;
pub(crate) use columns::Columns;
pub(crate) use error::{BlockError, Malformed};
pub(crate) use files::{delete, owner_of, rows_path};
pub(crate) use gather::{Picked, Place};
pub(crate) use index::places::PieceSet;
#[cfg(test)]
use index::tally::Count as TallyCount;
pub(crate) use index::tally::Tally;
pub(crate) use info::{BlockId, BlockInfo, OperationCount, PieceInfo, ServiceCount, TraceEntry};
pub(crate) use merge::merge;
pub(crate) use open::{Block, LEAVES_AT_ONCE};
pub(crate) use options::{Options, PAGE_ROWS, Settings};
pub(crate) use rollup::LoadedRollup;
pub(crate) use scan::{Named, Scan};
pub(crate) use storable::Storable;
pub(crate) use verify::verify;
pub(crate) use wire::{Input, put_text, put_varint};
pub(crate) use write::{Arrival, write};
