//! Where a reader starts, how it waits, and what it is told when it stands where nothing is.

use std::collections::BTreeMap;

use log_tracer_transport::{Offset, Partition, ReadError, ReadOptions, Start};
use tokio::spawn;

use crate::{
    Seen, Setup, Stage,
    reader::{Reader, compare, error_at, read_all},
    seen::{SeenWhile, ensure},
    stage::{after, must_end, publish, publish_one},
};

/// From everywhere, and then on with what comes.
pub async fn a_replay_starts_at_the_earliest_in_the_middle_or_at_the_end(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let stored = publish(&*transport, stage.envelopes(0, 10, 30)).await?;
    compare(&read_all(&*transport, 0, 10).await?, &stored)?;

    let mut starts: Vec<Offset> = stored.iter().map(|stored| stored.acked.offset).collect();
    starts.extend(stored.last().map(|last| after(last).next));
    let mut readers = Vec::new();
    for (index, start) in starts.into_iter().enumerate() {
        let rest = stored.get(index..).unwrap_or_default();
        let mut reader = Reader::of(&*transport, 0, Start::At(start)).await?;
        let read = reader.take(rest.len()).await;
        compare(
            &read.seen_while(format_args!("from envelope {index}"))?,
            rest,
        )?;
        readers.push(reader);
    }
    let more = publish(&*transport, stage.envelopes(0, 3, 30)).await?;
    for reader in &mut readers {
        compare(&reader.take(3).await?, &more)?;
        reader.expect_silence().await?;
    }
    Ok(())
}

/// A reader at the end waits, and does not have to be asked again.
pub async fn a_waiting_reader_wakes_when_an_envelope_arrives(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let mut reader = Reader::of(&*transport, 0, Start::Earliest).await?;
    for _ in 0..5 {
        let waiting = spawn(async move {
            let read = reader.take(1).await;
            (reader, read)
        });
        stage.settle().await;
        ensure!(!waiting.is_finished(), "a reader at the end does not wait");
        let stored = publish_one(&*transport, stage.envelope(0, 10)).await?;
        let woken = must_end("a reader of what has arrived", waiting).await?;
        let (same, read) = woken.seen_while("the reader's task")?;
        compare(&read?, &[stored])?;
        reader = same;
    }
    Ok(())
}

/// Each has a position of its own, also on the same partition.
pub async fn readers_do_not_know_of_each_other(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let stored = publish(&*transport, stage.envelopes(0, 6, 10)).await?;
    let options = ReadOptions {
        delivery_envelopes_max: 2,
        ..ReadOptions::default()
    };
    let from = || vec![(Partition(0), Start::Earliest)];
    let mut first = Reader::open(&*transport, from(), options).await?;
    let mut second = Reader::open(&*transport, from(), options).await?;
    let mut read = first.take(4).await?;
    compare(&second.take(6).await?, &stored)?;
    drop(second);
    read.extend(first.take(2).await?);
    compare(&read, &stored)
}

/// A partition that always has more does not keep the others waiting.
pub async fn a_reader_of_several_partitions_gives_each_its_turn(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    const BUSY: usize = 100;
    let transport = stage.create(Setup::ROOMY).await?;
    let busy = publish(&*transport, stage.envelopes(0, BUSY, 10)).await?;
    let mut quiet = publish(&*transport, stage.envelopes(1, 1, 10)).await?;
    quiet.extend(publish(&*transport, stage.envelopes(2, 1, 10)).await?);

    let options = ReadOptions {
        delivery_envelopes_max: 1,
        ..ReadOptions::default()
    };
    let from = (0..3).map(|number| (Partition(number), Start::Earliest));
    let mut reader = Reader::open(&*transport, from.collect(), options).await?;
    let mut read: BTreeMap<Partition, Vec<_>> = BTreeMap::new();
    for turn in 0..BUSY + 2 {
        let Some(delivery) = reader.delivery().await? else {
            return Err(Seen::new("the reader ended"));
        };
        read.entry(delivery.partition)
            .or_default()
            .extend(delivery.items);
        ensure!(
            turn < BUSY / 2 || read.len() == 3,
            "after {turn} deliveries only {:?} had a turn",
            read.keys()
        );
    }
    reader.expect_silence().await?;
    let mut of = |number| read.remove(&Partition(number)).unwrap_or_default();
    compare(&of(0), &busy)?;
    let mut others = of(1);
    others.extend(of(2));
    compare(&others, &quiet)
}

/// A log that has less than the reader knows of has lost data, or is another log.
pub async fn a_position_beyond_the_end_is_ahead(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let last = publish_one(&*transport, stage.envelope(0, 10)).await?;
    let contiguous = transport.capabilities().contiguous_offsets;
    let beyond = after(&last).next;
    for distance in [1, 1_000_000] {
        // Where offsets jump, nobody knows which one comes next, but it is not that far.
        if distance == 1 && !contiguous {
            continue;
        }
        let start = Offset(beyond.0 + distance);
        let error = error_at(&*transport, 0, start).await?;
        ensure!(
            matches!(error, Some(ReadError::Ahead { partition: Partition(0), wanted, end })
                if wanted == start && end >= beyond && (end == beyond || !contiguous)),
            "reading from {} of a partition whose last offset is {}: expected ahead, saw {error:?}",
            start.0,
            last.acked.offset.0
        );
    }
    Ok(())
}

/// No partition, one that does not exist, one named twice, and deliveries of nothing.
pub async fn an_impossible_subscription_is_refused(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let earliest = |number| (Partition(number), Start::Earliest);
    let nothing = ReadOptions {
        delivery_envelopes_max: 0,
        ..ReadOptions::default()
    };
    let usual = ReadOptions::default();
    for (what, from, options) in [
        ("no partition", vec![], usual),
        ("partition 3 of 3", vec![earliest(0), earliest(3)], usual),
        ("a partition twice", vec![earliest(0), earliest(0)], usual),
        ("deliveries of nothing", vec![earliest(0)], nothing),
    ] {
        let subscribed = must_end("a subscription", transport.subscribe(from, options)).await?;
        let error = subscribed.err();
        ensure!(
            matches!(error, Some(ReadError::Invalid(_))),
            "{what} is to be refused as invalid, saw {error:?}"
        );
    }
    Ok(())
}
