//! What an ack means, and in which order envelopes come back.

use log_tracer_transport::{Part, Partition, ReadOptions, Start};

use crate::{
    Gap, Seen, Setup, Stage,
    reader::{Reader, compare, read_all},
    seen::ensure,
    stage::{end_of, must_end, publish, publish_one},
};

/// `Ok` comes after the envelope was stored: the very next look finds it.
pub async fn an_acked_envelope_is_stored(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    for _ in 0..8 {
        let stored = publish_one(&*transport, stage.envelope(0, 100)).await?;
        if !stage.has(Gap::ExactWatermarks) {
            let end = end_of(&*transport, 0).await?;
            ensure!(
                end > stored.acked.offset,
                "offset {} is acked while the partition ends at {}",
                stored.acked.offset.0,
                end.0
            );
        }
        let mut reader = Reader::of(&*transport, 0, Start::At(stored.acked.offset)).await?;
        compare(&reader.take(1).await?, &[stored])?;
    }
    Ok(())
}

/// Acks stand in the order of the input and name the offsets at which readers find the envelopes.
pub async fn acks_carry_the_offsets_that_are_delivered(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let mut stored = Vec::new();
    for count in 1..8 {
        let batch = (0..count)
            .map(|index| stage.envelope(index * 2 % 3, 50))
            .collect();
        stored.extend(publish(&*transport, batch).await?);
    }
    for partition in 0..3 {
        let of_partition: Vec<_> = stored
            .iter()
            .filter(|stored| stored.acked.partition == Partition(partition))
            .cloned()
            .collect();
        let read = read_all(&*transport, partition, of_partition.len()).await?;
        compare(&read, &of_partition)?;
    }
    Ok(())
}

/// Every field and every byte of the payload, of any size.
pub async fn envelopes_arrive_as_they_were_sent(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let mut batch: Vec<_> = [1, 2, 3, 63, 64, 65, 255, 256, 4095, 60_000]
        .into_iter()
        .map(|payload_bytes| stage.envelope(0, payload_bytes))
        .collect();
    let mut extreme = stage.envelope(0, 256);
    extreme.part = Part {
        index: u16::MAX - 1,
        count: u16::MAX,
    };
    extreme.batch.0 = u128::MAX;
    extreme.records = u32::MAX;
    extreme.received_unix_nano = u64::MAX;
    extreme.payload = (0..=u8::MAX).collect();
    batch.push(extreme);
    let mut least = stage.envelope(0, 1);
    least.batch.0 = 0;
    least.records = 0;
    least.received_unix_nano = 0;
    batch.push(least);

    let stored = publish(&*transport, batch).await?;
    let read = read_all(&*transport, 0, stored.len()).await?;
    compare(&read, &stored)
}

/// Within a call and from call to call, for one who waits for each ack.
pub async fn a_partition_keeps_the_order_of_its_envelopes(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let mut stored = Vec::new();
    for count in [1, 7, 2, 30, 1, 1, 100] {
        stored.extend(publish(&*transport, stage.envelopes(1, count, 20)).await?);
    }
    let ascending = stored
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.acked.offset < b.acked.offset));
    ensure!(ascending, "the offsets of the acks do not ascend");
    let read = read_all(&*transport, 1, stored.len()).await?;
    compare(&read, &stored)
}

/// A reader sees the partitions that it named and no other.
pub async fn partitions_do_not_mix(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let from = vec![(Partition(1), Start::Earliest)];
    let mut waiting = Reader::open(&*transport, from, ReadOptions::default()).await?;
    publish(&*transport, stage.envelopes(0, 5, 10)).await?;
    publish(&*transport, stage.envelopes(2, 5, 10)).await?;
    waiting.expect_silence().await?;
    let stored = publish(&*transport, stage.envelopes(1, 5, 10)).await?;
    compare(&waiting.take(5).await?, &stored)?;
    let replayed = must_end("a replay", read_all(&*transport, 1, 5)).await??;
    compare(&replayed, &stored)
}
