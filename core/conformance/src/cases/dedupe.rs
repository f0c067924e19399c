//! An envelope that is published again: recognised where that is claimed, stored like any other where it is not.

use std::collections::BTreeSet;

use log_tracer_transport::{Dedupe, Part, Partition};

use crate::{
    Seen, Setup, Stage,
    reader::{compare, read_all},
    seen::ensure,
    stage::{Stored, publish, publish_one},
};

/// Retried alone and among others, at once and later.
pub async fn an_envelope_that_is_published_again_is_a_duplicate_where_that_is_claimed(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let claimed = transport.capabilities().dedupe != Dedupe::None;
    let first = publish(&*transport, stage.envelopes(0, 3, 40)).await?;
    let mut expected = first.clone();
    expect_fresh(&first)?;

    for original in &first {
        let retried = publish_one(&*transport, original.envelope.clone()).await?;
        expected.extend(check_repeat(claimed, original, retried)?);
    }
    let mut batch = stage.envelopes(0, 2, 40);
    batch.extend(first.iter().map(|stored| stored.envelope.clone()));
    let mut among_others = publish(&*transport, batch).await?;
    let repeats = among_others.split_off(2);
    expect_fresh(&among_others)?;
    expected.extend(among_others);
    for (original, retried) in first.iter().zip(repeats) {
        expected.extend(check_repeat(claimed, original, retried)?);
    }
    compare(&read_all(&*transport, 0, expected.len()).await?, &expected)
}

/// The second of two in one call is a repeat of the first.
pub async fn an_envelope_twice_in_one_call_is_stored_once_where_that_is_claimed(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let claimed = transport.capabilities().dedupe != Dedupe::None;
    let envelope = stage.envelope(0, 40);
    let mut stored = publish(&*transport, vec![envelope.clone(), envelope]).await?;
    let (Some(second), Some(first)) = (stored.pop(), stored.pop()) else {
        return Err(Seen::new("two envelopes, and fewer acks"));
    };
    expect_fresh(std::slice::from_ref(&first))?;
    let mut expected = vec![first.clone()];
    expected.extend(check_repeat(claimed, &first, second)?);
    compare(&read_all(&*transport, 0, expected.len()).await?, &expected)
}

/// A batch has several parts, and its records may go to several partitions: none of them is a repeat.
pub async fn parts_and_partitions_of_a_batch_are_not_duplicates_of_each_other(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let original = stage.envelope(0, 40);
    let part = |partition, index| {
        let mut envelope = original.clone();
        envelope.partition = Partition(partition);
        envelope.part = Part { index, count: 4 };
        envelope
    };
    let batch = vec![part(0, 0), part(0, 1), part(1, 0), part(2, 2)];
    let mut stored = publish(&*transport, batch).await?;
    stored.push(publish_one(&*transport, part(0, 3)).await?);
    expect_fresh(&stored)?;
    let offsets: BTreeSet<_> = stored
        .iter()
        .map(|stored| (stored.acked.partition, stored.acked.offset))
        .collect();
    ensure!(
        offsets.len() == stored.len(),
        "{} parts are stored at {} places",
        stored.len(),
        offsets.len()
    );
    read_all(&*transport, 0, 3).await.map(|_| ())
}

fn expect_fresh(stored: &[Stored]) -> Result<(), Seen> {
    for (index, stored) in stored.iter().enumerate() {
        ensure!(
            !stored.acked.duplicate,
            "envelope {index} was never published before and is called a duplicate"
        );
    }
    Ok(())
}

/// Checks the ack of a repeat, and gives it back if it is to be stored once more.
fn check_repeat(claimed: bool, original: &Stored, retried: Stored) -> Result<Option<Stored>, Seen> {
    if claimed {
        ensure!(
            retried.acked.duplicate,
            "an envelope that is published again is not called a duplicate"
        );
        ensure!(
            retried.acked.offset == original.acked.offset,
            "an envelope stored at offset {} is called a duplicate of what is at {}",
            original.acked.offset.0,
            retried.acked.offset.0
        );
        return Ok(None);
    }
    ensure!(
        !retried.acked.duplicate,
        "no recognition of repeats is claimed, and an ack calls one a duplicate"
    );
    Ok(Some(retried))
}
