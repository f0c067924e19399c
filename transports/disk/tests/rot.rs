//! Bytes that change on the disk, and files that are not what they were: the journal is cut, mended or refused. It never
//! invents anything, loses what was acked without a word, or panics.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::path::Path;

use log_tracer_transport::{Envelope, Offset, OpenError, Partition, ReadError, Transport};
use log_tracer_transport_disk::{CheckReport, Config, check_with};
use rand::{SeedableRng, rngs::StdRng};
use std::sync::Arc;
use support::{
    DIRECTORY, close, commit, config, envelope,
    fake::{Crash, Disk, FakeFiles},
    open, path, publish, read_all, segment_name,
};

#[tokio::test]
async fn what_was_read_from_the_disk_was_checked_by_nobody() {
    let files = FakeFiles::default();
    let remembers = Config {
        recent_bytes_max: 1 << 20,
        ..config()
    };
    let transport = open(&files, &remembers).await.unwrap();
    let sent = Envelope {
        is_checked: true,
        ..envelope(0, 1, 300)
    };
    publish(&transport, vec![sent.clone()]).await.unwrap();
    let from_memory = read_all(&transport).await.unwrap();
    assert_eq!(from_memory[&0], [(0, sent.clone())]);
    close(&transport).await;
    let reopened = open(&files, &remembers).await.unwrap();
    let from_disk = read_all(&reopened).await.unwrap();
    let unchecked = Envelope {
        is_checked: false,
        ..sent
    };
    assert_eq!(from_disk[&0], [(0, unchecked)]);
}

/// How a journal was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Closed,
    Crashed,
}

/// Several segments with one envelope a call, all acked, and none of them gone.
async fn journal(left: Left) -> (Disk, Vec<Envelope>) {
    let files = FakeFiles::default();
    let transport = open(&files, &config()).await.unwrap();
    let mut sent = Vec::new();
    for number in 0..24 {
        let one = envelope((number % 2) as u16, number, 300);
        publish(&transport, vec![one.clone()]).await.unwrap();
        sent.push(one);
    }
    commit(&transport, 0, 1).await;
    // The indexes are written by another thread.
    let sealed = transport.usage().segments.unwrap() - 1;
    support::eventually("the indexes", || {
        let names = files.disk().names(Path::new(DIRECTORY));
        names.iter().filter(|name| name.ends_with(".index")).count() as u64 == sealed
    })
    .await;
    let disk = match left {
        Left::Closed => {
            close(&transport).await;
            files.disk().clone()
        }
        Left::Crashed => files
            .disk()
            .clone()
            .after(Crash::Process, &mut StdRng::seed_from_u64(1)),
    };
    (disk, sent)
}

/// A journal of which nothing but its segments knows how many groups there were.
async fn forgetful(left: Left) -> (Disk, Vec<Envelope>) {
    let (mut disk, sent) = journal(left).await;
    disk.remove_entry(&path("recent"));
    (disk, sent)
}

/// Numbers of the segments, ascending; one that is prepared and empty comes last.
fn segments(disk: &Disk) -> Vec<u64> {
    let names = disk.names(Path::new(DIRECTORY));
    names
        .iter()
        .filter_map(|name| name.strip_suffix(".segment")?.parse().ok())
        .collect()
}

/// The segment that was written last.
fn last_segment(disk: &mut Disk) -> u64 {
    let used = |disk: &mut Disk, sequence: u64| {
        disk.file_mut(&path(&segment_name(sequence))).unwrap()[128..132] == *b"LTJF"
    };
    let all = segments(disk);
    all.into_iter()
        .rev()
        .find(|sequence| used(disk, *sequence))
        .unwrap()
}

/// How opening and reading everything ends.
#[derive(Debug)]
enum Seen {
    Whole,
    /// The first so many are there, in order.
    Cut(usize),
    Refused(String),
    Corrupt,
}

async fn look(disk: &Disk, sent: &[Envelope]) -> Seen {
    let mut disk = disk.clone();
    disk.settle();
    let files = FakeFiles::of(disk);
    let transport = match open(&files, &config()).await {
        Ok(transport) => transport,
        Err(OpenError::Failed(error)) => return Seen::Refused(error.to_string()),
        Err(other) => panic!("{other}"),
    };
    let read = match read_all(&transport).await {
        Ok(read) => read,
        Err(ReadError::Corrupt { .. }) => return Seen::Corrupt,
        Err(other) => panic!("{other}"),
    };
    let mut found: Vec<Envelope> = read.into_values().flatten().map(|(_, one)| one).collect();
    found.sort_by_key(|one| one.received_unix_nano);
    assert!(
        sent.starts_with(&found),
        "something was invented or left out"
    );
    match found.len() == sent.len() {
        true => Seen::Whole,
        false => Seen::Cut(found.len()),
    }
}

fn checked(disk: &Disk) -> CheckReport {
    let mut disk = disk.clone();
    disk.settle();
    let files = FakeFiles::of(disk);
    check_with(Arc::new(files), Path::new(DIRECTORY), &mut |_, _| {}).unwrap()
}

/// Flips bits of a file one after the other, one in every `step` bytes, and gives what was seen each time.
async fn flip(
    disk: &Disk,
    sent: &[Envelope],
    name: &str,
    bytes: std::ops::Range<usize>,
    step: usize,
) -> Vec<(usize, Seen)> {
    let mut all = Vec::new();
    for at in bytes.step_by(step) {
        let mut disk = disk.clone();
        disk.file_mut(&path(name)).unwrap()[at] ^= 1 << (at % 8);
        all.push((at, look(&disk, sent).await));
    }
    all
}

/// Where the frames of a segment start and what they are: position, kind, body length.
fn frames(disk: &mut Disk, sequence: u64) -> Vec<(usize, u8, usize)> {
    let contents = disk
        .file_mut(&path(&segment_name(sequence)))
        .unwrap()
        .clone();
    let salt = contents[32..40].to_vec();
    let (mut at, mut found) = (128, Vec::new());
    while at + 80 <= contents.len()
        && contents[at..].starts_with(b"LTJF")
        && contents[at + 8..at + 16] == salt
    {
        let body = u64::from_le_bytes(contents[at + 40..at + 48].try_into().unwrap()) as usize;
        found.push((at, contents[at + 5], body));
        at += 80 + body.next_multiple_of(8);
    }
    found
}

#[tokio::test]
async fn what_is_whole_is_opened_and_found_to_be_whole() {
    for left in [Left::Closed, Left::Crashed] {
        let (disk, sent) = journal(left).await;
        assert!(matches!(look(&disk, &sent).await, Seen::Whole), "{left:?}");
        let report = checked(&disk);
        assert_eq!(report.problems, [], "{left:?}");
        assert_eq!(report.envelopes, 24);
        assert_eq!(report.closed, left == Left::Closed);
        assert_eq!(report.partitions[1].next, Offset(12));
        assert!(report.segments > 3);
    }
}

#[tokio::test]
async fn a_bit_that_flips_in_a_full_segment_is_met_by_whoever_reads_it() {
    let (mut disk, sent) = journal(Left::Closed).await;
    for sequence in [segments(&disk)[0], segments(&disk)[2]] {
        let name = segment_name(sequence);
        let end = frames(&mut disk, sequence).last().unwrap().0 + 80;
        for (at, seen) in flip(&disk, &sent, &name, 0..end, 37).await {
            // What fills a body up to a multiple of 8 means nothing, and so do bits of bases, trailers and neighbours'
            // frames that a reader only steps over.
            let harmless = matches!(seen, Seen::Whole);
            let noticed = matches!(seen, Seen::Refused(_) | Seen::Corrupt);
            assert!(harmless || noticed, "byte {at} of {name}: {seen:?}");
        }
        // Every byte of every envelope counts.
        let envelopes = frames(&mut disk, sequence).into_iter();
        for (at, _, body) in envelopes.filter(|(_, kind, _)| *kind == 1) {
            for (at, seen) in flip(&disk, &sent, &name, at..at + 80 + body, 61).await {
                assert!(
                    matches!(seen, Seen::Refused(_) | Seen::Corrupt),
                    "byte {at} of {name}: {seen:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn without_its_index_a_damaged_segment_is_refused_at_once() {
    let (mut disk, sent) = journal(Left::Crashed).await;
    let sequence = segments(&disk)[1];
    disk.remove_entry(&path(&format!("{sequence:020}.index")));
    assert!(matches!(look(&disk, &sent).await, Seen::Whole));
    for (at, kind, body) in frames(&mut disk, sequence) {
        let counts = if kind == 3 {
            at..at + 80
        } else {
            at..at + 80 + body
        };
        for (at, seen) in flip(&disk, &sent, &segment_name(sequence), counts, 71).await {
            let Seen::Refused(error) = seen else {
                panic!("byte {at}: {seen:?}");
            };
            assert!(
                error.contains(&segment_name(sequence)) && error.contains("byte"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn rot_in_the_last_segment_is_refused_when_a_later_group_stands_after_it() {
    for left in [Left::Closed, Left::Crashed] {
        let (mut disk, sent) = journal(left).await;
        let sequence = last_segment(&mut disk);
        let frames = frames(&mut disk, sequence);
        // All but the last group, which is one envelope and its trailer; or a seal and its trailer.
        for &(at, kind, body) in &frames[..frames.len() - 2] {
            let counts = if kind == 3 {
                at..at + 80
            } else {
                at..at + 80 + body
            };
            for (at, seen) in flip(&disk, &sent, &segment_name(sequence), counts, 23).await {
                let Seen::Refused(error) = seen else {
                    panic!("{left:?}, byte {at}: {seen:?}");
                };
                assert!(
                    error.contains("stands later") || error.contains("segment"),
                    "{error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn damage_of_the_last_group_is_taken_for_a_write_that_did_not_finish() {
    let (mut disk, sent) = forgetful(Left::Crashed).await;
    let sequence = last_segment(&mut disk);
    let frames = frames(&mut disk, sequence);
    for &(at, _, body) in &frames[frames.len() - 2..] {
        for (at, seen) in flip(
            &disk,
            &sent,
            &segment_name(sequence),
            at..at + 80 + body,
            29,
        )
        .await
        {
            assert!(matches!(seen, Seen::Cut(23)), "byte {at}: {seen:?}");
        }
    }
    // After a close it is the seal that is cut off, and nothing is lost.
    let (mut disk, sent) = journal(Left::Closed).await;
    let sequence = last_segment(&mut disk);
    let (at, kind, _) = *self::frames(&mut disk, sequence).last().unwrap();
    assert_eq!(kind, 3);
    // What is remembered elsewhere says that there was a seal.
    let seen = flip(&disk, &sent, &segment_name(sequence), at..at + 80, 40).await;
    assert!(
        seen.iter()
            .all(|(_, seen)| matches!(seen, Seen::Refused(error) if error.contains("lost data"))),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_cut_is_written_down_and_nothing_comes_back_to_life() {
    let (mut disk, sent) = forgetful(Left::Crashed).await;
    let sequence = last_segment(&mut disk);
    let (at, _, _) = *frames(&mut disk, sequence).last().unwrap();
    let name = segment_name(sequence);
    disk.file_mut(&path(&name)).unwrap()[at] ^= 1;
    disk.settle();
    let files = FakeFiles::of(disk);
    let transport = open(&files, &config()).await.unwrap();
    let new = envelope(1, 1000, 300);
    let acked = publish(&transport, vec![new.clone()]).await.unwrap()[0];
    assert_eq!(acked.offset, Offset(11));
    // The bit flips back: the envelope that was cut off is whole again in a place that no longer counts.
    let mut disk = files.disk().clone();
    if let Some(contents) = disk.file_mut(&path(&name)) {
        contents[at] ^= 1;
    }
    let mut expected = sent[..23].to_vec();
    expected.push(new);
    assert!(matches!(look(&disk, &expected).await, Seen::Whole));
}

#[tokio::test]
async fn frames_of_an_earlier_use_of_a_file_are_not_taken_for_new_ones() {
    let files = FakeFiles::default();
    let transport = open(&files, &config()).await.unwrap();
    // Everything is committed at once, so that the same few files are used again and again, with frames of one size.
    for number in 0..60 {
        publish(&transport, vec![envelope(0, number, 300)])
            .await
            .unwrap();
        commit(&transport, 0, number + 1).await;
    }
    let watermark = transport.watermarks().await.unwrap()[0];
    let disk = files
        .disk()
        .clone()
        .after(Crash::Process, &mut StdRng::seed_from_u64(1));
    assert!(segments(&disk).first() > Some(&5));
    let reopened = open(&FakeFiles::of(disk), &config()).await.unwrap();
    assert_eq!(reopened.watermarks().await.unwrap()[0].end, watermark.end);
}

#[tokio::test]
async fn a_segment_that_is_missing_or_there_twice_is_refused() {
    let (disk, sent) = journal(Left::Crashed).await;
    let mut all = disk.clone();
    let last = last_segment(&mut all);
    for sequence in segments(&disk)
        .into_iter()
        .filter(|sequence| *sequence < last)
    {
        let mut disk = disk.clone();
        disk.remove_entry(&path(&segment_name(sequence)));
        let Seen::Refused(error) = look(&disk, &sent).await else {
            panic!("segment {sequence}");
        };
        assert!(error.contains("missing"), "{error}");
        assert!(!checked(&disk).problems.is_empty());
    }
    let mut twice = disk.clone();
    let contents = twice
        .file_mut(&path(&segment_name(last - 1)))
        .unwrap()
        .clone();
    twice.put(&path(&segment_name(last + 5)), contents);
    let Seen::Refused(error) = look(&twice, &sent).await else {
        panic!();
    };
    assert!(
        error.contains(&format!("this is segment {}", last - 1)),
        "{error}"
    );
    assert!(!checked(&twice).problems.is_empty());
}

#[tokio::test]
async fn the_last_segment_is_missed_when_something_else_knows_of_it() {
    let (mut disk, sent) = journal(Left::Closed).await;
    let last = last_segment(&mut disk);
    disk.remove_entry(&path(&segment_name(last)));
    let Seen::Refused(error) = look(&disk, &sent).await else {
        panic!();
    };
    assert!(
        error.contains("lost data") && error.contains("group"),
        "{error}"
    );

    // Committed cursors know of it as well.
    let files = FakeFiles::default();
    let transport = open(
        &files,
        &Config {
            dedupe_batches_max: 0,
            ..config()
        },
    )
    .await
    .unwrap();
    for number in 0..3 {
        publish(&transport, vec![envelope(0, number, 300)])
            .await
            .unwrap();
    }
    commit(&transport, 0, 3).await;
    close(&transport).await;
    let mut disk = files.disk().clone();
    let last = last_segment(&mut disk);
    let contents = disk.file_mut(&path(&segment_name(last))).unwrap();
    // All but the base of the segment.
    contents[128 + 80 + 48 + 80..].fill(0);
    let Seen::Refused(error) = look(&disk, &[]).await else {
        panic!();
    };
    assert!(error.contains("has committed up to 3"), "{error}");
}

#[tokio::test]
async fn a_hole_of_zeros_and_a_file_that_ends_early_are_refused() {
    let (disk, sent) = journal(Left::Crashed).await;
    let mut all = disk.clone();
    let last = last_segment(&mut all);
    for sequence in [segments(&disk)[1], last] {
        let mut hole = disk.clone();
        let contents = hole.file_mut(&path(&segment_name(sequence))).unwrap();
        contents[512..1024].fill(0);
        let seen = look(&hole, &sent).await;
        assert!(
            matches!(seen, Seen::Refused(_) | Seen::Corrupt),
            "{sequence}: {seen:?}"
        );
        assert!(!checked(&hole).problems.is_empty());
    }
    for length in [0, 100, 128, 700, 2000] {
        let mut short = disk.clone();
        short
            .file_mut(&path(&segment_name(segments(&disk)[1])))
            .unwrap()
            .truncate(length);
        let seen = look(&short, &sent).await;
        assert!(
            matches!(seen, Seen::Refused(_) | Seen::Corrupt),
            "{length}: {seen:?}"
        );
        assert!(!checked(&short).problems.is_empty());
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_small_file_is_refused_or_does_not_matter() {
    let (disk, sent) = journal(Left::Closed).await;
    for (name, refused) in [("manifest", true), ("cursors", true), ("recent", false)] {
        let mut all = disk.clone();
        let bytes = all.file_mut(&path(name)).unwrap().len();
        let step = bytes.div_ceil(40);
        for (at, seen) in flip(&disk, &sent, name, 0..bytes, step).await {
            let as_it_should = match refused {
                true => matches!(&seen, Seen::Refused(error) if error.contains(name)),
                false => matches!(seen, Seen::Whole),
            };
            assert!(as_it_should, "byte {at} of {name}: {seen:?}");
        }
        let mut cut = disk.clone();
        cut.file_mut(&path(name)).unwrap().truncate(20);
        let seen = look(&cut, &sent).await;
        assert_eq!(
            matches!(seen, Seen::Refused(_)),
            refused,
            "{name}: {seen:?}"
        );
    }
    let index = format!("{:020}.index", segments(&disk)[0]);
    let mut all = disk.clone();
    let bytes = all.file_mut(&path(&index)).unwrap().len();
    for (at, seen) in flip(&disk, &sent, &index, 0..bytes, 3).await {
        assert!(
            matches!(seen, Seen::Whole),
            "byte {at} of {index}: {seen:?}"
        );
    }
    let mut changed = disk.clone();
    changed.file_mut(&path(&index)).unwrap()[20] ^= 1;
    assert_eq!(checked(&changed).problems[0].file, index);
}

#[tokio::test]
async fn a_journal_without_its_manifest_is_not_taken_for_a_new_one() {
    let (mut disk, sent) = journal(Left::Closed).await;
    disk.remove_entry(&path("manifest"));
    let Seen::Refused(error) = look(&disk, &sent).await else {
        panic!();
    };
    assert!(error.contains("manifest"), "{error}");
}

#[tokio::test]
async fn a_journal_without_its_cursors_is_opened_and_the_groups_start_anew() {
    let (mut disk, sent) = journal(Left::Closed).await;
    disk.remove_entry(&path("cursors"));
    assert!(matches!(look(&disk, &sent).await, Seen::Whole));
}

#[tokio::test]
async fn the_check_lists_every_damaged_group_and_counts_the_rest() {
    let (mut disk, _) = journal(Left::Closed).await;
    let all = segments(&disk);
    let mut damaged = Vec::new();
    for sequence in [all[0], all[2]] {
        let envelopes = frames(&mut disk, sequence).into_iter();
        let (at, _, _) = envelopes
            .into_iter()
            .find(|(_, kind, _)| *kind == 1)
            .unwrap();
        disk.file_mut(&path(&segment_name(sequence))).unwrap()[at + 100] ^= 4;
        damaged.push((segment_name(sequence), at as u64));
    }
    let mut seen = Vec::new();
    disk.settle();
    let files = FakeFiles::of(disk);
    let report = check_with(Arc::new(files), Path::new(DIRECTORY), &mut |done, total| {
        seen.push((done, total))
    })
    .unwrap();
    let places: Vec<_> = report
        .problems
        .iter()
        .map(|problem| (problem.file.clone(), problem.at))
        .collect();
    assert_eq!(places, damaged, "{report}");
    assert_eq!(report.envelopes, 22);
    assert!(seen.is_sorted() && seen.last().is_some_and(|(done, total)| done == total));
    assert_eq!(report.partitions[0].partition, Partition(0));
}
