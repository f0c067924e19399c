//! What every transport refuses before it does anything, so that all refuse the same.

use std::{collections::BTreeSet, num::NonZeroU16};

use crate::{
    CommitError, Cursor, Envelope, Group, Partition, PublishError, ReadError, ReadOptions, Start,
};

/// The longest name of a [`Group`] in bytes.
pub const GROUP_BYTES_MAX: usize = 128;

/// Checks the arguments of [`crate::Transport::publish`].
///
/// # Errors
///
/// [`PublishError::Invalid`] for an empty batch, a partition that does not exist or an impossible part, and
/// [`PublishError::TooLarge`] for an envelope beyond `envelope_bytes_max`.
pub fn publish(
    batch: &[Envelope],
    partitions: NonZeroU16,
    envelope_bytes_max: usize,
) -> Result<(), PublishError> {
    if batch.is_empty() {
        return Err(PublishError::Invalid("the batch is empty".into()));
    }
    for (index, envelope) in batch.iter().enumerate() {
        if let Some(fault) = unknown_partition(envelope.partition, partitions) {
            return Err(PublishError::Invalid(format!("envelope {index}: {fault}")));
        }
        if !envelope.part.is_valid() {
            return Err(PublishError::Invalid(format!(
                "envelope {index}: part {} of {}, expected an index less than the count",
                envelope.part.index, envelope.part.count
            )));
        }
        let bytes = envelope.encoded_len();
        if bytes > envelope_bytes_max {
            return Err(PublishError::TooLarge {
                bytes,
                max: envelope_bytes_max,
            });
        }
    }
    Ok(())
}

/// Checks the arguments of [`crate::Transport::subscribe`].
///
/// # Errors
///
/// [`ReadError::Invalid`] when no partition is named, one does not exist or is named twice, or a delivery could hold
/// no envelope.
pub fn subscribe(
    from: &[(Partition, Start)],
    options: &ReadOptions,
    partitions: NonZeroU16,
) -> Result<(), ReadError> {
    if from.is_empty() {
        return Err(ReadError::Invalid("no partition is named".into()));
    }
    if options.delivery_envelopes_max == 0 {
        return Err(ReadError::Invalid(
            "delivery_envelopes_max is 0, expected at least 1".into(),
        ));
    }
    let mut seen = BTreeSet::new();
    for (partition, _) in from {
        if let Some(fault) = unknown_partition(*partition, partitions) {
            return Err(ReadError::Invalid(fault));
        }
        if !seen.insert(*partition) {
            return Err(ReadError::Invalid(format!(
                "partition {} is named twice",
                partition.0
            )));
        }
    }
    Ok(())
}

/// Checks the arguments of [`crate::Transport::commit`]. Whether a cursor lies beyond the end, only the log can tell.
///
/// # Errors
///
/// [`CommitError::Invalid`] for a partition that does not exist, or a group without a name or with one longer than
/// [`GROUP_BYTES_MAX`].
pub fn commit(group: &Group, upto: &[Cursor], partitions: NonZeroU16) -> Result<(), CommitError> {
    let bytes = group.0.len();
    if bytes == 0 || bytes > GROUP_BYTES_MAX {
        return Err(CommitError::Invalid(format!(
            "a group's name of {bytes} bytes, expected 1 to {GROUP_BYTES_MAX}"
        )));
    }
    match upto
        .iter()
        .find_map(|cursor| unknown_partition(cursor.partition, partitions))
    {
        Some(fault) => Err(CommitError::Invalid(fault)),
        None => Ok(()),
    }
}

fn unknown_partition(partition: Partition, partitions: NonZeroU16) -> Option<String> {
    (partition.0 >= partitions.get()).then(|| {
        format!(
            "partition {} does not exist, expected 0 to {}",
            partition.0,
            partitions.get() - 1
        )
    })
}
