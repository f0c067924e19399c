//! The end of a transport: everybody who waits is answered, nobody new gets in, and nothing is left behind.

use std::sync::Arc;

use log_tracer_transport::{
    CommitError, FullPolicy, Health, Partition, PublishError, ReadError, ReadOptions, Start,
    Transport,
};
use tokio::{runtime::Handle, spawn, time::Instant};

use crate::{
    Seen, Setup, Stage,
    reader::Reader,
    seen::{SeenWhile, ensure},
    stage::{PATIENCE, cursor, group, must_end, publish},
};

/// With `None`, also a reader that has not yet read what is there.
pub async fn close_ends_every_waiting_reader(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    publish(&*transport, stage.envelopes(0, 3, 10)).await?;
    let mut waiting = Vec::new();
    for partition in [0, 0, 1, 2] {
        let mut reader = Reader::of(&*transport, partition, Start::Earliest).await?;
        if partition == 0 {
            reader.take(3).await?;
        }
        waiting.push(spawn(async move {
            let ended = reader.expect_end().await;
            (reader, ended)
        }));
    }
    let mut unread = Reader::of(&*transport, 0, Start::Earliest).await?;
    stage.settle().await;
    close(&*transport).await?;
    for reader in waiting {
        let ended = must_end("a reader of a closed transport", reader).await?;
        let (mut reader, ended) = ended.seen_while("the reader's task")?;
        ended?;
        reader.expect_end().await.seen_while("asked once more")?;
    }
    unread.expect_end().await
}

/// Those who wait for room are told that there is no use in it.
pub async fn close_answers_every_waiting_publish(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::SMALL).await?;
    if transport.capabilities().when_full == FullPolicy::Reject {
        stage.fill(&*transport, Setup::SMALL).await?;
    }
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let (transport, batch) = (Arc::clone(&transport), stage.envelopes(0, 2, 1 << 10));
            // Longer than the case waits: only closing can answer them.
            spawn(async move {
                transport
                    .publish(batch, Instant::now() + PATIENCE * 4)
                    .await
            })
        })
        .collect();
    stage.settle().await;
    close(&*transport).await?;
    for publish in waiting {
        let answer = must_end("a publish to a closed transport", publish).await?;
        let answer = answer.seen_while("the task of the publish")?;
        ensure!(
            matches!(
                answer,
                Ok(_)
                    | Err(PublishError::Draining | PublishError::Busy | PublishError::Full(_))
                    | Err(PublishError::OutcomeUnknown(_))
            ),
            "a publish that waits while the transport is closed: {answer:?}"
        );
    }
    Ok(())
}

/// With the error that says why, and without waiting.
pub async fn after_close_everything_is_refused(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let (log_id, partitions) = (transport.log_id(), transport.partitions());
    publish(&*transport, stage.envelopes(0, 3, 10)).await?;
    close(&*transport).await?;

    let publish = transport.publish(stage.envelopes(0, 1, 10), Instant::now() + PATIENCE);
    let published = must_end("a publish after close", publish).await?;
    ensure!(
        matches!(published, Err(PublishError::Draining)),
        "a publish after close is to be draining, saw {published:?}"
    );
    let from = vec![(Partition(0), Start::Earliest)];
    let subscribe = transport.subscribe(from, ReadOptions::default());
    let subscribed = must_end("a subscription after close", subscribe).await?;
    let error = subscribed.err();
    ensure!(
        matches!(error, Some(ReadError::Closed)),
        "a subscription after close is to be closed, saw {error:?}"
    );
    let watermarks = must_end("watermarks after close", transport.watermarks()).await?;
    ensure!(
        matches!(watermarks, Err(ReadError::Closed)),
        "watermarks after close are to be closed, saw {watermarks:?}"
    );
    let group = group("reader");
    let cursors = [cursor(0, 1)];
    let committed = must_end("a commit after close", transport.commit(&group, &cursors)).await?;
    ensure!(
        matches!(
            committed,
            Err(CommitError::Closed | CommitError::Unsupported)
        ),
        "a commit after close is to be closed, saw {committed:?}"
    );
    let committed = must_end("cursors after close", transport.committed(&group)).await?;
    ensure!(
        matches!(
            committed,
            Err(CommitError::Closed | CommitError::Unsupported)
        ),
        "a group's cursors after close are to be closed, saw {committed:?}"
    );
    let health = transport.health();
    ensure!(
        matches!(health, Health::Failed(_)),
        "after close it is {health:?}"
    );
    ensure!(
        transport.log_id() == log_id && transport.partitions() == partitions,
        "closing changed what the log is"
    );
    Ok(())
}

/// Twice in a row, and by several at once.
pub async fn close_can_be_called_again_and_at_the_same_time(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    publish(&*transport, stage.envelopes(0, 3, 10)).await?;
    let closing: Vec<_> = (0..4)
        .map(|_| {
            let transport = Arc::clone(&transport);
            spawn(async move { close(&*transport).await })
        })
        .collect();
    for closed in closing {
        let closed = must_end("one of several closes", closed).await?;
        closed.seen_while("the closing task")??;
    }
    close(&*transport).await.seen_while("once more")
}

/// Every task that it started has ended when close returns.
pub async fn close_leaves_no_task_behind(stage: &Stage<'_>) -> Result<(), Seen> {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let transport = stage.create(Setup::ROOMY).await?;
    let mut reader = Reader::of(&*transport, 0, Start::Earliest).await?;
    publish(&*transport, stage.envelopes(0, 3, 10)).await?;
    reader.take(3).await?;
    close(&*transport).await?;
    let after = tasks();
    ensure!(
        after <= before,
        "{} tasks are left after close",
        after - before
    );
    reader.expect_end().await
}

/// Forgetting to close must not leave a reader waiting for what cannot come.
pub async fn a_dropped_transport_ends_its_readers(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    publish(&*transport, stage.envelopes(0, 3, 10)).await?;
    let mut reader = Reader::of(&*transport, 0, Start::Earliest).await?;
    reader.take(3).await?;
    let waiting = spawn(async move {
        loop {
            match reader.subscription().next().await {
                Ok(Some(_)) => {}
                Ok(None) | Err(ReadError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
    stage.settle().await;
    drop(transport);
    let ended = must_end("a reader of a dropped transport", waiting).await?;
    ended
        .seen_while("the reader's task")?
        .seen_while("reading from a dropped transport")
}

async fn close(transport: &dyn Transport) -> Result<(), Seen> {
    let deadline = Instant::now() + PATIENCE;
    must_end("close", transport.close(deadline))
        .await?
        .seen_while("closing")
}
