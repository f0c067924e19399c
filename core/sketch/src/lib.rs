//! Sketches of durations: what the rollups of a store keep, what `Rate.sketch` in `consumer.proto` carries, and what
//! whoever merges the answers of several consumers adds.
//!
//! [`Sketch`] has the buckets and the encoding, [`Scale`] coarser buckets that fit; [`BitReader`] and [`BitWriter`] are the bits that it and the rollups
//! around it are written with.

mod bits;
mod scale;
mod sketch;

use std::fmt;

pub use bits::{BitReader, BitWriter};
pub use scale::Scale;
pub use sketch::{RELATIVE_ERROR, Sketch, SketchError, Summary, bucket_of, encode};

/// What is wrong with bytes, by those who do not know where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
