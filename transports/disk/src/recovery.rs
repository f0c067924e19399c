//! Opens what is on the disk: finds out which segments count, how far the last one is valid, and whether anything that
//! was acked is missing.
//!
//! # A torn tail and rot
//!
//! A group is written only after the one before it is durable. So if a frame does not have its checksum and a frame of a
//! *later* group stands anywhere after it, then the first was durable once and has changed since: that is rot, and the
//! journal is not opened. If nothing later is there, the last write did not finish, nobody was told that it had, and it
//! is cut off. What cannot be told apart is rot in the very last group; the seal that a clean close writes after it, and
//! the cursors and batches that are remembered elsewhere, make that smaller.
//!
//! # After a crash
//!
//! Nothing is ever written after garbage, which could come back to life with the next crash: a new segment with a new
//! salt is started, and its base says from where on the old one is void. Its first group carries over the last whole
//! group of the old segment. That one may have been read from memory that a failed fsync left behind, and all groups
//! before it were durable before it was written; so the old file is first synced, then forgotten by the cache and read
//! again, and then nothing depends on it that was not durable.

mod scan_segments;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use log_tracer_transport::{Offset, Partition};

use crate::{
    Config,
    base::{Base, Previous},
    cursors::Cursors,
    error::{Damage, Error},
    files, frame,
    group::GroupBuilder,
    index::Index,
    log::{Limits, Log, PartitionLog, SegmentLog},
    names::{self, Name},
    recent::{Recent, Snapshot},
    ring::Ring,
    scan::{Group, Placed},
    segment::{self, Place, Segment},
};

pub(crate) use scan_segments::{Tail, find_chain};

/// Opens the log in a directory whose manifest is known, or makes its first segment.
pub(crate) fn recover(place: &Place, config: &Config) -> Result<Log, Error> {
    let doing = |doing| move |source| Error::io(doing, source);
    let cursors = read_cursors(place)?;
    let first_segment = cursors.as_ref().map_or(0, |cursors| cursors.first_segment);
    let listed = list(place, first_segment)?;
    let chain = find_chain(place, &listed, cursors.as_ref(), true)?;
    remove_leftovers(place, &chain.void, config)?;

    let mut recovering = Recovering::new(place, config, cursors)?;
    if chain.segments.is_empty() {
        recovering.start_journal()?;
    } else {
        for log in chain.segments {
            recovering.add(log)?;
        }
        if let Some(tail) = chain.tail {
            recovering.finish_tail(tail)?;
        }
    }
    recovering.check_nothing_is_missing()?;
    let log = recovering.into_log();
    // Only now: with this file, a journal without a valid segment is one that has lost it.
    let cursors = log.cursors().encode(place.log_id);
    files::replace(&*place.files, &place.path(names::CURSORS), &cursors)
        .map_err(doing("writing the cursors"))?;
    Ok(log)
}

/// The cursors, or `None` if the journal was not finished being made, or somebody removed them.
pub(crate) fn read_cursors(place: &Place) -> Result<Option<Cursors>, Error> {
    let path = place.path(names::CURSORS);
    let bytes = files::read_if_there(&*place.files, &path)
        .map_err(|source| Error::io("reading the cursors", source))?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let (log_id, cursors) = Cursors::decode(&bytes).map_err(|damage| {
        Damage::new(
            &damage.file,
            damage.at,
            format_args!(
                "{}; if you remove the file, the groups start anew and nothing leaves until they have committed",
                damage.what
            ),
        )
    })?;
    if log_id != place.log_id {
        return Err(Damage::new(names::CURSORS, 8, format_args!("of the log {log_id}")).into());
    }
    Ok(Some(cursors))
}

/// The numbers of the segments that count, ascending.
fn list(place: &Place, first_segment: u64) -> Result<Vec<u64>, Error> {
    let failed = |source| Error::io("looking for segments", source);
    let mut sequences = Vec::new();
    for name in place.files.list(&place.directory).map_err(failed)? {
        match names::parse(&name) {
            // Removing it was not finished.
            Name::Segment(sequence) | Name::Index(sequence) if sequence < first_segment => {
                files::remove_if_there(&*place.files, &place.path(&name)).map_err(failed)?;
            }
            Name::Temporary => {
                files::remove_if_there(&*place.files, &place.path(&name)).map_err(failed)?;
            }
            Name::Segment(sequence) => sequences.push(sequence),
            Name::Index(_) | Name::Other => {}
        }
    }
    sequences.sort_unstable();
    Ok(sequences)
}

/// Removes segments without a valid group; one of the usual size is kept for the next segment.
fn remove_leftovers(place: &Place, void: &[Segment], config: &Config) -> Result<(), Error> {
    let failed = |source| Error::io("removing segments that are not in use", source);
    let spare = place.path(names::SPARE);
    let mut kept = match place.files.open(&spare, false).and_then(|file| file.len()) {
        Ok(bytes) if bytes == config.segment_bytes => true,
        Ok(_) => {
            files::remove_if_there(&*place.files, &spare).map_err(failed)?;
            false
        }
        Err(_) => false,
    };
    for segment in void {
        if !kept && segment.bytes == config.segment_bytes {
            kept = true;
            place.keep_as_spare(segment.sequence).map_err(failed)?;
        } else {
            let name = place.path(&names::segment(segment.sequence));
            files::remove_if_there(&*place.files, &name).map_err(failed)?;
        }
    }
    Ok(())
}

/// A log that is put together.
struct Recovering<'a> {
    place: &'a Place,
    config: &'a Config,
    cursors: Option<Cursors>,
    snapshot: Option<Snapshot>,
    segments: VecDeque<SegmentLog>,
    partitions: Vec<PartitionLog>,
    last_group: u64,
}

impl<'a> Recovering<'a> {
    fn new(place: &'a Place, config: &'a Config, cursors: Option<Cursors>) -> Result<Self, Error> {
        let snapshot = read_snapshot(place)?;
        let partitions = (0..config.partitions.get()).map(|number| {
            let mut recent = Recent::new(config.dedupe_batches_max);
            let remembered = snapshot
                .iter()
                .filter_map(|snapshot| snapshot.partitions.get(usize::from(number)));
            for (key, offset) in remembered.flatten() {
                recent.remember(*key, *offset);
            }
            PartitionLog {
                next: Offset(0),
                floor: Offset(0),
                recent,
            }
        });
        Ok(Self {
            place,
            config,
            cursors,
            partitions: partitions.collect(),
            snapshot,
            segments: VecDeque::new(),
            last_group: 0,
        })
    }

    /// Makes the first segment of a new journal.
    fn start_journal(&mut self) -> Result<(), Error> {
        if self.cursors.is_some() {
            return Err(Error::Unusable(format!(
                "the journal in {} has lost all of its segments",
                self.place.directory.display()
            )));
        }
        let base = Base {
            previous: None,
            last_group: 0,
            recovered: false,
            next: vec![Offset(0); self.partitions.len()],
        };
        self.start_segment(1, base, &[])
    }

    /// Takes in a segment that is valid as far as it goes.
    fn add(&mut self, mut log: scan_segments::Scanned) -> Result<(), Error> {
        let now = self.place.files.unix_millis();
        let age = Duration::from_millis(now.saturating_sub(log.last_written_unix_millis));
        if self.segments.is_empty() {
            for (partition, next) in self.partitions.iter_mut().zip(&log.base.next) {
                partition.next = *next;
            }
        }
        self.check_base(&log)?;
        for (partition, span) in &log.index.partitions {
            if let Some(partition) = self.partitions.get_mut(usize::from(partition.0)) {
                partition.next = span.next;
            }
        }
        self.last_group = log.last_group;
        let indexed = log.from_sidecar;
        self.remember(&mut log)?;
        let monotonic = self.place.files.monotonic();
        self.segments.push_back(SegmentLog {
            segment: Arc::new(log.segment),
            base: log.base,
            index: log.index,
            end: log.end,
            last_group: log.last_group,
            last_written_unix_millis: log.last_written_unix_millis,
            last_written: monotonic.saturating_sub(age),
            indexed,
        });
        Ok(())
    }

    fn check_base(&self, log: &scan_segments::Scanned) -> Result<(), Error> {
        let name = names::segment(log.segment.sequence);
        let known = self.partitions.iter().map(|partition| partition.next);
        if !known.eq(log.base.next.iter().copied()) {
            let what = "the base does not go on where the segment before it ends";
            return Err(Damage::new(&name, segment::HEADER_BYTES, what).into());
        }
        Ok(())
    }

    /// Remembers the batches of a segment that came after the snapshot.
    fn remember(&mut self, log: &mut scan_segments::Scanned) -> Result<(), Error> {
        let known = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.group);
        if log.last_group <= known || self.config.dedupe_batches_max == 0 {
            return Ok(());
        }
        let batches = match log.batches.take() {
            Some(batches) => batches,
            None => scan_segments::batches(&log.segment, log.end, &log.base)?,
        };
        for batch in batches.iter().filter(|batch| batch.group > known) {
            let partition = usize::from(batch.partition.0);
            if let Some(log) = self.partitions.get_mut(partition) {
                log.recent.remember(batch.key, batch.offset);
            }
        }
        Ok(())
    }

    /// Goes on in a segment that was closed, or starts a new one after one that was not.
    fn finish_tail(&mut self, tail: Tail) -> Result<(), Error> {
        if tail.sealed {
            return Ok(());
        }
        let Some(last) = self.segments.pop_back() else {
            return Ok(());
        };
        let name = names::segment(last.segment.sequence);
        log::warn!(
            "journal {}: it was not closed; {name} is valid up to byte {}, after which there is: {}",
            self.place.directory.display(),
            last.end,
            tail.what
        );
        let Some(carried) = tail.last_group else {
            return Err(Damage::new(&name, last.end, "no group can be carried over").into());
        };
        let next = carried_from(&self.partitions, &carried);
        let base = match &carried.base {
            // Nothing of the old segment is left.
            Some(base) => Base {
                recovered: true,
                ..base.clone()
            },
            None => Base {
                previous: Some(Previous {
                    sequence: last.segment.sequence,
                    end: carried.start,
                }),
                last_group: carried.number - 1,
                recovered: true,
                next,
            },
        };
        self.start_segment(tail.next_sequence, base, &carried.envelopes)?;
        let started = self.segments.pop_back();
        match carried.base {
            Some(_) => self.remove(&last.segment)?,
            None => {
                let cut = scan_segments::rescan(last.segment, carried.start, last.base)?;
                self.segments.push_back(SegmentLog {
                    last_written: last.last_written,
                    ..cut
                });
            }
        }
        self.segments.extend(started);
        Ok(())
    }

    /// Starts a segment with a group of its own that is durable when this returns.
    fn start_segment(
        &mut self,
        sequence: u64,
        base: Base,
        envelopes: &[Placed],
    ) -> Result<(), Error> {
        let failed = |source| Error::io("starting a segment", source);
        let files = &*self.place.files;
        let encoded = envelopes
            .iter()
            .map(|one| one.envelope.encoded_len() as u64);
        let frames: u64 = encoded.map(frame::total_bytes).sum();
        let need = segment::bytes_for(self.config.partitions, frames);
        let bytes = match need <= self.config.segment_bytes {
            true => self.config.segment_bytes,
            false => need.next_multiple_of(4 << 10),
        };
        let segment = self.place.create_segment(sequence, bytes).map_err(failed)?;
        let number = base.last_group + 1;
        let mut builder = GroupBuilder::default();
        let now = files.unix_millis();
        builder.start(segment.salt, number, segment::HEADER_BYTES, now);
        builder.base(&base);
        let mut index = Index::default();
        for Placed {
            offset, envelope, ..
        } in envelopes
        {
            let at = builder.envelope(envelope, &envelope.encode_header(), *offset);
            let bytes = envelope.encoded_len() as u64;
            index.add(envelope.partition, *offset, at, bytes);
        }
        let end = builder.end();
        let written =
            files::write_all(&*segment.file, &mut builder.slices(), segment::HEADER_BYTES);
        written
            .and_then(|()| files::sync(&*segment.file))
            .map_err(failed)?;
        self.last_group = number;
        self.segments.push_back(SegmentLog {
            segment,
            base,
            index,
            end,
            last_group: number,
            last_written_unix_millis: now,
            last_written: files.monotonic(),
            indexed: false,
        });
        Ok(())
    }

    fn remove(&self, segment: &Segment) -> Result<(), Error> {
        let files = &*self.place.files;
        for name in [
            names::index(segment.sequence),
            names::segment(segment.sequence),
        ] {
            files::remove_if_there(files, &self.place.path(&name))
                .map_err(|source| Error::io("removing a segment", source))?;
        }
        Ok(())
    }

    /// What is known elsewhere must be in the segments.
    fn check_nothing_is_missing(&self) -> Result<(), Error> {
        let lost = |what: String| {
            Err(Error::Unusable(format!(
                "the journal in {} has lost data: {what}",
                self.place.directory.display()
            )))
        };
        let known = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.group);
        if known > self.last_group {
            return lost(format!(
                "its segments end with group {}, and there was a group {known}",
                self.last_group
            ));
        }
        for (group, cursors) in self.cursors.iter().flat_map(|cursors| &cursors.groups) {
            for (partition, next) in cursors {
                let end = self.end_of(*partition);
                if *next > end {
                    return lost(format!(
                        "partition {} ends at {}, and the group {:?} has committed up to {}",
                        partition.0, end.0, group.0, next.0
                    ));
                }
            }
        }
        Ok(())
    }

    fn end_of(&self, partition: Partition) -> Offset {
        let log = self.partitions.get(usize::from(partition.0));
        log.map_or(Offset(0), |log| log.next)
    }

    fn into_log(self) -> Log {
        let mut log = Log {
            limits: Limits::new(self.config),
            partitions: self.partitions,
            segments: self.segments,
            groups: self
                .cursors
                .map(|cursors| cursors.groups)
                .unwrap_or_default(),
            ring: Ring::new(self.config.recent_bytes_max),
            last_group: self.last_group,
            leaving: Vec::new(),
            cursors_changed: false,
            snapshot_due: false,
            dropped_envelopes: 0,
            full: false,
        };
        log.update_floors();
        log
    }
}

/// Where each partition stood before a group.
fn carried_from(partitions: &[PartitionLog], group: &Group) -> Vec<Offset> {
    let mut next: Vec<Offset> = partitions.iter().map(|log| log.next).collect();
    for placed in &group.envelopes {
        if let Some(next) = next.get_mut(usize::from(placed.envelope.partition.0)) {
            *next = placed.offset.min(*next);
        }
    }
    next
}

/// What was remembered, or `None` if it cannot be read: then as much is remembered as the segments hold.
fn read_snapshot(place: &Place) -> Result<Option<Snapshot>, Error> {
    let path = place.path(names::RECENT);
    let bytes = files::read_if_there(&*place.files, &path)
        .map_err(|source| Error::io("reading which batches were stored lately", source))?;
    let decoded = bytes.map(|bytes| Snapshot::decode(&bytes)).transpose();
    Ok(match decoded {
        Ok(decoded) => decoded
            .filter(|(log_id, _)| *log_id == place.log_id)
            .map(|(_, snapshot)| snapshot),
        Err(damage) => {
            log::warn!(
                "journal {}: {damage}; batches that are no longer in a segment are not recognised when they come again",
                place.directory.display()
            );
            None
        }
    })
}
