//! The limits of a channel.

use std::num::NonZeroU16;

use log_tracer_transport::Envelope;
use serde::{Deserialize, Serialize};

use crate::log::SLOT_BYTES;

/// How a channel is configured.
///
/// Its memory is at most `retained_bytes_max` and, for each partition, `dedupe_batches_max` times about 200 bytes. What
/// waits for room is the memory of those who publish, `queue_bytes_max` at most; a delivery shares the memory of the
/// log, and keeps its envelopes alive after they have left until the reader drops it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Partitions, 1 by default: one process gains nothing from more.
    pub partitions: NonZeroU16,
    /// Encoded bytes kept in all partitions together, plus 128 bytes for each envelope. 128 MiB by default. It is also
    /// the most that one publish can carry.
    pub retained_bytes_max: usize,
    /// The largest encoded envelope in bytes. 16 MiB by default.
    pub envelope_bytes_max: usize,
    /// Encoded bytes of the publishes that may wait for room at a time. One that would go beyond is refused at once as
    /// busy, except that a single one may always wait. 64 MiB by default.
    pub queue_bytes_max: usize,
    /// Envelopes that each partition remembers to recognise one that is published again; 0 turns that off. 16,384 by
    /// default.
    pub dedupe_batches_max: usize,
    /// What happens when there is no more room. Refusing by default.
    pub when_full: WhenFull,
}

/// What happens to a publish when there is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It waits for the groups to commit, and is refused at its deadline.
    Reject,
    /// The oldest envelopes leave, also those that no group has committed.
    DropOldest,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            partitions: NonZeroU16::MIN,
            retained_bytes_max: 128 << 20,
            envelope_bytes_max: 16 << 20,
            queue_bytes_max: 64 << 20,
            dedupe_batches_max: 16_384,
            when_full: WhenFull::Reject,
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
        if self.envelope_bytes_max < Envelope::HEADER_BYTES {
            return Err(format!(
                "envelope_bytes_max is {}, expected at least the {} bytes of an empty envelope",
                self.envelope_bytes_max,
                Envelope::HEADER_BYTES
            ));
        }
        let need = self.envelope_bytes_max.saturating_add(SLOT_BYTES);
        if self.retained_bytes_max < need {
            return Err(format!(
                "retained_bytes_max is {}, expected at least {need}: envelope_bytes_max and {SLOT_BYTES} bytes",
                self.retained_bytes_max
            ));
        }
        Ok(())
    }
}
