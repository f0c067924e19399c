//! Crashes of the machine at every point of a recorded history, and of the process. After each of them the journal is
//! opened on what the disk would hold: every envelope that was acked is there, in order, nothing is invented, and a call
//! that was not acked is there as a whole or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    thread,
};

use log_tracer_transport::{Envelope, Offset, Partition, Transport};
use log_tracer_transport_disk::Config;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use support::{
    close, commit, config, envelope,
    fake::{Crash, Disk, FakeFiles, Fault, Kind, Op},
    open, publish, read_all,
};

/// Calls of publish, in the order in which they were made.
#[derive(Debug, Default)]
struct History {
    calls: Vec<Vec<Envelope>>,
    /// Where the envelopes of an acked call are.
    offsets: BTreeMap<u64, (Partition, Offset)>,
}

/// What the marks in a trace mean: beyond this the number of a commit, else of a call that was acked.
const COMMITS: u64 = 1 << 32;

/// Publishes, commits, closes and opens again, and writes everything down.
async fn play(files: &FakeFiles, config: &Config, seed: u64, calls: usize) -> History {
    play_committing(files, config, seed, calls, true).await
}

/// The same, with commits or without any.
async fn play_committing(
    files: &FakeFiles,
    config: &Config,
    seed: u64,
    calls: usize,
    commits: bool,
) -> History {
    let mut random = StdRng::seed_from_u64(seed);
    let mut history = History::default();
    let mut number = 0;
    files.record();
    let mut transport = open(files, config).await.unwrap();
    for call in 0..calls {
        let batch: Vec<Envelope> = (0..random.random_range(1..4))
            .map(|_| {
                number += 1;
                envelope(
                    random.random_range(0..2),
                    number,
                    random.random_range(0..900),
                )
            })
            .collect();
        history.calls.push(batch.clone());
        let acks = publish(&transport, batch.clone()).await.unwrap();
        for (acked, one) in acks.iter().zip(&batch) {
            history
                .offsets
                .insert(one.received_unix_nano, (acked.partition, acked.offset));
        }
        files.mark(call as u64);
        if commits && call % 5 == 4 {
            for watermark in transport.watermarks().await.unwrap() {
                // A little behind, so that some of what is committed is in a segment that stays.
                let upto = watermark
                    .end
                    .0
                    .saturating_sub(3)
                    .max(watermark.start.unwrap().0);
                // Before, since it may have effects before it returns.
                files.mark(COMMITS + (u64::from(watermark.partition.0) << 24) + upto);
                commit(&transport, watermark.partition.0, upto).await;
            }
        }
        if call % 17 == 16 {
            close(&transport).await;
            transport = open(files, config).await.unwrap();
        }
    }
    close(&transport).await;
    history
}

/// More examples of what is wrong tell nothing more.
const ENOUGH: usize = 3;

/// What must be known at some point of a trace.
#[derive(Clone, Debug, Default)]
struct Known {
    calls: usize,
    committed: BTreeMap<u16, u64>,
}

impl Known {
    fn see(&mut self, op: &Op) {
        match op {
            Op::Mark(mark) if *mark >= COMMITS => {
                let (partition, upto) = ((mark - COMMITS) >> 24, (mark - COMMITS) & 0xff_ffff);
                self.committed.insert(partition as u16, upto);
            }
            Op::Mark(call) => self.calls = *call as usize + 1,
            _ => {}
        }
    }
}

/// Opens what a crash left and compares it with what must and what may be there.
async fn check(
    disk: Disk,
    config: &Config,
    history: &History,
    known: &Known,
) -> Result<(), String> {
    let files = FakeFiles::of(disk);
    // Nothing leaves while it is looked at.
    let config = &Config {
        retention_age_seconds: 1 << 40,
        ..config.clone()
    };
    let transport = open(&files, config)
        .await
        .map_err(|error| format!("opening: {error}"))?;
    let watermarks = transport.watermarks().await.unwrap();
    let read = read_all(&transport)
        .await
        .map_err(|error| format!("reading: {error}"))?;
    let mut places = BTreeMap::new();
    for (partition, items) in &read {
        for (offset, found) in items {
            let sent = history
                .calls
                .iter()
                .flatten()
                .find(|one| one.batch == found.batch);
            if sent != Some(found) || found.partition.0 != *partition {
                return Err(format!("invented or changed: {found:?}"));
            }
            places.insert(found.received_unix_nano, (found.partition, Offset(*offset)));
        }
    }
    for (call, batch) in history.calls.iter().enumerate() {
        let mut there = 0;
        let mut may_have_left = false;
        for one in batch {
            let number = one.received_unix_nano;
            let start = watermarks[usize::from(one.partition.0)].start.unwrap();
            let place = history.offsets.get(&number);
            let left = place.is_some_and(|(_, offset)| *offset < start);
            let committed = known
                .committed
                .get(&one.partition.0)
                .copied()
                .unwrap_or_default();
            may_have_left |= left;
            if places.contains_key(&number) {
                there += 1;
            }
            if call < known.calls {
                if left {
                    if place.is_some_and(|(_, offset)| offset.0 >= committed) {
                        return Err(format!("call {call} left before it was committed"));
                    }
                } else if places.get(&number) != place {
                    return Err(format!(
                        "call {call} was acked at {place:?} and is at {:?}; {watermarks:?}",
                        places.get(&number)
                    ));
                }
            }
        }
        if there != 0 && there != batch.len() && !may_have_left {
            return Err(format!(
                "{there} of the {} envelopes of call {call} are there",
                batch.len()
            ));
        }
    }
    goes_on(&transport, config, history, known).await
}

/// A retry of what was acked is recognised, and what is new is stored.
async fn goes_on(
    transport: &log_tracer_transport_disk::DiskTransport,
    config: &Config,
    history: &History,
    known: &Known,
) -> Result<(), String> {
    if let Some(last) = known.calls.checked_sub(1).map(|last| &history.calls[last])
        && last.len() <= config.dedupe_batches_max
    {
        let acks = publish(transport, last.clone())
            .await
            .map_err(|error| error.to_string())?;
        if acks.iter().any(|acked| !acked.duplicate) {
            return Err("a retry of the last acked call was stored again".into());
        }
    }
    let new = publish(transport, vec![envelope(0, 1_000_000, 50)]).await;
    new.map_err(|error| format!("publishing after it: {error}"))?;
    Ok(())
}

/// Replays a trace and crashes after every operation for which `at` holds.
async fn crash_everywhere(
    config: &Config,
    trace: &[Op],
    history: &History,
    crashes: &[Crash],
    at: impl Fn(&Op) -> bool,
) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(7);
    let mut disk = FakeFiles::default().disk().clone();
    let mut known = Known::default();
    let mut wrong = Vec::new();
    for (index, op) in trace.iter().enumerate() {
        disk.apply(op);
        known.see(op);
        if !at(op) {
            continue;
        }
        for crash in crashes {
            let found = disk.after(*crash, &mut random);
            if let Err(what) = check(found, config, history, &known).await {
                wrong.push(format!("after operation {index} ({crash:?}): {what}"));
                if wrong.len() == ENOUGH {
                    return wrong;
                }
            }
        }
    }
    wrong
}

fn recorded(files: &FakeFiles) -> Vec<Op> {
    files.disk().trace.clone()
}

#[tokio::test]
async fn no_acked_envelope_is_lost_at_any_sync_whatever_of_the_rest_is_dropped() {
    let (files, config) = (FakeFiles::default(), config());
    let history = play(&files, &config, 1, 60).await;
    let trace = recorded(&files);
    let syncs = |op: &Op| matches!(op, Op::SyncData(_) | Op::SyncDir(_));
    let wrong = crash_everywhere(
        &config,
        &trace,
        &history,
        &[Crash::Dropped, Crash::Process],
        syncs,
    )
    .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn no_acked_envelope_is_lost_at_any_write_torn_or_reordered_by_sectors() {
    for seed in [2, 3] {
        let (files, config) = (FakeFiles::default(), config());
        let history = play(&files, &config, seed, 40).await;
        let trace = recorded(&files);
        let crashes = [Crash::Torn(512), Crash::Torn(4096), Crash::Torn(64)];
        let wrong = crash_everywhere(&config, &trace, &history, &crashes, |_| true).await;
        assert!(wrong.is_empty(), "seed {seed}: {}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn without_syncs_of_directories_acked_envelopes_are_lost_and_the_tests_notice() {
    let (files, config) = (FakeFiles::default(), config());
    files.plan(|kind, _| (kind == Kind::SyncDir).then_some(Fault::Ignored));
    let history = play(&files, &config, 1, 40).await;
    let trace = recorded(&files);
    let marks = |op: &Op| matches!(op, Op::Mark(_));
    let wrong = crash_everywhere(&config, &trace, &history, &[Crash::Dropped], marks).await;
    assert!(!wrong.is_empty(), "nobody misses the directory");
}

/// Each of them alone: the one after a segment or the cursors got their names, and those of the directories above. That of
/// the manifest is repeated by the first segment's before anything is acked.
#[tokio::test]
async fn every_single_sync_of_a_directory_is_missed_when_it_is_left_out() {
    for renamed in [".segment", "cursors"] {
        let (files, config) = (FakeFiles::default(), config());
        // By thread, since segments are prepared on one of their own while cursors are written.
        let last = Mutex::new(HashMap::new());
        files.plan(move |kind, name| {
            let (mut last, here) = (last.lock().unwrap(), thread::current().id());
            match kind {
                Kind::Rename => {
                    last.insert(here, name.ends_with(renamed));
                }
                Kind::SyncDir if last.get(&here) == Some(&true) => return Some(Fault::Ignored),
                _ => {}
            }
            None
        });
        // The syncs after commits hold the names of segments, too: with commits this depends on when a segment is prepared.
        let history = play_committing(&files, &config, 1, 40, renamed == "cursors").await;
        expect_missed(&files, &config, &history, renamed).await;
    }
    for above in ["fake", "data"] {
        let (files, config) = (FakeFiles::default(), config());
        files.plan(move |kind, name| {
            (kind == Kind::SyncDir && name == above).then_some(Fault::Ignored)
        });
        let history = play(&files, &config, 1, 40).await;
        expect_missed(&files, &config, &history, above).await;
    }
}

async fn expect_missed(files: &FakeFiles, config: &Config, history: &History, what: &str) {
    let trace = recorded(files);
    let crashes = [Crash::Dropped, Crash::Torn(512), Crash::Torn(512)];
    let wrong = crash_everywhere(config, &trace, history, &crashes, |_| true).await;
    assert!(!wrong.is_empty(), "nobody misses the sync of {what}");
}

#[tokio::test]
async fn without_syncs_of_files_acked_envelopes_are_lost_and_the_tests_notice() {
    let (files, config) = (FakeFiles::default(), config());
    files.plan(|kind, name| {
        (kind == Kind::SyncData && name.ends_with(".segment")).then_some(Fault::Ignored)
    });
    let history = play(&files, &config, 1, 40).await;
    let trace = recorded(&files);
    let marks = |op: &Op| matches!(op, Op::Mark(_));
    let wrong = crash_everywhere(&config, &trace, &history, &[Crash::Dropped], marks).await;
    assert!(!wrong.is_empty(), "nobody misses the data");
}
