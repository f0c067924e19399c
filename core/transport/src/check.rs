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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{BatchId, Kind, Offset, Part};

    const PARTITIONS: NonZeroU16 = NonZeroU16::new(2).unwrap();

    fn envelope(partition: u16, part: Part, payload: usize) -> Envelope {
        Envelope {
            partition: Partition(partition),
            kind: Kind::Logs,
            batch: BatchId(1),
            part,
            records: 1,
            received_unix_nano: 1,
            payload: Bytes::from(vec![0; payload]),
            is_checked: false,
        }
    }

    #[test]
    fn a_publish_is_refused_with_the_envelope_and_what_was_expected() {
        let refusal = |batch: &[Envelope]| publish(batch, PARTITIONS, 100).unwrap_err().to_string();
        let good = envelope(1, Part::WHOLE, 44);
        assert!(publish(std::slice::from_ref(&good), PARTITIONS, 100).is_ok());
        assert_eq!(refusal(&[]), "invalid publish: the batch is empty");
        assert_eq!(
            refusal(&[good.clone(), envelope(2, Part::WHOLE, 0)]),
            "invalid publish: envelope 1: partition 2 does not exist, expected 0 to 1"
        );
        assert_eq!(
            refusal(&[envelope(0, Part { index: 1, count: 1 }, 0)]),
            "invalid publish: envelope 0: part 1 of 1, expected an index less than the count"
        );
        assert_eq!(
            refusal(&[good, envelope(0, Part::WHOLE, 45)]),
            "an envelope of 101 bytes is larger than the 100 bytes that the transport carries"
        );
    }

    #[test]
    fn a_subscription_names_each_partition_once_and_takes_something() {
        let refusal = |from: &[(Partition, Start)]| {
            subscribe(from, &ReadOptions::default(), PARTITIONS)
                .unwrap_err()
                .to_string()
        };
        let (first, second) = (
            (Partition(0), Start::Earliest),
            (Partition(1), Start::Earliest),
        );
        assert!(subscribe(&[first, second], &ReadOptions::default(), PARTITIONS).is_ok());
        assert_eq!(refusal(&[]), "invalid subscription: no partition is named");
        assert_eq!(
            refusal(&[first, first]),
            "invalid subscription: partition 0 is named twice"
        );
        assert_eq!(
            refusal(&[(Partition(9), Start::At(Offset(0)))]),
            "invalid subscription: partition 9 does not exist, expected 0 to 1"
        );
        let nothing = ReadOptions {
            delivery_envelopes_max: 0,
            ..ReadOptions::default()
        };
        assert_eq!(
            subscribe(&[first], &nothing, PARTITIONS)
                .unwrap_err()
                .to_string(),
            "invalid subscription: delivery_envelopes_max is 0, expected at least 1"
        );
    }

    #[test]
    fn a_commit_names_a_group_and_partitions_that_exist() {
        let cursor = |partition| Cursor {
            partition: Partition(partition),
            next: Offset(0),
        };
        let group = Group("search".into());
        assert!(commit(&group, &[cursor(0), cursor(1)], PARTITIONS).is_ok());
        assert!(commit(&group, &[], PARTITIONS).is_ok());
        for (group, cursors) in [
            (Group(String::new()), vec![]),
            (Group("g".repeat(GROUP_BYTES_MAX + 1)), vec![]),
            (group, vec![cursor(0), cursor(2)]),
        ] {
            let refused = commit(&group, &cursors, PARTITIONS);
            assert!(
                matches!(refused, Err(CommitError::Invalid(_))),
                "{refused:?}"
            );
        }
    }
}
