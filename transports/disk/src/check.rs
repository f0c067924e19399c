//! Looks at a journal that nobody has open, and changes nothing in it.
//!
//! Unlike opening, which stops at the first thing that is wrong, this reads everything and lists all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::Path,
    sync::Arc,
};

use log_tracer_transport::{LogId, Offset, Partition};

use crate::{
    base::Base,
    cursors::Cursors,
    error::{Damage, Error},
    files::{self, Files, LockKind, RealFiles},
    index::{Index, Sidecar},
    manifest::Manifest,
    names::{self, Name},
    opening,
    recent::Snapshot,
    scan::{Contents, Group, Groups, Window},
    segment::{self, Place, Segment},
};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The id of the log.
    pub log_id: LogId,
    /// Segments that belong to the log.
    pub segments: u64,
    /// Envelopes that are whole.
    pub envelopes: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// What is there of each partition.
    pub partitions: Vec<PartitionReport>,
    /// Whether the journal was closed. If not, opening it cuts off what was not finished.
    pub closed: bool,
    /// Everything that is not what was written, in the order of the files.
    pub problems: Vec<Damage>,
}

/// What is there of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionReport {
    /// Which.
    pub partition: Partition,
    /// The first offset that is kept.
    pub first: Offset,
    /// The offset of the next envelope.
    pub next: Offset,
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "log {}: {} envelopes of {} bytes in {} segments, {}",
            self.log_id,
            self.envelopes,
            self.bytes,
            self.segments,
            match self.closed {
                true => "closed",
                false => "not closed",
            }
        )?;
        for report in &self.partitions {
            let (partition, first, next) = (report.partition.0, report.first.0, report.next.0);
            writeln!(f, "partition {partition}: offsets {first} to {next}")?;
        }
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Why nothing could be checked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There is no journal, or what says which one it is cannot be read.
    #[error("{0}")]
    NotAJournal(String),
    /// A process has it open.
    #[error("{0}")]
    InUse(String),
    /// The disk does not give what was asked for.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl From<Error> for CheckError {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { doing, source } => Self::Io { doing, source },
            Error::Locked { .. } => Self::InUse(error.to_string()),
            other => Self::NotAJournal(other.to_string()),
        }
    }
}

/// Checks the journal in a directory: all of its files, every byte of its segments. It takes no journal over and writes
/// nothing. `progress` is told now and then how many of all bytes are done.
///
/// # Errors
///
/// When there is no journal, a process has it open, or the disk cannot be read. What is wrong in the journal itself is no
/// error but stands in the report.
pub fn check(
    directory: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CheckReport, CheckError> {
    check_with(Arc::new(RealFiles::default()), directory, progress)
}

/// As [`check`], on another file system.
///
/// # Errors
///
/// As [`check`].
pub fn check_with(
    files: Arc<dyn Files>,
    directory: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CheckReport, CheckError> {
    let path = directory.join(names::MANIFEST);
    let reading = |source| Error::io(format_args!("reading {}", path.display()), source);
    let Some(manifest) = files::read_if_there(&*files, &path).map_err(reading)? else {
        return Err(CheckError::NotAJournal(format!(
            "there is no journal in {}",
            directory.display()
        )));
    };
    let lock = directory.join(names::LOCK);
    let _lock = match files.open(&lock, false) {
        Ok(_) => Some(opening::lock(&*files, directory, LockKind::Shared)?),
        // Whoever opens a journal makes it first.
        Err(_) => None,
    };
    let manifest = Manifest::decode(&manifest).map_err(Error::from)?;
    let place = Place {
        files,
        directory: directory.to_owned(),
        log_id: manifest.log_id,
    };
    Checking::new(&place, &manifest, progress).run()
}

struct Checking<'a> {
    place: &'a Place,
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
    report: CheckReport,
    /// Where each partition goes on; `None` before its first segment.
    next: Option<Vec<Offset>>,
    /// Whether something was skipped in the segment, so that offsets jump.
    skipped: bool,
    last_group: u64,
}

/// A segment that belongs to the log.
struct Link {
    segment: Segment,
    base: Option<Base>,
    /// Where it ends and with which group, as the one after it says; `None` for the last, or if that cannot be read.
    end: Option<(u64, u64)>,
}

impl<'a> Checking<'a> {
    fn new(place: &'a Place, manifest: &Manifest, progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        let partitions = (0..manifest.partitions.get()).map(|number| PartitionReport {
            partition: Partition(number),
            first: Offset(0),
            next: Offset(0),
        });
        Self {
            place,
            progress,
            done: 0,
            total: 0,
            report: CheckReport {
                log_id: manifest.log_id,
                segments: 0,
                envelopes: 0,
                bytes: 0,
                partitions: partitions.collect(),
                closed: false,
                problems: Vec::new(),
            },
            next: None,
            skipped: false,
            last_group: 0,
        }
    }

    fn run(mut self) -> Result<CheckReport, CheckError> {
        let cursors = self.small(names::CURSORS, Cursors::decode)?;
        let snapshot = self.small(names::RECENT, Snapshot::decode)?;
        let first_segment = cursors.as_ref().map_or(0, |cursors| cursors.first_segment);
        let links = self.links(first_segment, cursors.is_some())?;
        if links.is_empty() && cursors.is_some() {
            self.problem(names::CURSORS, 0, "every segment is missing");
        }
        for link in &links {
            self.segment(link)?;
        }
        if let Some(next) = &self.next {
            for (report, next) in self.report.partitions.iter_mut().zip(next) {
                report.next = *next;
            }
        }
        self.check_cursors(cursors.as_ref());
        if let Some(snapshot) = snapshot.filter(|known| known.group > self.last_group) {
            let what = format!(
                "group {} was remembered, and the segments end with group {}",
                snapshot.group, self.last_group
            );
            self.problem(names::RECENT, 24, what);
        }
        (self.progress)(self.total, self.total);
        Ok(self.report)
    }

    fn problem(&mut self, file: &str, at: u64, what: impl fmt::Display) {
        self.report.problems.push(Damage::new(file, at, what));
    }

    /// Reads a small file, if it is there.
    fn small<T>(
        &mut self,
        name: &str,
        decode: impl FnOnce(&[u8]) -> Result<(LogId, T), Damage>,
    ) -> Result<Option<T>, CheckError> {
        let bytes = files::read_if_there(&*self.place.files, &self.place.path(name))
            .map_err(|source| Error::io(format_args!("reading {name}"), source))?;
        match bytes.map(|bytes| decode(&bytes)).transpose() {
            Ok(Some((log_id, _))) if log_id != self.place.log_id => {
                self.problem(name, 8, format_args!("of the log {log_id}"));
                Ok(None)
            }
            Ok(decoded) => Ok(decoded.map(|(_, contents)| contents)),
            Err(damage) => {
                self.report.problems.push(damage);
                Ok(None)
            }
        }
    }

    /// The segments that belong to the log, ascending.
    fn links(&mut self, first_segment: u64, known: bool) -> Result<Vec<Link>, CheckError> {
        let mut open = self.open_segments(first_segment)?;
        let mut bases = BTreeMap::new();
        for (sequence, segment) in &open {
            let first = Groups::new(segment, segment.bytes)
                .next()
                .map_err(reading(segment))?;
            let base = first.ok().and_then(|group| group.base);
            // One that was never written to has no frame at all.
            let begun = base.is_some()
                || Groups::new(segment, segment.bytes)
                    .later_group(segment::HEADER_BYTES, 0)
                    .map_err(reading(segment))?
                    .is_some();
            if begun {
                bases.insert(*sequence, base);
            }
        }
        let mut links: Vec<Link> = Vec::new();
        let mut wanted = bases.keys().next_back().copied();
        let mut end = None;
        while let Some(sequence) = wanted {
            let Some(segment) = open.remove(&sequence) else {
                if known && sequence >= first_segment {
                    self.problem(&names::segment(sequence), 0, "the segment is missing");
                }
                break;
            };
            let mut base = bases.remove(&sequence).flatten();
            // The last one may have been begun and not finished; then it does not count.
            if base.is_none() && links.is_empty() && !self.is_rotten(&segment)? {
                wanted = bases.keys().next_back().copied();
                continue;
            }
            if base.is_none() {
                base = lone_base(&segment)?;
            }
            let previous = base.as_ref().and_then(|base| base.previous);
            wanted = match &base {
                Some(_) => previous.map(|previous| previous.sequence),
                None => bases
                    .range(..sequence)
                    .next_back()
                    .map(|(sequence, _)| *sequence),
            };
            let before = base
                .as_ref()
                .and_then(|base| Some((previous?.end, base.last_group)));
            links.push(Link { segment, base, end });
            end = before;
        }
        links.reverse();
        Ok(links)
    }

    fn open_segments(&mut self, first_segment: u64) -> Result<BTreeMap<u64, Segment>, CheckError> {
        let listed = self.place.files.list(&self.place.directory);
        let listed = listed.map_err(|source| Error::io("looking for segments", source))?;
        let sequences: BTreeSet<u64> = listed
            .iter()
            .filter_map(|name| match names::parse(name) {
                Name::Segment(sequence) if sequence >= first_segment => Some(sequence),
                _ => None,
            })
            .collect();
        let mut open = BTreeMap::new();
        for sequence in sequences {
            match self.place.open_segment(sequence, false) {
                Ok(segment) => {
                    self.total += segment.bytes;
                    open.insert(sequence, segment);
                }
                Err(Error::Damaged(damage)) => self.report.problems.push(damage),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(open)
    }

    /// Whether a segment without a whole first group has a later one.
    fn is_rotten(&self, segment: &Segment) -> Result<bool, CheckError> {
        let mut groups = Groups::new(segment, segment.bytes);
        let first = groups
            .later_group(segment::HEADER_BYTES, 0)
            .map_err(reading(segment))?;
        let first = first.map_or(0, |(_, frame)| frame.group);
        let later = groups
            .later_group(segment::HEADER_BYTES, first)
            .map_err(reading(segment))?;
        Ok(later.is_some())
    }

    /// Reads all groups of a segment, also those after one that is damaged.
    fn segment(&mut self, link: &Link) -> Result<(), CheckError> {
        let segment = &link.segment;
        let name = names::segment(segment.sequence);
        self.report.segments += 1;
        self.start(link, &name);
        let problems = self.report.problems.len();
        let (done, end) = (self.done, link.end.map_or(segment.bytes, |(end, _)| end));
        let mut groups = Groups::new(segment, end);
        let mut index = Index::default();
        let (mut at, mut last_group, mut sealed) = (segment::HEADER_BYTES, 0, false);
        while at < end {
            let stop = match groups.next().map_err(reading(segment))? {
                Ok(group) => {
                    self.group(&name, &group, &mut index);
                    (at, last_group, sealed) = (group.end, group.number, group.seal);
                    (self.progress)(done + at, self.total);
                    continue;
                }
                Err(stop) => stop,
            };
            let begun = groups
                .later_group(at, last_group)
                .map_err(reading(segment))?;
            let torn = begun.as_ref().map_or(last_group, |(_, frame)| frame.group);
            let later = groups.later_group(stop.at, torn.max(last_group + 1));
            let later = later.map_err(reading(segment))?;
            if link.end.is_some() || later.is_some() {
                self.problem(&name, stop.at, &stop.what);
            }
            sealed &= begun.is_none();
            match later {
                Some((found, frame)) => {
                    groups.skip_to(found, frame.group);
                    at = found;
                    last_group = frame.group - 1;
                    self.skipped = true;
                }
                None => break,
            }
        }
        if let Some((end, expected)) = link.end
            && last_group != expected
        {
            let what = format!("it ends with group {last_group}, the next segment says {expected}");
            self.problem(&name, end, what);
        }
        if self.report.problems.len() == problems {
            self.sidecar(link, &index)?;
        }
        self.last_group = last_group;
        self.report.closed = sealed;
        self.done = done + segment.bytes;
        Ok(())
    }

    /// Compares where a segment starts with where the one before it ended.
    fn start(&mut self, link: &Link, name: &str) {
        let Some(base) = &link.base else {
            return;
        };
        if self.report.segments == 1 {
            for (report, next) in self.report.partitions.iter_mut().zip(&base.next) {
                report.first = *next;
            }
        }
        let fits = self.next.as_ref().is_none_or(|next| *next == base.next);
        if !fits {
            let what = "the base does not go on where the segment before it ends";
            self.problem(name, segment::HEADER_BYTES, what);
        }
        self.next = Some(base.next.clone());
        self.skipped = false;
    }

    fn group(&mut self, name: &str, group: &Group, index: &mut Index) {
        for placed in &group.envelopes {
            let (partition, bytes) = (
                placed.envelope.partition,
                placed.envelope.encoded_len() as u64,
            );
            self.report.envelopes += 1;
            self.report.bytes += bytes;
            index.add(partition, placed.offset, placed.at, bytes);
            let next = self.next.as_mut();
            let next = next.and_then(|next| next.get_mut(usize::from(partition.0)));
            let expected = next.as_deref().copied();
            if let Some(next) = next {
                *next = Offset(placed.offset.0.saturating_add(1));
            }
            if !self.skipped && expected.is_some_and(|expected| expected != placed.offset) {
                let what = format!(
                    "offset {} of partition {} does not follow what is before it",
                    placed.offset.0, partition.0
                );
                self.problem(name, placed.at, what);
            }
        }
    }

    /// Compares the index beside a segment, if there is one, with the segment.
    fn sidecar(&mut self, link: &Link, index: &Index) -> Result<(), CheckError> {
        let name = names::index(link.segment.sequence);
        let bytes = files::read_if_there(&*self.place.files, &self.place.path(&name))
            .map_err(|source| Error::io(format_args!("reading {name}"), source))?;
        let Some(bytes) = bytes else {
            return Ok(());
        };
        match Sidecar::decode(&bytes) {
            None => self.problem(
                &name,
                0,
                "it does not have the checksum that was written with it; it is made again when the journal is opened",
            ),
            // Of an earlier use of the file, or of before a recovery: it is not believed.
            Some(sidecar) if sidecar.salt != link.segment.salt => {}
            Some(sidecar) if link.end.is_some_and(|(end, _)| end != sidecar.end) => {}
            Some(sidecar) if !sidecar.index.is_same(index) => {
                self.problem(&name, 0, "it is not the index of its segment");
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn check_cursors(&mut self, cursors: Option<&Cursors>) {
        for (group, cursors) in cursors.iter().flat_map(|cursors| &cursors.groups) {
            for (partition, next) in cursors {
                let reports = &self.report.partitions;
                let end = reports
                    .get(usize::from(partition.0))
                    .map_or(Offset(0), |report| report.next);
                if *next > end {
                    let what = format!(
                        "the group {:?} has committed partition {} up to {}, which ends at {}",
                        group.0, partition.0, next.0, end.0
                    );
                    self.problem(names::CURSORS, 24, what);
                }
            }
        }
    }
}

/// The base of a segment whose first group is not whole, if the base itself is.
fn lone_base(segment: &Segment) -> Result<Option<Base>, CheckError> {
    let found = Window::new(segment, segment.bytes)
        .frame(segment::HEADER_BYTES)
        .map_err(reading(segment))?;
    Ok(match found {
        Ok((_, _, Contents::Base(base))) => Some(base),
        _ => None,
    })
}

fn reading(segment: &Segment) -> impl Fn(io::Error) -> Error {
    let name = names::segment(segment.sequence);
    move |source| Error::io(format_args!("reading {name}"), source)
}
