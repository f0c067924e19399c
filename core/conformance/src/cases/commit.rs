//! The cursors of groups: who moves them, and who does not.

use log_tracer_transport::{CommitError, Cursor, Group, Partition, ReadOptions, Start, Transport};

use crate::{
    Seen, Setup, Stage,
    reader::{Reader, compare, read_all},
    seen::{SeenWhile, ensure},
    stage::{after, cursor, end_of, group, publish},
};

/// Each has its own cursors, and one that never committed has none.
pub async fn groups_do_not_know_of_each_other(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    if !stage.group_cursors(&*transport).await? {
        return Ok(());
    }
    publish(&*transport, stage.envelopes(0, 5, 10)).await?;
    publish(&*transport, stage.envelopes(2, 5, 10)).await?;
    let (one, other) = (group("one"), group("other"));
    expect_committed(&*transport, &one, &[]).await?;
    commit(&*transport, &one, &[cursor(0, 2), cursor(2, 3)]).await?;
    commit(&*transport, &other, &[cursor(0, 4)]).await?;
    expect_committed(&*transport, &one, &[cursor(0, 2), cursor(2, 3)]).await?;
    expect_committed(&*transport, &other, &[cursor(0, 4)]).await?;
    expect_committed(&*transport, &group("nobody"), &[]).await
}

/// The higher of the two stays, whichever comes last.
pub async fn a_commit_is_idempotent_and_never_goes_back(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    if !stage.group_cursors(&*transport).await? {
        return Ok(());
    }
    publish(&*transport, stage.envelopes(0, 5, 10)).await?;
    let reader = group("reader");
    for (upto, expected) in [
        (vec![cursor(0, 3)], 3),
        (vec![cursor(0, 3)], 3),
        (vec![cursor(0, 1)], 3),
        (vec![], 3),
        (vec![cursor(0, 0)], 3),
        (vec![cursor(0, 5), cursor(0, 4)], 5),
    ] {
        commit(&*transport, &reader, &upto).await?;
        expect_committed(&*transport, &reader, &[cursor(0, expected)]).await?;
    }
    Ok(())
}

/// Neither reading to the end, nor time, nor the end of the reader.
pub async fn reading_and_dropping_commit_nothing(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    if !stage.group_cursors(&*transport).await? {
        return Ok(());
    }
    let group = group("reader");
    let start = [cursor(0, 0)];
    commit(&*transport, &group, &start).await?;
    let stored = publish(&*transport, stage.envelopes(0, 20, 10)).await?;
    let mut reader = Reader::of(&*transport, 0, Start::Earliest).await?;
    compare(&reader.take(20).await?, &stored)?;
    expect_committed(&*transport, &group, &start).await?;
    reader.expect_silence().await?;
    expect_committed(&*transport, &group, &start).await?;
    drop(reader);
    stage.settle().await;
    expect_committed(&*transport, &group, &start).await
}

/// Beyond the end, of a partition that does not exist, of a group without a name: no cursor of the call is taken.
pub async fn an_impossible_commit_is_refused_whole(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    if !stage.group_cursors(&*transport).await? {
        return Ok(());
    }
    publish(&*transport, stage.envelopes(0, 5, 10)).await?;
    let end = end_of(&*transport, 0).await?;
    let empty = end_of(&*transport, 1).await?;
    let reader = group("reader");
    for (group, upto) in [
        (&reader, vec![cursor(0, 2), cursor(1, empty.0 + 1)]),
        (&reader, vec![cursor(0, end.0 + 1)]),
        (&reader, vec![cursor(0, 2), cursor(3, 0)]),
        (&Group(String::new()), vec![cursor(0, 2)]),
    ] {
        let refused = transport.commit(group, &upto).await;
        ensure!(
            matches!(refused, Err(CommitError::Invalid(_))),
            "committing {upto:?} of {group:?} is to be refused as invalid, saw {refused:?}"
        );
    }
    expect_committed(&*transport, &reader, &[]).await
}

/// Where a reader starts is the reader's business: a group's cursor neither starts nor moves it.
pub async fn a_commit_does_not_move_a_reader(stage: &Stage<'_>) -> Result<(), Seen> {
    let transport = stage.create(Setup::ROOMY).await?;
    if !stage.group_cursors(&*transport).await? {
        return Ok(());
    }
    let stored = publish(&*transport, stage.envelopes(0, 6, 10)).await?;
    let options = ReadOptions {
        delivery_envelopes_max: 1,
        ..ReadOptions::default()
    };
    let from = vec![(Partition(0), Start::Earliest)];
    let mut reader = Reader::open(&*transport, from, options).await?;
    let mut read = reader.take(2).await?;
    if let Some(last) = stored.last() {
        commit(&*transport, &group("reader"), &[after(last)]).await?;
    }
    read.extend(reader.take(4).await?);
    compare(&read, &stored)?;
    compare(&read_all(&*transport, 0, 6).await?, &stored)
}

async fn commit(transport: &dyn Transport, group: &Group, upto: &[Cursor]) -> Result<(), Seen> {
    let committed = transport.commit(group, upto).await;
    committed.seen_while(format_args!("committing {upto:?} of {group:?}"))
}

async fn expect_committed(
    transport: &dyn Transport,
    group: &Group,
    expected: &[Cursor],
) -> Result<(), Seen> {
    let mut committed = transport
        .committed(group)
        .await
        .seen_while("reading a group's cursors")?;
    committed.sort_by_key(|cursor| cursor.partition);
    ensure!(
        committed == expected,
        "{group:?} has committed {expected:?}, and what is kept is {committed:?}"
    );
    Ok(())
}
