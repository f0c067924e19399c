//! How a journal is configured.

use std::{num::NonZeroU16, path::PathBuf};

use log_tracer_transport::Envelope;
use serde::{Deserialize, Serialize};

use crate::{frame, segment};

/// More segments than this would be more open files than a process may have by default.
pub(crate) const SEGMENTS_MAX: u64 = 512;
/// Smaller segments would be mostly headers.
const SEGMENT_BYTES_MIN: u64 = 4 << 10;

/// Where a journal is and what its limits are.
///
/// On disk it takes `retained_bytes_max`, one segment that is prepared for what comes, one that is kept to be used
/// again, and a few MiB for its small files. In memory it takes `recent_bytes_max`, `queue_bytes_max`, and for each
/// partition `dedupe_batches_max` times about 200 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The directory of the journal, which nothing else may write to. It is made if it does not exist. "journal" by
    /// default, which the program that runs everything takes from below its data directory.
    pub directory: PathBuf,
    /// Partitions, 1 by default: one machine gains nothing from more. Fixed once the journal was made.
    pub partitions: NonZeroU16,
    /// The size of a segment file in bytes, written with zeros before it is used. 64 MiB by default. Larger segments cost
    /// less work in between and give room back in larger pieces. At least 4 KiB, and at least a 512th and at most half of
    /// `retained_bytes_max`. A publish that needs more gets a segment of its own size.
    pub segment_bytes: u64,
    /// Bytes that all segments with envelopes may take together, each counted whole. 8 GiB by default. What happens
    /// beyond is said by `when_full`. One publish can carry half of it.
    pub retained_bytes_max: u64,
    /// What happens when there is no more room. Refusing by default.
    pub when_full: WhenFull,
    /// Bytes of segments that are kept although every group has committed them, for readers that want to go back. 0 by
    /// default: what was committed has its home in the store, and leaves at once. The newest segment stays in any case.
    pub retention_bytes: u64,
    /// Seconds that a segment is kept after its last write although every group has committed it; 0 by default. What
    /// either of `retention_bytes` and this keeps stays, until its room is needed. Time is measured by a clock that does
    /// not jump; only across a restart is the time of day believed.
    pub retention_age_seconds: u64,
    /// Bytes that must stay free on the file system, so that everything else on it goes on working. 1 GiB by default, and
    /// a tenth of the file system at most. Publishes are refused as full when less than this, or than two segments, is
    /// free.
    pub reserve_bytes: u64,
    /// The largest encoded envelope in bytes. 16 MiB by default.
    pub envelope_bytes_max: usize,
    /// Bytes of the publishes that may wait for their turn at a time. One that would go beyond is refused at once as busy,
    /// except that a single one may always wait. 64 MiB by default.
    pub queue_bytes_max: usize,
    /// Bytes written with one fsync at most; a publish that is larger is written alone. 8 MiB by default.
    pub group_bytes_max: usize,
    /// Envelopes written with one fsync at most; a publish that has more is written alone. 1024 by default.
    pub group_envelopes_max: usize,
    /// Microseconds to wait for more before an fsync. 0 by default: what comes while one fsync runs shares the next, which
    /// is the best there is unless an fsync is very dear.
    pub linger_micros: u64,
    /// Encoded bytes of the newest envelopes that are kept in memory, for readers that keep up. 16 MiB by default.
    pub recent_bytes_max: usize,
    /// Envelopes that each partition remembers to recognise one that is published again, also after a restart; 0 turns
    /// that off. 16,384 by default.
    pub dedupe_batches_max: usize,
}

/// What happens to a publish when there is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It waits for the groups to commit, and is refused at its deadline.
    Reject,
    /// The oldest segments leave, also those that no group has committed.
    DropOldest,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: "journal".into(),
            partitions: NonZeroU16::MIN,
            segment_bytes: 64 << 20,
            retained_bytes_max: 8 << 30,
            when_full: WhenFull::Reject,
            retention_bytes: 0,
            retention_age_seconds: 0,
            reserve_bytes: 1 << 30,
            envelope_bytes_max: 16 << 20,
            queue_bytes_max: 64 << 20,
            group_bytes_max: 8 << 20,
            group_envelopes_max: 1024,
            linger_micros: 0,
            recent_bytes_max: 16 << 20,
            dedupe_batches_max: 16_384,
        }
    }
}

impl Config {
    /// Checks what the types alone do not say.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and what was expected.
    pub fn validate(&self) -> Result<(), String> {
        if self.directory.as_os_str().is_empty() {
            return Err("directory is empty, expected the path of a directory".into());
        }
        if self.envelope_bytes_max < Envelope::HEADER_BYTES {
            return Err(format!(
                "envelope_bytes_max is {}, expected at least the {} bytes of an empty envelope",
                self.envelope_bytes_max,
                Envelope::HEADER_BYTES
            ));
        }
        let (segment, retained) = (self.segment_bytes, self.retained_bytes_max);
        if segment < SEGMENT_BYTES_MIN || segment % frame::ALIGNMENT != 0 {
            return Err(format!(
                "segment_bytes is {segment}, expected at least {SEGMENT_BYTES_MIN} and a multiple of {}",
                frame::ALIGNMENT
            ));
        }
        if segment > retained / 2 {
            return Err(format!(
                "segment_bytes is {segment}, expected at most half of retained_bytes_max, which is {retained}"
            ));
        }
        if segment < retained.div_ceil(SEGMENTS_MAX) {
            return Err(format!(
                "segment_bytes is {segment}, expected at least {}: retained_bytes_max in {SEGMENTS_MAX} segments",
                retained.div_ceil(SEGMENTS_MAX)
            ));
        }
        let need = segment::bytes_for(self.partitions, self.envelope_bytes_max as u64);
        if need > retained / 2 {
            return Err(format!(
                "retained_bytes_max is {retained}, expected at least {}: twice a segment with one envelope of envelope_bytes_max",
                need.saturating_mul(2)
            ));
        }
        for (key, value) in [
            ("group_bytes_max", self.group_bytes_max),
            ("group_envelopes_max", self.group_envelopes_max),
        ] {
            if value == 0 {
                return Err(format!("{key} is 0, expected at least 1"));
            }
        }
        Ok(())
    }
}
