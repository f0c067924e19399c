//! Futures that are dropped half-way, as timeouts and closed connections do.

use std::{future::Future, pin::pin, task::Poll};

use futures_util::poll;
use log_tracer_transport::{
    Atomicity, Dedupe, Delivery, Envelope, FullPolicy, Offset, Partition, ReadError, ReadOptions,
    Start, Transport,
};
use tokio::time::Instant;

use crate::{
    Gap, Seen, Setup, Stage,
    reader::{Item, Reader, compare},
    seen::{SeenWhile, ensure},
    stage::{PATIENCE, after, end_of, group, publish, publish_one},
};

/// A future is polled so often before it is dropped; more than any of ours waits.
const POLLS_MAX: usize = 6;

/// What a dropped publish leaves is whole, a retry with the same batch ids completes it, and the log goes on.
pub async fn a_publish_can_be_dropped_wherever_it_waits(stage: &Stage<'_>) -> Result<(), Seen> {
    for polls in 0..POLLS_MAX {
        for room_at in 0..=polls {
            drop_publish(stage, polls, room_at)
                .await
                .seen_while(format_args!(
                    "dropped after {polls} polls, with room from poll {room_at} on"
                ))?;
        }
    }
    Ok(())
}

/// Those behind it in a queue go on.
pub async fn a_publish_that_was_dropped_does_not_hold_up_the_next(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let Some(transport) = stage.create_with_policy(Setup::SMALL).await? else {
        return Ok(());
    };
    if !stage.commits_make_room(&*transport).await? {
        return Ok(());
    }
    let stored = stage.fill(&*transport, Setup::SMALL).await?;
    let deadline = Instant::now() + PATIENCE;
    for dropped in 0..3 {
        let batch = stage.envelopes(0, 1, 1 << 10);
        let acked = poll_then_drop(stage, transport.publish(batch, deadline), 1 + dropped).await;
        ensure!(acked.is_none(), "a full log answers a publish: {acked:?}");
    }
    if let Some(last) = stored.last() {
        let committed = transport.commit(&group("reader"), &[after(last)]).await;
        committed.seen_while("making room")?;
    }
    let next = publish_one(&*transport, stage.envelope(0, 1 << 10)).await?;
    let mut reader = Reader::of(&*transport, 0, Start::At(next.acked.offset)).await?;
    compare(&reader.take(1).await?, &[next])
}

/// Nothing is lost and nothing comes twice, whenever something arrives and whenever the future is dropped.
pub async fn a_next_can_be_dropped_wherever_it_waits(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    let from = vec![(Partition(0), Start::Earliest)];
    let options = ReadOptions {
        delivery_envelopes_max: 2,
        ..ReadOptions::default()
    };
    let mut reader = Reader::open(&*transport, from, options).await?;
    let (mut stored, mut read) = (Vec::new(), Vec::new());
    for polls in 0..POLLS_MAX {
        for arrives_at in 0..=polls {
            let before = poll_then_drop(stage, reader.subscription().next(), arrives_at).await;
            take_what_came(&mut reader, before, &mut read)?;
            stored.extend(publish(&*transport, stage.envelopes(0, 3, 10)).await?);
            let rest = polls - arrives_at;
            let later = poll_then_drop(stage, reader.subscription().next(), rest).await;
            take_what_came(&mut reader, later, &mut read)?;
        }
    }
    // One whole life of a future: it waits, something arrives, it is dropped before it can say so.
    for polls in 1..POLLS_MAX {
        read.extend(reader.take(stored.len() - read.len()).await?);
        let came = {
            let mut next = pin!(reader.subscription().next());
            ensure!(
                poll!(&mut next).is_pending(),
                "a reader at the end does not wait"
            );
            stored.extend(publish(&*transport, stage.envelopes(0, 1, 10)).await?);
            poll_then_drop(stage, next, polls - 1).await
        };
        take_what_came(&mut reader, came, &mut read)?;
    }
    read.extend(reader.take(stored.len() - read.len()).await?);
    compare(&read, &stored)?;
    reader.expect_silence().await
}

fn take_what_came(
    reader: &mut Reader,
    came: Option<Result<Option<Delivery>, ReadError>>,
    read: &mut Vec<Item>,
) -> Result<(), Seen> {
    if let Some(next) = came {
        match reader.accept(next.seen_while("reading")?)? {
            Some(delivery) => read.extend(delivery.items),
            None => return Err(Seen::new("the reader ended")),
        }
    }
    Ok(())
}

/// Fills a log, drops a publish of two envelopes, and looks at what is left.
async fn drop_publish(stage: &Stage<'_>, polls: usize, room_at: usize) -> Result<(), Seen> {
    let transport = stage.create(Setup::SMALL).await?;
    let waits = transport.capabilities().when_full == FullPolicy::Reject
        && stage.commits_make_room(&*transport).await?;
    let before = match waits {
        true => stage.fill(&*transport, Setup::SMALL).await?,
        false => vec![publish_one(&*transport, stage.envelope(0, 100)).await?],
    };
    let Some(last) = before.last() else {
        return Err(Seen::new("nothing fits"));
    };

    let batch = stage.envelopes(0, 2, 1 << 10);
    {
        let deadline = Instant::now() + PATIENCE;
        let mut publish = pin!(transport.publish(batch.clone(), deadline));
        let early = poll_then_drop(stage, publish.as_mut(), room_at).await;
        if waits {
            let committed = transport.commit(&group("reader"), &[after(last)]).await;
            committed.seen_while("making room")?;
        }
        if early.is_none() {
            poll_then_drop(stage, publish, polls - room_at).await;
        }
    }
    stage.settle().await;

    let start = after(last).next;
    let left = read_up_to_now(stage, &*transport, start).await?;
    let whole = left.is_empty() || left == batch;
    let atomic = transport.capabilities().publish_atomicity == Atomicity::PerCall;
    ensure!(
        whole || !atomic,
        "{} of 2 envelopes are stored where calls are claimed to be atomic",
        left.len()
    );
    let retried = publish(&*transport, batch.clone()).await?;
    let next = publish_one(&*transport, stage.envelope(0, 100)).await?;
    let read = read_up_to_now(stage, &*transport, start).await?;
    expect_each(&read, &batch, transport.capabilities().dedupe)?;
    ensure!(
        read.last() == Some(&next.envelope) && retried.len() == 2,
        "what is published after a dropped publish does not come after it"
    );
    Ok(())
}

/// Every envelope of the batch at least once, in order, and once only where repeats are recognised.
fn expect_each(read: &[Envelope], batch: &[Envelope], dedupe: Dedupe) -> Result<(), Seen> {
    let mut first_at = Vec::new();
    for envelope in batch {
        let places: Vec<usize> = (0..)
            .zip(read)
            .filter_map(|(place, other)| (other == envelope).then_some(place))
            .collect();
        ensure!(
            !places.is_empty() && (places.len() == 1 || dedupe == Dedupe::None),
            "an envelope that was dropped and retried is stored {} times",
            places.len()
        );
        first_at.extend(places.first().copied());
    }
    ensure!(first_at.is_sorted(), "a dropped publish changed the order");
    Ok(())
}

/// What is there from an offset on, and no waiting for more.
async fn read_up_to_now(
    stage: &Stage<'_>,
    transport: &dyn Transport,
    start: Offset,
) -> Result<Vec<Envelope>, Seen> {
    let mut reader = Reader::of(transport, 0, Start::At(start)).await?;
    let mut read = Vec::new();
    // What a broker has takes its time to arrive, so where the end is known, it is waited for.
    if !stage.has(Gap::ExactWatermarks) {
        let end = end_of(transport, 0).await?;
        while reader.position(0) < end {
            let Some(delivery) = reader.delivery().await? else {
                return Err(Seen::new("the reader ended"));
            };
            read.extend(delivery.items.into_iter().map(|(_, envelope)| envelope));
        }
        return Ok(read);
    }
    loop {
        let next = poll_then_drop(stage, reader.subscription().next(), POLLS_MAX * 4).await;
        let Some(next) = next else {
            return Ok(read);
        };
        let Some(delivery) = reader.accept(next.seen_while("reading")?)? else {
            return Err(Seen::new("the reader ended"));
        };
        read.extend(delivery.items.into_iter().map(|(_, envelope)| envelope));
    }
}

/// Polls a future so often, lets everything else go on after each poll, and drops it; or gives what it came to.
async fn poll_then_drop<F: Future>(
    stage: &Stage<'_>,
    future: F,
    polls: usize,
) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll!(&mut future) {
            return Some(output);
        }
        stage.settle().await;
    }
    None
}
