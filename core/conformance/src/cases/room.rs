//! What happens when there is no more room, to those who publish and to those who read slowly.

use std::{sync::Arc, time::Duration};

use log_tracer_transport::{Envelope, Health, PublishError, Start, Transport};
use tokio::{
    spawn,
    time::{Instant, sleep},
};

use crate::{
    Gap, Seen, Setup, Stage,
    reader::{Reader, compare, read_all},
    seen::{SeenWhile, ensure},
    stage::{IMPATIENCE, Stored, after, cursor, group, must_end, publish_one},
};

/// Bounded, nothing dropped, and the caller hears of it when it said and not sooner.
pub async fn a_full_log_refuses_at_the_deadline_and_keeps_what_it_has(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let Some(transport) = stage.create_with_policy(Setup::SMALL).await? else {
        return Ok(());
    };
    let stored = stage.fill(&*transport, Setup::SMALL).await?;
    for _ in 0..3 {
        let start = Instant::now();
        let envelope = stage.envelope(0, 1 << 10);
        let publish = transport.publish(vec![envelope], start + IMPATIENCE);
        let refused = must_end("a publish whose deadline has passed", publish).await?;
        let waited = start.elapsed();
        match refused {
            // Waiting cannot help, as far as it can tell.
            Err(PublishError::Full(_)) => {}
            Err(PublishError::Busy) => ensure!(
                waited >= IMPATIENCE,
                "busy after {waited:?}, the deadline was {IMPATIENCE:?} away"
            ),
            other => {
                return Err(Seen::new(format!(
                    "a publish to a full log is to be busy or full, saw {other:?}"
                )));
            }
        }
    }
    compare(&read_all(&*transport, 0, stored.len()).await?, &stored)?;
    if !stage.has(Gap::LogStart) {
        let watermarks = transport.watermarks().await.seen_while("watermarks")?;
        let bytes = watermarks.first().and_then(|watermark| watermark.bytes);
        ensure!(
            bytes.is_none_or(|bytes| bytes <= Setup::SMALL.retained_bytes_max as u64),
            "{bytes:?} bytes are kept where {} are allowed",
            Setup::SMALL.retained_bytes_max
        );
    }
    Ok(())
}

/// It waits while there is none, and needs no second call.
pub async fn a_waiting_publish_goes_on_once_there_is_room(stage: &Stage<'_>) -> Result<(), Seen> {
    let Some(transport) = stage.create_with_policy(Setup::SMALL).await? else {
        return Ok(());
    };
    if !stage.commits_make_room(&*transport).await? {
        return Ok(());
    }
    let mut stored = stage.fill(&*transport, Setup::SMALL).await?;
    let waiting = spawn({
        let (transport, envelope) = (Arc::clone(&transport), stage.envelope(0, 1 << 10));
        async move { publish_one(&*transport, envelope).await }
    });
    sleep(IMPATIENCE).await;
    ensure!(
        !waiting.is_finished(),
        "a publish to a full log does not wait until its deadline: {:?}",
        waiting.await
    );
    let half = stored.len() / 2;
    if let Some(done) = stored.get(half) {
        let committed = transport.commit(&group("reader"), &[after(done)]).await;
        committed.seen_while("committing half of it")?;
    }
    let late = must_end("a publish for which there is room", waiting).await?;
    stored.push(late.seen_while("the task of the publish")??);

    let rest = stored.split_off(half + 1);
    let from = rest.first().map(|first| first.acked.offset);
    let mut reader = Reader::of(&*transport, 0, Start::At(from.unwrap_or_default())).await?;
    compare(&reader.take(rest.len()).await?, &rest)?;
    reader.expect_silence().await
}

/// Much more goes through the log than it keeps, at the pace of the reader.
pub async fn a_slow_reader_loses_nothing(stage: &Stage<'_>) -> Result<(), Seen> {
    const COUNT: usize = 300;
    let Some(transport) = stage.create_with_policy(Setup::SMALL).await? else {
        return Ok(());
    };
    if !stage.commits_make_room(&*transport).await? {
        return Ok(());
    }
    let reader_group = group("slow");
    let registered = transport.commit(&reader_group, &[cursor(0, 0)]).await;
    registered.seen_while("committing the start")?;
    let publisher = spawn({
        let (transport, envelopes) = (Arc::clone(&transport), stage.envelopes(0, COUNT, 1 << 10));
        async move { publish_patiently(&*transport, envelopes).await }
    });
    let mut reader = Reader::of(&*transport, 0, Start::Earliest).await?;
    let mut read = Vec::new();
    while read.len() < COUNT {
        let Some(delivery) = reader.delivery().await? else {
            return Err(Seen::new("the reader ended"));
        };
        sleep(Duration::from_millis(5)).await;
        read.extend(delivery.items);
        let upto = cursor(0, delivery.next.0);
        let committed = transport.commit(&reader_group, &[upto]).await;
        committed.seen_while("committing")?;
    }
    let published = must_end("the publisher", publisher).await?;
    compare(&read, &published.seen_while("the publisher's task")??)
}

/// Ready, then not, then ready again.
pub async fn health_says_when_there_is_no_room(stage: &Stage<'_>) -> Result<(), Seen> {
    let Some(transport) = stage.create_with_policy(Setup::SMALL).await? else {
        return Ok(());
    };
    let expect_ready = |when: &str| {
        let health = transport.health();
        ensure!(health == Health::Ready, "{when} it is {health:?}");
        Ok(())
    };
    expect_ready("newly created")?;
    let stored = stage.fill(&*transport, Setup::SMALL).await?;
    let health = transport.health();
    ensure!(
        matches!(health, Health::Full | Health::Degraded(_)),
        "with no more room it is {health:?}"
    );
    if !stage.commits_make_room(&*transport).await? {
        return Ok(());
    }
    if let Some(last) = stored.last() {
        let committed = transport.commit(&group("reader"), &[after(last)]).await;
        committed.seen_while("committing everything")?;
    }
    publish_one(&*transport, stage.envelope(0, 1 << 10)).await?;
    expect_ready("with room again")
}

/// Where it is known: no less than the envelopes, and no more than it may be.
pub async fn usage_counts_what_is_kept_and_stays_within_its_limit(
    stage: &Stage<'_>,
) -> Result<(), Seen> {
    let Some(transport) = stage.create_with_policy(Setup::SMALL).await? else {
        return Ok(());
    };
    let stored = stage.fill(&*transport, Setup::SMALL).await?;
    let kept: usize = stored.iter().map(|s| s.envelope.encoded_len()).sum();
    let usage = transport.usage();
    ensure!(
        usage.bytes.is_none_or(|bytes| bytes >= kept as u64),
        "{kept} bytes of envelopes are kept, and the usage is {usage:?}"
    );
    if let (Some(bytes), Some(max)) = (usage.bytes, usage.bytes_max) {
        ensure!(
            bytes <= max && max <= Setup::SMALL.retained_bytes_max as u64,
            "{} bytes were allowed, and the usage is {usage:?}",
            Setup::SMALL.retained_bytes_max
        );
    }
    ensure!(
        usage.dropped_envelopes.unwrap_or_default() == 0,
        "nothing may have been dropped, and the usage is {usage:?}"
    );
    Ok(())
}

/// One by one, each with as much time as a case has.
async fn publish_patiently(
    transport: &dyn Transport,
    envelopes: Vec<Envelope>,
) -> Result<Vec<Stored>, Seen> {
    let mut stored = Vec::new();
    for envelope in envelopes {
        stored.push(publish_one(transport, envelope).await?);
    }
    Ok(stored)
}
