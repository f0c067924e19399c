//! Where rollups come from: the index file of a block, or the rows themselves, in memory or on disk.

use std::{borrow::Cow, sync::Arc};

use log_tracer_query::{Field, Intrinsic};

use super::{
    Rollup, Settings,
    cells::MINUTE_NANO,
    peers::PEER_KEYS,
    section::{Head, PREFIX_BYTES, Part},
};
use crate::{
    TimeRange,
    block::{Block, BlockError, Columns, LoadedRollup, Malformed, Picked, Place, Storable},
    stop::Progress,
    table::Snapshot,
};

/// Minutes, from the start (inclusive) to the end (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Minutes {
    pub(crate) start: u32,
    /// None is no end.
    pub(crate) end: Option<u32>,
}

impl Minutes {
    /// All minutes that a range touches.
    pub(crate) fn of(range: TimeRange) -> Self {
        let minute = |nano: u64| (nano / MINUTE_NANO) as u32;
        Self {
            start: minute(range.start_unix_nano),
            end: range
                .end_unix_nano
                .map(|end| end.div_ceil(MINUTE_NANO) as u32),
        }
    }

    pub(crate) fn contains(self, minute: u32) -> bool {
        self.start <= minute && self.end.is_none_or(|end| minute < end)
    }

    /// So many more on either side.
    pub(crate) fn widened(self, by: u32) -> Self {
        Self {
            start: self.start.saturating_sub(by),
            end: self.end.map(|end| end.saturating_add(by)),
        }
    }

    pub(crate) fn range(self) -> TimeRange {
        let nano = |minute: u32| u64::from(minute).saturating_mul(MINUTE_NANO);
        TimeRange {
            start_unix_nano: nano(self.start),
            end_unix_nano: self.end.map(nano),
        }
    }
}

/// The rollups of one place.
#[derive(Debug)]
pub(crate) struct Source<'s, C> {
    loaded: Arc<LoadedRollup>,
    /// None of rows in memory.
    block: Option<&'s Block<C>>,
}

impl<C: Storable> Source<'_, C> {
    pub(crate) fn head(&self) -> &Head {
        &self.loaded.head
    }

    /// The block that has it; none of rows in memory.
    pub(crate) fn block(&self) -> Option<&Block<C>> {
        self.block
    }

    /// The parts of the minutes that are asked for.
    pub(crate) fn parts(&self, minutes: Minutes) -> impl Iterator<Item = &Part> {
        let parts = self.head().parts.iter();
        parts.filter(move |part| minutes.contains(part.minute))
    }

    /// The cells of the series of a minute, and of its edges.
    pub(crate) fn read(&self, part: &Part) -> Result<(Cow<'_, [u8]>, usize), BlockError> {
        let bytes = self.bytes(part.offset, part.bytes(), part.checksum)?;
        Ok((bytes, part.series_bytes as usize))
    }

    pub(crate) fn read_links(&self) -> Result<Cow<'_, [u8]>, BlockError> {
        let links = self.head().links;
        self.bytes(links.offset, links.bytes as usize, links.checksum)
    }

    fn bytes(
        &self,
        offset: u64,
        length: usize,
        checksum: u32,
    ) -> Result<Cow<'_, [u8]>, BlockError> {
        match (&self.loaded.parts, self.block) {
            (None, Some(block)) => {
                let offset = self.loaded.parts_at + offset;
                block.rollup_part(offset, length, checksum).map(Cow::Owned)
            }
            (parts, _) => {
                let parts = parts.as_deref().unwrap_or_default();
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes = parts.get(start..start.saturating_add(length));
                Ok(Cow::Borrowed(bytes.unwrap_or_default()))
            }
        }
    }

    /// An error that says of which file it is.
    pub(crate) fn corrupt(&self, reason: Malformed) -> BlockError {
        match self.block {
            Some(block) => block.rollup_is_wrong(reason),
            None => BlockError::corrupt("memory".as_ref(), reason),
        }
    }
}

/// Hands the rollups of each place that has rows in the minutes to `visit`; false ends it. What cannot be read makes the
/// answer partial, and so does a stop.
pub(crate) fn for_each_source<C: Storable>(
    snapshot: &Snapshot<C>,
    minutes: Minutes,
    settings: Settings,
    progress: &mut Progress<'_>,
    visit: impl FnMut(&Source<'_, C>, &mut Progress<'_>) -> Result<bool, BlockError>,
) {
    Sources::new(snapshot, minutes, settings, progress).for_each(progress, visit);
}

/// The places that have rows in some minutes: to go through them more than once, the rows in memory are summed up once.
#[derive(Debug)]
pub(crate) struct Sources<'s, C> {
    snapshot: &'s Snapshot<C>,
    range: TimeRange,
    in_memory: Option<Arc<LoadedRollup>>,
}

impl<'s, C: Storable> Sources<'s, C> {
    pub(crate) fn new(
        snapshot: &'s Snapshot<C>,
        minutes: Minutes,
        settings: Settings,
        progress: &mut Progress<'_>,
    ) -> Self {
        let range = minutes.range();
        Self {
            snapshot,
            range,
            in_memory: in_memory(snapshot, range, settings, progress).map(Arc::new),
        }
    }

    /// Hands the rollups of each to `visit`, until it answers false. True when it never did, and nothing stopped it.
    pub(crate) fn for_each(
        &self,
        progress: &mut Progress<'_>,
        mut visit: impl FnMut(&Source<'_, C>, &mut Progress<'_>) -> Result<bool, BlockError>,
    ) -> bool {
        let faults = &self.snapshot.faults;
        if let Some(loaded) = &self.in_memory {
            let source = Source {
                loaded: Arc::clone(loaded),
                block: None,
            };
            match visit(&source, progress) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => progress.coverage.miss(faults.note(&error)),
            }
        }
        for block in &self.snapshot.blocks {
            let bounds = block.bounds();
            if !self.range.overlaps(bounds.first, bounds.last) {
                continue;
            }
            if !progress.look() {
                return false;
            }
            let loaded = block.rollup(|| scan(block, progress));
            let visited = loaded.and_then(|loaded| match loaded {
                None => Ok(false),
                Some(loaded) => visit(
                    &Source {
                        loaded,
                        block: Some(block),
                    },
                    progress,
                ),
            });
            match visited {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => progress.coverage.miss(faults.note(&error)),
            }
        }
        true
    }
}

/// The rollups of the rows in memory; none when no row is in the range. What was not looked at because of a stop makes
/// the answer partial.
fn in_memory<C: Storable>(
    snapshot: &Snapshot<C>,
    range: TimeRange,
    settings: Settings,
    progress: &mut Progress<'_>,
) -> Option<LoadedRollup> {
    let overlaps = |chunk: &&Arc<C>| {
        let bounds = chunk.bounds();
        chunk.rows() > 0 && range.overlaps(bounds.first, bounds.last)
    };
    let mut rollup = None;
    for chunk in snapshot.chunks.iter().filter(overlaps) {
        if !progress.scan(chunk.rows() as u64) {
            break;
        }
        add_all(chunk, rollup.get_or_insert_with(|| Rollup::new(settings)));
    }
    LoadedRollup::of_rows(C::rolled_up(rollup?)).ok()
}

/// Works the rollups of a block out that has none; none when it was stopped.
pub(crate) fn scan<C: Storable>(
    block: &Block<C>,
    progress: &mut Progress<'_>,
) -> Result<Option<Vec<u8>>, BlockError> {
    let columns = columns();
    // All of it, edges too: what is found is kept for the next question.
    let mut rollup = Rollup::new(Settings::default());
    for (number, piece) in block.pieces().iter().enumerate() {
        if !progress.scan(piece.rows.len() as u64) || !progress.look() {
            return Ok(None);
        }
        progress.coverage.pieces_read += 1;
        add_all(&block.read(number, &columns)?, &mut rollup);
    }
    Ok(Some(C::rolled_up(rollup)))
}

/// Adds all rows of a chunk.
pub(crate) fn add_all<C: Storable>(chunk: &Arc<C>, rollup: &mut Rollup) {
    let place = |row| Place { chunk: 0, row };
    let places: Vec<Place> = (0..chunk.rows() as u32).map(place).collect();
    let picked = Picked {
        chunks: std::slice::from_ref(chunk),
        places: &places,
    };
    C::roll_up(picked, rollup);
}

/// What rollups look at.
fn columns() -> Columns {
    let intrinsics = [
        Intrinsic::Name,
        Intrinsic::Kind,
        Intrinsic::Severity,
        Intrinsic::Duration,
        Intrinsic::SpanId,
        Intrinsic::ParentId,
    ];
    let attributes = PEER_KEYS.map(|key| Field::Attribute(key.to_owned()));
    let fields = intrinsics.map(Field::Intrinsic).into_iter();
    Columns {
        fields: fields.chain(attributes).collect(),
        levels: true,
        resources: true,
        traces: true,
        flags: true,
        ..Columns::default()
    }
}

/// The section as it is loaded from its bytes.
pub(crate) fn split(section: &[u8]) -> Result<(Head, usize), Malformed> {
    let mut input = crate::block::Input::new(section);
    let (length, checksum) = (input.u32()? as usize, input.u32()?);
    let head = input.take(length)?;
    if crc32c::crc32c(head) != checksum {
        return Err(Malformed::new(
            "the checksum of the head of its rollups is wrong",
        ));
    }
    Ok((Head::decode(head)?, PREFIX_BYTES + length))
}
