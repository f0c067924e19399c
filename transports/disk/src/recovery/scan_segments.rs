//! Which segments make up the log, and what is in them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use log_tracer_transport::{Offset, Partition};

use crate::{
    base::Base,
    cursors::Cursors,
    error::{Damage, Error},
    files,
    index::{Index, Sidecar},
    log::SegmentLog,
    names,
    recent::{Key, key},
    scan::{Group, Groups, Stop},
    segment::{self, Place, Segment},
};

/// The segments of a log.
#[derive(Debug)]
pub(crate) struct Chain {
    /// From the first that is kept to the last that has a group. Empty in a journal that is new.
    pub(crate) segments: Vec<Scanned>,
    /// How the last one ends.
    pub(crate) tail: Option<Tail>,
    /// Segments that do not count: they were prepared and not used, or a recovery has replaced them.
    pub(crate) void: Vec<Segment>,
}

/// A segment that is valid as far as it counts.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) segment: Segment,
    pub(crate) base: Base,
    pub(crate) index: Index,
    pub(crate) end: u64,
    pub(crate) last_group: u64,
    pub(crate) last_written_unix_millis: u64,
    /// Whether the file beside it was believed instead of reading all of it.
    pub(crate) from_sidecar: bool,
    /// The batches in it, if it is the last one: that one has to be read in any case.
    pub(crate) batches: Option<Vec<Batch>>,
}

/// Where a batch was stored, and with which group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) group: u64,
    pub(crate) partition: Partition,
    pub(crate) key: Key,
    pub(crate) offset: Offset,
}

/// The end of the last segment.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Whether the journal was closed, and nothing came after.
    pub(crate) sealed: bool,
    /// What stands after the last group.
    pub(crate) what: String,
    pub(crate) last_group: Option<Group>,
    /// A number for a new segment that no file has.
    pub(crate) next_sequence: u64,
}

/// Follows the segments from the last one that has a group back to the first.
///
/// With `distrust_cache`, what the system remembers of the last segment is not believed.
pub(crate) fn find_chain(
    place: &Place,
    sequences: &[u64],
    cursors: Option<&Cursors>,
    distrust_cache: bool,
) -> Result<Chain, Error> {
    let mut open = BTreeMap::new();
    for &sequence in sequences {
        let segment = place.open_segment(sequence, distrust_cache)?;
        open.insert(sequence, segment);
    }
    let mut first_groups = BTreeMap::new();
    for (sequence, segment) in &open {
        if let Some(base) = first_base(place, segment, distrust_cache)? {
            first_groups.insert(*sequence, base);
        }
    }
    let next_sequence = sequences.last().map_or(1, |last| last + 1);
    let mut segments = Vec::new();
    let mut tail = None;
    // Of the segment that is looked at next: where it ends and with which group, as the one after it says.
    let mut end: Option<(u64, u64)> = None;
    let mut wanted = first_groups.keys().next_back().copied();
    while let Some(sequence) = wanted {
        let Some(segment) = open.remove(&sequence) else {
            let known = cursors.map_or(u64::MAX, |cursors| cursors.first_segment);
            if sequence >= known {
                let what = "the segment is missing";
                return Err(Damage::new(&names::segment(sequence), 0, what).into());
            }
            break;
        };
        let Some(base) = first_groups.remove(&sequence) else {
            let what = "the first group of the segment is not whole";
            let name = names::segment(sequence);
            return Err(Damage::new(&name, segment::HEADER_BYTES, what).into());
        };
        wanted = base.previous.map(|previous| previous.sequence);
        let before = base
            .previous
            .map(|previous| (previous.end, base.last_group));
        let scanned = match end {
            Some((end, last_group)) => sealed_segment(place, segment, base, end, last_group)?,
            None => {
                let (scanned, found) = last_segment(segment, base, open.values(), next_sequence)?;
                tail = Some(found);
                scanned
            }
        };
        segments.push(scanned);
        end = before;
    }
    if segments.is_empty() {
        check_unused(open.values(), 1)?;
    }
    segments.reverse();
    check_first(&segments, cursors)?;
    Ok(Chain {
        segments,
        tail,
        void: open.into_values().collect(),
    })
}

/// Calls for each group of a segment up to a byte where one must end.
fn groups(
    segment: &Segment,
    end: u64,
    mut each: impl FnMut(&Group) -> Result<(), Stop>,
) -> Result<(), Error> {
    let mut groups = Groups::new(segment, end);
    let mut at = segment::HEADER_BYTES;
    while at < end {
        let group = next_group(segment, &mut groups)?.map_err(|stop| stop.damage(segment))?;
        each(&group).map_err(|stop| stop.damage(segment))?;
        at = group.end;
    }
    Ok(())
}

/// The batches of a segment up to a byte where a group ends.
pub(crate) fn batches(segment: &Segment, end: u64, base: &Base) -> Result<Vec<Batch>, Error> {
    let mut found = Contents::new(base);
    groups(segment, end, |group| found.add(group))?;
    Ok(found.batches)
}

/// Looks again at a segment of which less counts than before.
pub(crate) fn rescan(segment: Arc<Segment>, end: u64, base: Base) -> Result<SegmentLog, Error> {
    let mut found = Contents::new(&base);
    groups(&segment, end, |group| found.add(group))?;
    Ok(SegmentLog {
        segment,
        base,
        index: found.index,
        end,
        last_group: found.last_group,
        last_written_unix_millis: found.last_written_unix_millis,
        last_written: Duration::ZERO,
        indexed: false,
    })
}

/// The base of a segment that has a whole first group.
fn first_base(
    place: &Place,
    segment: &Segment,
    distrust_cache: bool,
) -> Result<Option<Base>, Error> {
    if let Some(sidecar) = read_sidecar(place, segment)? {
        return Ok(Some(sidecar.base));
    }
    if distrust_cache {
        forget_cached(segment)?;
    }
    let group = next_group(segment, &mut Groups::new(segment, segment.bytes))?;
    Ok(group.ok().and_then(|group| group.base))
}

/// The index beside a segment, or `None` if there is none that fits.
fn read_sidecar(place: &Place, segment: &Segment) -> Result<Option<Sidecar>, Error> {
    let path = place.path(&names::index(segment.sequence));
    let bytes = files::read_if_there(&*place.files, &path)
        .map_err(|source| Error::io("reading the index of a segment", source))?;
    let sidecar = bytes.and_then(|bytes| Sidecar::decode(&bytes));
    Ok(sidecar.filter(|sidecar| {
        (sidecar.sequence, sidecar.salt) == (segment.sequence, segment.salt)
            && sidecar.end <= segment.bytes
    }))
}

/// A segment that is followed by another, which says where it ends.
fn sealed_segment(
    place: &Place,
    segment: Segment,
    base: Base,
    end: u64,
    last_group: u64,
) -> Result<Scanned, Error> {
    let sidecar = read_sidecar(place, &segment)?.filter(|sidecar| {
        (sidecar.end, sidecar.last_group) == (end, last_group) && sidecar.base == base
    });
    if let Some(sidecar) = sidecar {
        return Ok(Scanned {
            segment,
            base,
            index: sidecar.index,
            end,
            last_group,
            last_written_unix_millis: sidecar.last_written_unix_millis,
            from_sidecar: true,
            batches: None,
        });
    }
    let mut found = Contents::new(&base);
    groups(&segment, end, |group| found.add(group))?;
    if found.last_group != last_group {
        let what = format!(
            "the segment ends with group {}, the one after it says {last_group}",
            found.last_group
        );
        return Err(Damage::new(&names::segment(segment.sequence), end, what).into());
    }
    Ok(found.scanned(segment, base, end))
}

/// The last segment with a group, which ends where its last whole group ends.
fn last_segment<'a>(
    segment: Segment,
    base: Base,
    unused: impl Iterator<Item = &'a Segment>,
    next_sequence: u64,
) -> Result<(Scanned, Tail), Error> {
    let mut groups = Groups::new(&segment, segment.bytes);
    let mut found = Contents::new(&base);
    let mut last_group = None;
    let mut end = segment::HEADER_BYTES;
    let stop = loop {
        match next_group(&segment, &mut groups)? {
            Ok(group) => {
                found.add(&group).map_err(|stop| stop.damage(&segment))?;
                end = group.end;
                last_group = Some(group);
            }
            Err(stop) => break stop,
        }
    };
    let torn = found.last_group + 1;
    // A group of the next number was begun; whether it is whole does not matter, for nobody was told.
    let begun = groups
        .later_group(end, found.last_group)
        .map_err(|source| reading(&segment, source))?;
    if let Some((at, _)) = begun {
        let later = groups.later_group(at, torn);
        if let Some((at, frame)) = later.map_err(|source| reading(&segment, source))? {
            return Err(stop.rot(&segment, at, frame.group));
        }
    }
    check_unused(
        unused.filter(|unused| unused.sequence > segment.sequence),
        torn,
    )?;
    let sealed = last_group.as_ref().is_some_and(|group| group.seal) && begun.is_none();
    let batches = std::mem::take(&mut found.batches);
    let scanned = Scanned {
        batches: Some(batches),
        ..found.scanned(segment, base, end)
    };
    let tail = Tail {
        sealed,
        what: stop.what,
        last_group,
        next_sequence,
    };
    Ok((scanned, tail))
}

/// A segment without a whole first group must have no later one: it would have been written after the first was durable.
fn check_unused<'a>(unused: impl Iterator<Item = &'a Segment>, group: u64) -> Result<(), Error> {
    for segment in unused {
        let mut groups = Groups::new(segment, segment.bytes);
        if let Some((at, frame)) = groups
            .later_group(segment::HEADER_BYTES, group)
            .map_err(|source| reading(segment, source))?
        {
            let stop = Stop {
                at: segment::HEADER_BYTES,
                what: format!("group {group} is not whole"),
            };
            return Err(stop.rot(segment, at, frame.group));
        }
    }
    Ok(())
}

/// The first segment must be the one that is said to be the first.
fn check_first(segments: &[Scanned], cursors: Option<&Cursors>) -> Result<(), Error> {
    let (Some(first), Some(cursors)) = (segments.first(), cursors) else {
        return Ok(());
    };
    let missing = first
        .base
        .previous
        .filter(|previous| previous.sequence >= cursors.first_segment);
    match missing {
        Some(previous) => {
            let name = names::segment(previous.sequence);
            Err(Damage::new(&name, 0, "the segment is missing").into())
        }
        None => Ok(()),
    }
}

/// Makes what a crashed process wrote durable, and what a failed fsync left in memory forgotten.
fn forget_cached(segment: &Segment) -> Result<(), Error> {
    files::sync(&*segment.file)
        .and_then(|()| segment.file.drop_cache())
        .map_err(|source| reading(segment, source))
}

fn next_group(segment: &Segment, groups: &mut Groups<'_>) -> Result<Result<Group, Stop>, Error> {
    groups.next().map_err(|source| reading(segment, source))
}

fn reading(segment: &Segment, source: std::io::Error) -> Error {
    let name = names::segment(segment.sequence);
    Error::io(format_args!("reading {name}"), source)
}

/// What the groups of a segment add up to.
#[derive(Debug)]
struct Contents {
    index: Index,
    next: Vec<Offset>,
    batches: Vec<Batch>,
    last_group: u64,
    last_written_unix_millis: u64,
}

impl Contents {
    fn new(base: &Base) -> Self {
        Self {
            index: Index::default(),
            next: base.next.clone(),
            batches: Vec::new(),
            last_group: 0,
            last_written_unix_millis: 0,
        }
    }

    fn add(&mut self, group: &Group) -> Result<(), Stop> {
        for placed in &group.envelopes {
            let (at, offset, partition) = (placed.at, placed.offset, placed.envelope.partition);
            let next = self.next.get_mut(usize::from(partition.0));
            let Some(next) = next.filter(|next| **next == offset) else {
                let what = format!(
                    "offset {} of partition {} does not follow what is before it",
                    offset.0, partition.0
                );
                return Err(Stop { at, what });
            };
            next.0 = offset.0.saturating_add(1);
            let bytes = placed.envelope.encoded_len() as u64;
            self.index.add(partition, offset, at, bytes);
            self.batches.push(Batch {
                group: group.number,
                partition,
                key: key(&placed.envelope),
                offset,
            });
        }
        self.last_group = group.number;
        self.last_written_unix_millis = group.written_unix_millis;
        Ok(())
    }

    fn scanned(self, segment: Segment, base: Base, end: u64) -> Scanned {
        Scanned {
            segment,
            base,
            index: self.index,
            end,
            last_group: self.last_group,
            last_written_unix_millis: self.last_written_unix_millis,
            from_sidecar: false,
            batches: None,
        }
    }
}

impl Stop {
    fn damage(&self, segment: &Segment) -> Error {
        Damage::new(&names::segment(segment.sequence), self.at, &self.what).into()
    }

    fn rot(&self, segment: &Segment, later_at: u64, later: u64) -> Error {
        let what = format!(
            "{}, and group {later} stands later, at byte {later_at}: what was durable has changed",
            self.what
        );
        Damage::new(&names::segment(segment.sequence), self.at, what).into()
    }
}
