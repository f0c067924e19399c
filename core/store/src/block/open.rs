//! An open block.

mod needles;
mod traces;

use std::{
    fs::File,
    marker::PhantomData,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::{
    BlockCache, BlockError, BlockInfo, Columns, OperationCount, PieceInfo, ServiceCount, Storable,
    assemble::wanted,
    cache::Cached,
    decode::Footer,
    error::Malformed,
    files::{self, Role},
    index::{
        self, Index, Kind, Section, decode_operations, decode_pieces, decode_services,
        decode_summary, read_directory,
        service_sets::ServiceSets,
        tally::Tally,
        traces::{Leaf, decode_directory},
    },
    verified::{Extents, VerifiedFile},
};
use crate::chunk::TimeBounds;

pub(crate) use traces::LEAVES_AT_ONCE;

/// An open block. Reading never changes it; whoever holds it can read it although its files were deleted meanwhile
/// with [`Block::delete`].
#[derive(Debug)]
pub(crate) struct Block<C> {
    info: BlockInfo,
    directory: PathBuf,
    cache: Arc<BlockCache>,
    owner: u64,
    pieces: Vec<PieceInfo>,
    index: Index,
    rows_file: FileOf,
    index_file: FileOf,
    rows: PhantomData<fn() -> C>,
}

/// A file that is opened when it is needed.
#[derive(Debug)]
struct FileOf {
    path: Arc<PathBuf>,
    /// Kept open because its name is gone.
    pinned: OnceLock<Arc<File>>,
}

impl FileOf {
    fn new(directory: &Path, name: &str) -> Self {
        Self {
            path: Arc::new(directory.join(name)),
            pinned: OnceLock::new(),
        }
    }

    fn open(&self) -> Result<File, BlockError> {
        File::open(self.path.as_path()).map_err(BlockError::io(&self.path))
    }

    fn length(&self, file: &File) -> Result<u64, BlockError> {
        let metadata = file.metadata().map_err(BlockError::io(&self.path))?;
        Ok(metadata.len())
    }

    fn corrupt(&self, reason: Malformed) -> BlockError {
        BlockError::corrupt(&self.path, reason)
    }

    fn read(&self, file: &File, offset: u64, length: usize) -> Result<Vec<u8>, BlockError> {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset)
            .map_err(BlockError::io(&self.path))?;
        Ok(bytes)
    }

    /// Reads a part that has a checksum of its own.
    fn read_checked(
        &self,
        file: &File,
        offset: u64,
        length: usize,
        checksum: u32,
        what: &str,
    ) -> Result<Vec<u8>, BlockError> {
        let bytes = self.read(file, offset, length)?;
        if crc32c::crc32c(&bytes) != checksum {
            return Err(self.corrupt(wrong_checksum(what, length, offset)));
        }
        Ok(bytes)
    }
}

fn wrong_checksum(what: &str, length: usize, offset: u64) -> Malformed {
    Malformed(format!(
        "the checksum of its {what}, {length} bytes at {offset}, is wrong"
    ))
}

impl<C: Storable> Block<C> {
    /// Opens a block: reads the small parts of its index.
    ///
    /// # Errors
    /// A file is not there, or is not what was written.
    pub(crate) fn open(
        directory: &Path,
        info: &BlockInfo,
        cache: &Arc<BlockCache>,
    ) -> Result<Self, BlockError> {
        let of = |role| FileOf::new(directory, &files::name(C::TABLE, info.id, role));
        let (rows_file, index_file) = (of(Role::Rows), of(Role::Index));
        let owner = cache.owner();
        let opened = cache.file(owner, true, || index_file.open())?;
        let (index, said) = read_index::<C>(&index_file, &opened)?;
        let length = std::fs::metadata(rows_file.path.as_path())
            .map_err(BlockError::io(&rows_file.path))?
            .len();
        if length != index.extents.length {
            let expected = index.extents.length;
            let reason = format!("it has {length} bytes where {expected} were written");
            return Err(rows_file.corrupt(Malformed(reason)));
        }
        let said = BlockInfo {
            bytes: length + index_file.length(&opened)?,
            ..said
        };
        if said != *info {
            let reason = "it is of another block than the catalog says";
            return Err(index_file.corrupt(Malformed::new(reason)));
        }
        Ok(Self {
            info: said,
            directory: directory.to_owned(),
            cache: Arc::clone(cache),
            owner,
            pieces: index
                .pieces
                .iter()
                .map(|piece| piece.info.clone())
                .collect(),
            index,
            rows_file,
            index_file,
            rows: PhantomData,
        })
    }

    /// What the catalog keeps of it.
    pub(crate) fn info(&self) -> &BlockInfo {
        &self.info
    }

    pub(crate) fn bounds(&self) -> TimeBounds {
        TimeBounds {
            first: self.info.first_unix_nano,
            last: self.info.last_unix_nano,
        }
    }

    /// The pieces, in the order of time.
    pub(crate) fn pieces(&self) -> &[PieceInfo] {
        &self.pieces
    }

    /// The rows of a piece with the columns that are asked for; the others are as if they were empty. Row 0 of the chunk
    /// is the first row of the piece.
    pub(crate) fn read(&self, piece: usize, columns: &Columns) -> Result<Arc<C>, BlockError> {
        let rows = self
            .pieces
            .get(piece)
            .map_or(0..0, |piece| piece.rows.clone());
        let rows = rows.start as usize..rows.end as usize;
        self.decode(&[rows], columns).map(Arc::new)
    }

    /// Some rows of the block, named by their numbers in the block, ascending; row 0 of the chunk is the first of them.
    pub(crate) fn take(&self, rows: &[u32], columns: &Columns) -> Result<C, BlockError> {
        let runs = rows.chunk_by(|a, b| a + 1 == *b);
        let ranges: Vec<Range<usize>> = runs
            .filter_map(|run| Some(*run.first()? as usize..*run.last()? as usize + 1))
            .collect();
        self.decode(&ranges, columns)
    }

    fn decode(&self, ranges: &[Range<usize>], columns: &Columns) -> Result<C, BlockError> {
        let file = self.verified()?;
        let footer = self.footer(&file)?;
        if ranges.last().is_some_and(|range| range.end > footer.rows()) {
            let reason = format!("it has {} rows, fewer than were asked for", footer.rows());
            return Err(self.rows_file.corrupt(Malformed(reason)));
        }
        let wanted = wanted(&footer, columns, &C::COLUMNS_OF);
        let decoded = footer.decode(&file, ranges, &wanted)?;
        C::assemble(&decoded, columns, &self.cache).map_err(|reason| self.rows_file.corrupt(reason))
    }

    /// How many rows each service has.
    pub(crate) fn services(&self) -> Result<Vec<ServiceCount>, BlockError> {
        let bytes = self.section(Kind::Services)?;
        decode_services(&bytes).map_err(|reason| self.index_file.corrupt(reason))
    }

    /// How many spans each operation has; none in a block of logs.
    pub(crate) fn operations(&self) -> Result<Vec<OperationCount>, BlockError> {
        let bytes = self.section(Kind::Operations)?;
        decode_operations(&bytes).map_err(|reason| self.index_file.corrupt(reason))
    }

    /// How many rows of each service and grade each piece has; none in a block that was written before this was kept.
    pub(crate) fn tally(&self) -> Result<Option<Arc<Tally>>, BlockError> {
        if !self.index.sections.contains_key(&Kind::Tally) {
            return Ok(None);
        }
        let tally = self.cache.get(self.owner, Cached::Tally, || {
            let tally = Tally::decode(&self.section(Kind::Tally)?)
                .map_err(|reason| self.index_file.corrupt(reason))?;
            if tally.pieces() != self.pieces.len() {
                let reason = format!(
                    "it counts {} of {} pieces",
                    tally.pieces(),
                    self.pieces.len()
                );
                return Err(self.index_file.corrupt(Malformed(reason)));
            }
            let bytes = tally.bytes();
            Ok((tally, bytes))
        })?;
        Ok(Some(tally))
    }

    /// Which services, by their numbers in the tally, and grades its traces have; none where that is not told.
    pub(crate) fn service_sets(&self) -> Result<Option<Arc<ServiceSets>>, BlockError> {
        if !self.index.sections.contains_key(&Kind::ServiceSets) {
            return Ok(None);
        }
        let services = self.tally()?.map_or(0, |tally| tally.services.len());
        let sets = self.cache.get(self.owner, Cached::ServiceSets, || {
            let sets = ServiceSets::decode(&self.section(Kind::ServiceSets)?, services);
            let sets = sets.map_err(|reason| self.index_file.corrupt(reason))?;
            let bytes = sets.bytes();
            Ok((sets, bytes))
        })?;
        Ok(Some(sets))
    }

    /// Deletes the files. Whoever holds the block can read it as before.
    pub(crate) fn delete(&self) -> Result<(), BlockError> {
        for (of, is_index) in [(&self.rows_file, false), (&self.index_file, true)] {
            // One that cannot be opened cannot be read later either.
            if let Ok(file) = self.file(of, is_index) {
                of.pinned.get_or_init(|| file);
            }
        }
        files::delete::<C>(&self.directory, self.info.id)?;
        files::sync_directory(&self.directory)
    }

    pub(super) fn cache(&self) -> &BlockCache {
        &self.cache
    }

    fn row_count(&self) -> u32 {
        u32::try_from(self.info.rows).unwrap_or(u32::MAX)
    }

    fn file(&self, of: &FileOf, is_index: bool) -> Result<Arc<File>, BlockError> {
        match of.pinned.get() {
            Some(file) => Ok(Arc::clone(file)),
            None => self.cache.file(self.owner, is_index, || of.open()),
        }
    }

    pub(super) fn verified(&self) -> Result<VerifiedFile, BlockError> {
        let file = self.file(&self.rows_file, false)?;
        let path = Arc::clone(&self.rows_file.path);
        Ok(VerifiedFile::new(
            path,
            file,
            Arc::clone(&self.index.extents),
        ))
    }

    pub(super) fn footer(&self, file: &VerifiedFile) -> Result<Arc<Footer>, BlockError> {
        self.cache.get(self.owner, Cached::Footer, || {
            let footer = Footer::read(file, C::TABLE)?;
            let bytes = footer.bytes();
            Ok((footer, bytes))
        })
    }

    /// What the index knows of a piece.
    pub(super) fn piece(&self, number: usize) -> Option<&index::Piece> {
        self.index.pieces.get(number)
    }

    pub(super) fn section(&self, kind: Kind) -> Result<Vec<u8>, BlockError> {
        let file = self.file(&self.index_file, true)?;
        match self.index.sections.get(&kind) {
            Some(section) => read_section(&self.index_file, &file, section, kind),
            None => Ok(Vec::new()),
        }
    }

    /// Some bytes of a section that have a checksum of their own; none when there is no such section.
    pub(super) fn part_of_section(
        &self,
        kind: Kind,
        offset: u64,
        length: usize,
        checksum: Option<u32>,
    ) -> Result<Option<Vec<u8>>, BlockError> {
        let Some(section) = self.index.sections.get(&kind) else {
            return Ok(None);
        };
        let end = offset.checked_add(length as u64);
        if end.is_none_or(|end| end > section.length) {
            let reason = format!("section {} ends too early", kind as u32);
            return Err(self.index_file.corrupt(Malformed(reason)));
        }
        let file = self.file(&self.index_file, true)?;
        let at = section.offset + offset;
        let bytes = match checksum {
            None => self.index_file.read(&file, at, length)?,
            Some(checksum) => {
                let what = format!("section {}", kind as u32);
                self.index_file
                    .read_checked(&file, at, length, checksum, &what)?
            }
        };
        Ok(Some(bytes))
    }

    /// What is cached of the block, or what `read` answers.
    pub(super) fn cached<T: Send + Sync + 'static, E>(
        &self,
        what: Cached,
        read: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        self.cache.get(self.owner, what, read)
    }

    /// The kinds of the sections of the index, and their bytes.
    pub(super) fn section_bytes(&self) -> Vec<(u32, u64)> {
        let sections = self.index.sections.iter();
        let mut bytes: Vec<_> = sections
            .map(|(kind, section)| (*kind as u32, section.length))
            .collect();
        bytes.sort_unstable();
        bytes
    }

    pub(super) fn index_path(&self) -> &Path {
        &self.index_file.path
    }

    pub(super) fn rows_path(&self) -> &Path {
        &self.rows_file.path
    }
}

impl<C> Drop for Block<C> {
    fn drop(&mut self) {
        self.cache.forget(self.owner);
    }
}

fn read_section(
    of: &FileOf,
    file: &File,
    section: &Section,
    kind: Kind,
) -> Result<Vec<u8>, BlockError> {
    let length = usize::try_from(section.length).unwrap_or(usize::MAX);
    let what = format!("section {}", kind as u32);
    of.read_checked(file, section.offset, length, section.checksum, &what)
}

/// Reads what stays in memory of an index, and what it says of its block.
fn read_index<C: Storable>(of: &FileOf, file: &File) -> Result<(Index, BlockInfo), BlockError> {
    let length = of.length(file)?;
    let sections = read_directory(length, |offset, length| {
        of.read(file, offset, length).map_err(Failure::Block)
    })
    .map_err(|failure| failure.into_error(of))?;
    let read = |kind| {
        let section = sections
            .get(&kind)
            .ok_or_else(|| of.corrupt(Malformed(format!("it has no section {}", kind as u32))))?;
        read_section(of, file, section, kind)
    };
    let corrupt = |reason| of.corrupt(reason);
    let info = decode_summary(C::TABLE, &read(Kind::Summary)?).map_err(corrupt)?;
    let index = Index {
        pieces: decode_pieces(&read(Kind::Pieces)?).map_err(corrupt)?,
        leaves: decode_directory(&read(Kind::Leaves)?).map_err(corrupt)?,
        extents: Arc::new(Extents::decode(&read(Kind::Extents)?).map_err(corrupt)?),
        sections,
    };
    check_index(&index, &info).map_err(corrupt)?;
    Ok((index, info))
}

fn check_index(index: &Index, info: &BlockInfo) -> Result<(), Malformed> {
    let rows = index
        .pieces
        .last()
        .map_or(0, |piece| u64::from(piece.info.rows.end));
    if rows != info.rows {
        return Err(Malformed(format!(
            "its pieces have {rows} of {} rows",
            info.rows
        )));
    }
    let length_of = |kind| {
        index
            .sections
            .get(&kind)
            .map_or(0, |section| section.length)
    };
    let filters = index.pieces.last();
    let filters = filters.map_or(0, |piece| piece.filter_at + u64::from(piece.filter_length));
    let fits = |leaf: &Leaf| {
        let end = leaf.offset.checked_add(u64::from(leaf.length));
        end.is_some_and(|end| end <= length_of(index.entries().section()))
    };
    if filters != length_of(index::Kind::Filters) || !index.leaves.iter().all(fits) {
        return Err(Malformed::new("its parts do not fit"));
    }
    Ok(())
}

/// Why the directory cannot be read.
enum Failure {
    Block(BlockError),
    Malformed(Malformed),
}

impl From<Malformed> for Failure {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

impl Failure {
    fn into_error(self, of: &FileOf) -> BlockError {
        match self {
            Self::Block(error) => error,
            Self::Malformed(reason) => of.corrupt(reason),
        }
    }
}
