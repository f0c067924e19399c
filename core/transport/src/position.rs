//! Where an envelope is: partition, offset, cursor, and the log that they are of.

use std::{fmt, num::ParseIntError, str::FromStr};

/// The number of a partition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Partition(pub u16);

/// The place of an envelope in its partition. Strictly ascending; contiguous only where
/// [`crate::Capabilities::contiguous_offsets`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub u64);

/// The next offset to read in a partition: one more than the last one that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is not done.
    pub next: Offset,
}

/// Where a reader starts in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// At the earliest envelope that is still kept: for a reader that has no position.
    Earliest,
    /// At the first envelope whose offset is at least this: for a reader that stands here.
    At(Offset),
}

/// The bounds of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is still kept; `None` where a backend cannot tell.
    pub start: Option<Offset>,
    /// The offset that the next envelope gets.
    pub end: Offset,
    /// Encoded bytes that are kept; `None` where a backend cannot tell.
    pub bytes: Option<u64>,
    /// False where the backend answers with a delay.
    pub exact: bool,
}

/// The incarnation of a log, made once and stored with it. Positions of different logs have nothing to do with each
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(pub u128);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for LogId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// The name of a set of readers that share their progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(pub String);
