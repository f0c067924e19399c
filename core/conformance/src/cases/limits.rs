//! What fits, what does not, and what is refused before anything is done.

use bytes::Bytes;
use log_tracer_transport::{
    Envelope, Part, Partition, PublishError, ReadOptions, Start, Transport,
};
use tokio::time::Instant;

use crate::{
    Seen, Setup, Stage,
    reader::{Reader, compare, read_all},
    seen::ensure,
    stage::{PATIENCE, must_end, publish, publish_one},
};

/// One byte below the limit and at the limit; one byte more is refused with both numbers.
pub async fn an_envelope_of_the_largest_size_is_carried_and_one_byte_more_is_refused(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let max = transport.capabilities().envelope_bytes_max;
    let largest = max - Envelope::HEADER_BYTES;

    let below = publish_one(&*transport, stage.envelope(0, largest - 1)).await?;
    let at = publish_one(&*transport, stage.envelope(0, largest)).await?;
    let beyond = refusal(&*transport, vec![stage.envelope(0, largest + 1)]).await?;
    ensure!(
        matches!(beyond, PublishError::TooLarge { bytes, max: limit } if bytes == max + 1 && limit == max),
        "an envelope of {} bytes where {max} are carried: {beyond}",
        max + 1
    );
    compare(&read_all(&*transport, 0, 2).await?, &[below, at])
}

/// An envelope may be nothing but its header.
pub async fn an_empty_payload_is_carried(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let mut empty = stage.envelope(0, 0);
    empty.payload = Bytes::new();
    let stored = publish(&*transport, vec![empty, stage.envelope(0, 1)]).await?;
    compare(&read_all(&*transport, 0, 2).await?, &stored)
}

/// A call may hold ten thousand envelopes.
pub async fn thousands_of_small_envelopes_go_in_one_call(stage: &Stage<'_>) -> Result<(), Seen> {
    const COUNT: usize = 10_000;
    let transport = stage.create(Setup::ROOMY).await?;
    let stored = publish(&*transport, stage.envelopes(0, COUNT, 16)).await?;
    compare(&read_all(&*transport, 0, COUNT).await?, &stored)
}

/// A call of nothing is a fault of the caller.
pub async fn an_empty_batch_is_refused(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    expect_invalid(&*transport, Vec::new()).await
}

/// A partition must be one of those that there are.
pub async fn an_unknown_partition_is_refused(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    for partition in [transport.partitions().get(), u16::MAX] {
        expect_invalid(&*transport, vec![stage.envelope(partition, 1)]).await?;
    }
    Ok(())
}

/// What could not be decoded again must not be stored.
pub async fn an_impossible_part_is_refused(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    for (index, count) in [(0, 0), (1, 1), (7, 3)] {
        let mut envelope = stage.envelope(0, 1);
        envelope.part = Part { index, count };
        expect_invalid(&*transport, vec![envelope]).await?;
    }
    Ok(())
}

/// One bad envelope among good ones: none of them is stored.
pub async fn a_refused_call_stores_nothing(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let too_large = stage.envelope(0, transport.capabilities().envelope_bytes_max);
    for bad in [too_large, stage.envelope(u16::MAX, 1)] {
        let batch = vec![stage.envelope(0, 10), stage.envelope(1, 10), bad];
        refusal(&*transport, batch).await?;
    }
    for partition in [0, 1] {
        Reader::of(&*transport, partition, Start::Earliest)
            .await?
            .expect_silence()
            .await?;
    }
    let stored = publish_one(&*transport, stage.envelope(0, 10)).await?;
    compare(&read_all(&*transport, 0, 1).await?, &[stored])
}

/// Limits in envelopes and in bytes, met exactly by some of what is there: the next delivery starts where the last one
/// stopped.
pub async fn deliveries_hold_no_more_than_was_asked_for_and_skip_nothing(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let mut batch = Vec::new();
    for payload_bytes in [100, 100, 100, 5_000, 100, 1, 1, 1, 1, 300] {
        batch.extend(stage.envelopes(0, 3, payload_bytes));
    }
    let stored = publish(&*transport, batch).await?;

    let two = 2 * (Envelope::HEADER_BYTES + 100);
    for (envelopes, bytes) in [
        (1, usize::MAX),
        (3, usize::MAX),
        (stored.len(), usize::MAX),
        (usize::MAX, 0),
        (usize::MAX, two - 1),
        (usize::MAX, two),
        (2, two),
    ] {
        let options = ReadOptions {
            delivery_envelopes_max: envelopes,
            delivery_bytes_max: bytes,
            ..ReadOptions::default()
        };
        let from = vec![(Partition(0), Start::Earliest)];
        let mut reader = Reader::open(&*transport, from, options).await?;
        compare(&reader.take(stored.len()).await?, &stored)?;
        reader.expect_silence().await?;
    }
    Ok(())
}

/// The error of a publish that must not succeed.
async fn refusal(transport: &dyn Transport, batch: Vec<Envelope>) -> Result<PublishError, Seen> {
    let publish = transport.publish(batch, Instant::now() + PATIENCE);
    match must_end("a publish", publish).await? {
        Err(error) => Ok(error),
        Ok(acks) => Err(Seen::new(format!(
            "a publish that had to be refused was acked: {acks:?}"
        ))),
    }
}

async fn expect_invalid(transport: &dyn Transport, batch: Vec<Envelope>) -> Result<(), Seen> {
    let error = refusal(transport, batch).await?;
    ensure!(
        matches!(error, PublishError::Invalid(_)),
        "a fault of the caller is to be refused as invalid, not as: {error}"
    );
    Ok(())
}
