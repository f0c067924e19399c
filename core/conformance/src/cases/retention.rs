//! What leaves a full log, what stays, and what a reader is told who comes too late.

use std::sync::Arc;

use log_tracer_transport::{Offset, Partition, ReadError, ReadOptions, Start, Transport};
use tokio::time::Instant;

use crate::{
    Gap, Seen, Setup, Stage,
    reader::{Item, Reader, compare, error_at},
    seen::{SeenWhile, ensure},
    stage::{PATIENCE, Stored, after, cursor, end_of, group, must_end, publish_one},
};

/// More than a small log keeps.
const TURNOVER: usize = 4;

/// The error names what is there, and what is there is whole.
pub async fn an_evicted_position_is_an_error_and_what_is_kept_can_be_read(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let Some((transport, stored)) = overflowing(stage).await? else {
        return Ok(());
    };
    let Some(wanted) = stored.first().map(|first| first.acked.offset) else {
        return Err(Seen::new("nothing was stored"));
    };
    let first = expect_evicted(error_at(&*transport, 0, wanted).await?, wanted)?;
    if stage.has(Gap::RetentionWaitsForGroups) {
        // It may pass by at any moment, so that the first one that is kept is not known for sure.
        let end = stored.last().map(|last| after(last).next);
        let read = read_what_is_kept(stage, &*transport, end.unwrap_or_default()).await?;
        let newest = stored.len().saturating_sub(read.len());
        return compare(&read, stored.get(newest..).unwrap_or_default());
    }
    let kept = stored.iter().position(|s| s.acked.offset >= first);
    let kept = kept
        .and_then(|index| stored.get(index..))
        .unwrap_or_default();
    for start in [Start::Earliest, Start::At(first)] {
        let mut reader = Reader::of(&*transport, 0, start).await?;
        compare(&reader.take(kept.len()).await?, kept)?;
        reader.expect_silence().await?;
    }
    if !stage.has(Gap::LogStart) {
        let watermarks = transport.watermarks().await.seen_while("watermarks")?;
        ensure!(
            watermarks.first().and_then(|w| w.start) == Some(first),
            "the first offset that is kept is {} according to the error, the watermark says {watermarks:?}",
            first.0
        );
    }
    Ok(())
}

/// A reader that has started and is then left behind is told so, and does not find itself further on.
pub async fn a_reader_that_is_overtaken_sees_evicted(stage: &Stage<'_>) -> Result<(), Seen> {
    let Some(transport) = stage.create_with_policy(Setup::SMALL_DROPPING).await? else {
        return Ok(());
    };
    let from = vec![(Partition(0), Start::Earliest)];
    let options = ReadOptions {
        delivery_envelopes_max: 1,
        ..ReadOptions::default()
    };
    let mut reader = Reader::open(&*transport, from, options).await?;
    let first = publish_one(&*transport, stage.envelope(0, 1 << 10)).await?;
    compare(&reader.take(1).await?, std::slice::from_ref(&first))?;
    overflow(stage, &*transport, Setup::SMALL_DROPPING).await?;

    // What was fetched before it left may still be handed out, in order and without a gap.
    let fetched_at_most = Setup::SMALL_DROPPING.retained_bytes_max >> 10;
    for _ in 0..=fetched_at_most {
        match must_end("a reader", reader.subscription().next()).await? {
            Ok(delivery) => reader.accept(delivery)?,
            Err(error) => {
                return expect_evicted(Some(error), reader.position(0)).map(|_| ());
            }
        };
    }
    Err(Seen::new(
        "the reader goes on although what it stood at has left",
    ))
}

/// It takes everything, keeps the newest, and no more than it may.
pub async fn a_log_that_drops_the_oldest_stays_within_its_bytes(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let setup = Setup::SMALL_DROPPING;
    let Some(transport) = stage.create_with_policy(setup).await? else {
        return Ok(());
    };
    let stored = overflow(stage, &*transport, setup).await?;
    let end = stored.last().map(|last| after(last).next);
    let read = read_what_is_kept(stage, &*transport, end.unwrap_or_default()).await?;
    let newest = stored.len().saturating_sub(read.len());
    compare(&read, stored.get(newest..).unwrap_or_default())?;
    let bytes: usize = read.iter().map(|(_, e)| e.encoded_len()).sum();
    ensure!(
        bytes <= setup.retained_bytes_max && bytes >= setup.retained_bytes_max / 2,
        "{bytes} bytes are kept where at most {} and at least half of it are expected",
        setup.retained_bytes_max
    );
    Ok(())
}

/// Everything from the earliest that is kept up to the end.
async fn read_what_is_kept(
    stage: &Stage<'_>,
    transport: &dyn Transport,
    end: Offset,
) -> Result<Vec<Item>, Seen> {
    let mut reader = Reader::of(transport, 0, Start::Earliest).await?;
    let mut read: Vec<Item> = Vec::new();
    while reader.position(0) < end {
        let next = must_end("a reader", reader.subscription().next()).await?;
        // Retention that works on its own may pass by while this reads.
        if matches!(next, Err(ReadError::Evicted { .. })) && stage.has(Gap::RetentionWaitsForGroups)
        {
            reader = Reader::of(transport, 0, Start::Earliest).await?;
            read.clear();
            continue;
        }
        match reader.accept(next.seen_while("reading")?)? {
            Some(delivery) => read.extend(delivery.items),
            None => return Err(Seen::new("the reader ended before the last envelope")),
        }
    }
    Ok(read)
}

/// Whoever will read has not said so yet: nothing leaves until somebody has committed.
pub async fn a_partition_without_a_group_keeps_everything(stage: &Stage<'_>) -> Result<(), Seen> {
    let Some(transport) = stage.create_with_policy(Setup::SMALL).await? else {
        return Ok(());
    };
    if !stage.commits_make_room(&*transport).await? {
        return Ok(());
    }
    let stored = stage.fill(&*transport, Setup::SMALL).await?;
    let mut reader = Reader::of(&*transport, 0, Start::Earliest).await?;
    compare(&reader.take(stored.len()).await?, &stored)
}

/// Of two groups, the one that is behind decides.
pub async fn retention_waits_for_the_slowest_group(stage: &Stage<'_>) -> Result<(), Seen> {
    let Some(transport) = stage.create_with_policy(Setup::SMALL).await? else {
        return Ok(());
    };
    if !stage.commits_make_room(&*transport).await? {
        return Ok(());
    }
    let (slow, fast) = (group("slow"), group("fast"));
    for waiting in [&slow, &fast] {
        let registered = transport.commit(waiting, &[cursor(0, 0)]).await;
        registered.seen_while("committing the start")?;
    }
    let stored = stage.fill(&*transport, Setup::SMALL).await?;
    let (Some(tenth), Some(last)) = (stored.get(10), stored.last()) else {
        return Err(Seen::new(format!("only {} envelopes fit", stored.len())));
    };
    let done = transport.commit(&fast, &[after(last)]).await;
    done.seen_while("committing the fast group")?;
    let one_more = stage.publish_if_there_is_room(&*transport).await?;
    ensure!(
        one_more.is_none(),
        "there is room in a full log although the slow group has committed nothing"
    );
    let moved = transport
        .commit(&slow, &[cursor(0, tenth.acked.offset.0)])
        .await;
    moved.seen_while("committing the slow group")?;
    for _ in 0..5 {
        publish_one(&*transport, stage.envelope(0, 1 << 10)).await?;
    }
    let mut reader = Reader::of(&*transport, 0, Start::At(tenth.acked.offset)).await?;
    let kept = stored.get(10..).unwrap_or_default();
    let read = reader.take(kept.len() + 5).await?;
    compare(read.get(..kept.len()).unwrap_or_default(), kept)
}

/// A small log whose first envelopes have left, and all that was ever stored in it; `None` where nothing makes them
/// leave.
async fn overflowing(stage: &Stage<'_>) -> Result<Option<(Arc<dyn Transport>, Vec<Stored>)>, Seen> {
    let setup = match stage.has(Gap::DropOldestWhenFull) {
        true => Setup::SMALL,
        false => Setup::SMALL_DROPPING,
    };
    let transport = stage.create(setup).await?;
    if setup == Setup::SMALL && !stage.commits_make_room(&*transport).await? {
        return Ok(None);
    }
    let stored = overflow(stage, &*transport, setup).await?;
    Ok(Some((transport, stored)))
}

/// Publishes several times what the log keeps, committing it where only that makes room.
async fn overflow(
    stage: &Stage<'_>,
    transport: &dyn Transport,
    setup: Setup,
) -> Result<Vec<Stored>, Seen> {
    let reader = group("reader");
    let mut stored = Vec::new();
    for _ in 0..TURNOVER * (setup.retained_bytes_max >> 10) {
        let last = publish_one(transport, stage.envelope(0, 1 << 10)).await?;
        if setup == Setup::SMALL {
            let committed = transport.commit(&reader, &[after(&last)]).await;
            committed.seen_while("committing")?;
        }
        stored.push(last);
    }
    // Where retention works on its own, it has some time.
    let deadline = Instant::now() + PATIENCE;
    while stage.has(Gap::RetentionWaitsForGroups) && Instant::now() < deadline {
        let wanted = stored.first().map(|first| first.acked.offset);
        if error_at(transport, 0, wanted.unwrap_or_default())
            .await?
            .is_some()
        {
            break;
        }
        stage.settle().await;
    }
    let end = end_of(transport, 0).await?;
    let last = stored.last().map(|last| after(last).next);
    ensure!(
        stage.has(Gap::ExactWatermarks) || Some(end) == last,
        "the partition ends at {}, the last ack says {last:?}",
        end.0
    );
    Ok(stored)
}

/// The first offset that is kept, out of an error that must be `Evicted` at this offset.
fn expect_evicted(error: Option<ReadError>, at: Offset) -> Result<Offset, Seen> {
    match error {
        Some(ReadError::Evicted {
            partition: Partition(0),
            wanted,
            first,
        }) if wanted == at && first > at => Ok(first),
        other => Err(Seen::new(format!(
            "reading offset {}, which has left: expected evicted, saw {other:?}",
            at.0
        ))),
    }
}
