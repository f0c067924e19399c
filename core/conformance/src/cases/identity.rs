//! What a log is, what it says of itself, and whether it is the same when it is opened again.

use std::collections::BTreeSet;

use log_tracer_transport::{
    Atomicity, CommitError, Dedupe, Offset, Partition, Start, Transport, Watermark,
};
use tokio::time::Instant;

use crate::{
    Gap, Seen, Setup, Stage,
    reader::{Reader, compare},
    seen::{SeenWhile, ensure},
    stage::{PATIENCE, after, cursor, group, must_end, publish},
};

/// Partitions, limit and policy are those of the setup.
pub async fn a_log_is_what_was_asked_for(stage: &Stage<'_>) -> Result<(), Seen> {
    for setup in [Setup::ROOMY, Setup::SMALL, Setup::SMALL_DROPPING] {
        let Some(transport) = stage.create_with_policy(setup).await? else {
            continue;
        };
        let capabilities = transport.capabilities();
        ensure!(
            transport.partitions() == setup.partitions
                && capabilities.envelope_bytes_max == setup.envelope_bytes_max
                && capabilities.when_full == setup.when_full,
            "asked for {setup:?}, got {} partitions and {capabilities:?}",
            transport.partitions()
        );
    }
    Ok(())
}

/// So that nobody takes a position of one for a position of the other.
pub async fn a_new_log_has_another_id(stage: &Stage<'_>) -> Result<(), Seen> {
    let first = stage.create(Setup::ROOMY).await?;
    let second = stage.create(Setup::ROOMY).await?;
    ensure!(
        first.log_id() != second.log_id(),
        "two logs have the id {}",
        first.log_id()
    );
    ensure!(
        first.log_id() == first.log_id(),
        "the id of a log changes while it is open"
    );
    Ok(())
}

/// Every weakness is declared with a reason, and no strength is.
pub async fn gaps_are_what_the_capabilities_say(stage: &Stage<'_>) -> Result<(), Seen> {
    let gaps = stage.harness().gaps();
    let declared: BTreeSet<Gap> = gaps.iter().map(|known| known.gap).collect();
    ensure!(
        declared.len() == gaps.len() && gaps.iter().all(|known| !known.reason.is_empty()),
        "each gap is declared once and with a reason: {gaps:?}"
    );
    let transport = stage.create(Setup::ROOMY).await?;
    let capabilities = transport.capabilities().clone();
    let watermark = watermarks(&*transport).await?.into_iter().next();
    let watermark = watermark.ok_or_else(|| Seen::new("no watermark"))?;
    let committed = transport.committed(&group("reader")).await;
    let weaknesses = [
        (
            Gap::GroupCursors,
            matches!(committed, Err(CommitError::Unsupported)),
        ),
        (Gap::Dedupe, capabilities.dedupe == Dedupe::None),
        (Gap::ContiguousOffsets, !capabilities.contiguous_offsets),
        (Gap::LogStart, watermark.start.is_none()),
        (Gap::ExactWatermarks, !watermark.exact),
        (
            Gap::AtomicCalls,
            capabilities.publish_atomicity == Atomicity::PerEnvelope,
        ),
        (
            Gap::RetentionWaitsForGroups,
            !capabilities.retention_waits_for_groups,
        ),
        (Gap::Reopening, !capabilities.survives_process_crash),
    ];
    for (gap, seen) in weaknesses {
        ensure!(
            seen == declared.contains(&gap),
            "{gap:?}: declared as a gap {}, seen {seen}",
            declared.contains(&gap)
        );
    }
    Ok(())
}

/// In the order of the partitions, from nothing to what was stored.
pub async fn watermarks_are_right_when_nothing_moves(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let exact = !stage.has(Gap::ExactWatermarks);
    let empty = watermarks(&*transport).await?;
    let partitions: Vec<u16> = empty.iter().map(|w| w.partition.0).collect();
    ensure!(
        partitions
            .iter()
            .copied()
            .eq(0..transport.partitions().get()),
        "watermarks of the partitions {partitions:?}"
    );
    for watermark in &empty {
        ensure!(
            watermark.start.is_none_or(|start| start == watermark.end)
                && watermark.bytes.is_none_or(|bytes| bytes == 0),
            "of an empty partition: {watermark:?}"
        );
    }

    let stored = publish(&*transport, stage.envelopes(1, 4, 100)).await?;
    let bytes: usize = stored.iter().map(|s| s.envelope.encoded_len()).sum();
    let first = stored.first().map(|first| first.acked.offset);
    let end = stored.last().map(|last| after(last).next);
    for (watermark, before) in watermarks(&*transport).await?.iter().zip(&empty) {
        ensure!(
            watermark.exact == exact,
            "a watermark that is exact or not against what is declared: {watermark:?}"
        );
        if !exact {
            continue;
        }
        if watermark.partition != Partition(1) {
            ensure!(
                watermark == before,
                "nothing was stored, and {before:?} is {watermark:?}"
            );
            continue;
        }
        ensure!(
            Some(watermark.end) == end
                && (watermark.start.is_none() || watermark.start == first)
                && watermark.bytes.is_none_or(|kept| kept == bytes as u64),
            "{bytes} bytes are stored from {first:?} to {end:?}, the watermark says {watermark:?}"
        );
    }
    Ok(())
}

/// The same log: its id, its envelopes, its cursors, and offsets that go on.
pub async fn reopening_finds_what_was_acked_and_committed(stage: &Stage<'_>) -> Result<(), Seen> {
    let setup = Setup::ROOMY;
    let transport = stage.create(setup).await?;
    let mut stored = publish(&*transport, stage.envelopes(0, 20, 500)).await?;
    let reader_group = group("reader");
    let cursors = stage.group_cursors(&*transport).await?;
    if cursors {
        let committed = transport.commit(&reader_group, &[cursor(0, 7)]).await;
        committed.seen_while("committing")?;
    }
    let log_id = transport.log_id();
    let closed = transport.close(Instant::now() + PATIENCE);
    must_end("close", closed).await?.seen_while("closing")?;
    let survives = transport.capabilities().survives_process_crash;
    drop(transport);

    let Some(transport) = stage.reopen(setup).await? else {
        ensure!(
            stage.has(Gap::Reopening) && !survives,
            "the log cannot be opened again, which is to be declared as a gap"
        );
        return Ok(());
    };
    ensure!(
        !stage.has(Gap::Reopening),
        "the log can be opened again, and that is declared as a gap"
    );
    ensure!(
        transport.log_id() == log_id,
        "the log {log_id} is {} when it is opened again",
        transport.log_id()
    );
    if cursors {
        let committed = transport.committed(&reader_group).await;
        let committed = committed.seen_while("reading a group's cursors")?;
        ensure!(
            committed == [cursor(0, 7)],
            "cursor 7 was committed, after opening again it is {committed:?}"
        );
    }
    stored.extend(publish(&*transport, stage.envelopes(0, 5, 500)).await?);
    let from = stored.first().map(|first| first.acked.offset);
    let mut reader = Reader::of(&*transport, 0, Start::At(from.unwrap_or(Offset(0)))).await?;
    compare(&reader.take(stored.len()).await?, &stored)?;
    reader.expect_silence().await
}

async fn watermarks(transport: &dyn Transport) -> Result<Vec<Watermark>, Seen> {
    transport
        .watermarks()
        .await
        .seen_while("reading watermarks")
}
