//! The files of blocks: their names, and how they come and go.
//!
//! A block `b` of a table has two files, `<table>-<b as 16 hexadecimal digits>.parquet` and `.index`. Both are written
//! under a name that ends in `.partial`, synced, and renamed; then the directory is synced. After a crash at any point
//! there are files that no catalog names, and [`owner_of`] tells whose they would be.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{BlockError, BlockId, Storable};
use crate::chunk::{LogChunk, SpanChunk};

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The rows.
    Rows,
    /// The index.
    Index,
}

impl Role {
    const fn extension(self) -> &'static str {
        match self {
            Self::Rows => "parquet",
            Self::Index => "index",
        }
    }
}

const PARTIAL: &str = ".partial";

/// The name of a file of a block.
pub(crate) fn name(table: &str, id: BlockId, role: Role) -> String {
    format!("{table}-{id}.{}", role.extension())
}

/// What a name says; none when it is of no block of the table.
pub(crate) fn parse(table: &str, name: &str) -> Option<(BlockId, Role)> {
    let rest = name.strip_prefix(table)?.strip_prefix('-')?;
    let (digits, extension) = rest.split_once('.')?;
    let role = [Role::Rows, Role::Index]
        .into_iter()
        .find(|role| role.extension() == extension)?;
    let id = BlockId(u64::from_str_radix(digits, 16).ok()?);
    // Only the one spelling that `name` gives.
    (self::name(table, id, role) == name).then_some((id, role))
}

/// The table and the block that a file is of, also of one that was not finished; none for a file that is of no block.
pub(crate) fn owner_of(name: &str) -> Option<(&'static str, BlockId)> {
    let name = name.strip_suffix(PARTIAL).unwrap_or(name);
    let mut tables = [SpanChunk::TABLE, LogChunk::TABLE].into_iter();
    tables.find_map(|table| Some((table, parse(table, name)?.0)))
}

/// The Parquet file of a block.
pub(crate) fn rows_path<C: Storable>(directory: &Path, id: BlockId) -> PathBuf {
    directory.join(name(C::TABLE, id, Role::Rows))
}

/// Deletes the files of a block, those that are there, finished or not.
pub(crate) fn delete<C: Storable>(directory: &Path, id: BlockId) -> Result<(), BlockError> {
    for role in [Role::Index, Role::Rows] {
        let name = name(C::TABLE, id, role);
        for name in [format!("{name}{PARTIAL}"), name] {
            let path = directory.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(BlockError::io(&path))?,
            }
        }
    }
    Ok(())
}

pub(crate) fn sync_directory(directory: &Path) -> Result<(), BlockError> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(BlockError::io(directory))
}

/// A file that is being written. Dropped without [`Self::publish`], it is deleted if that can be done.
#[derive(Debug)]
pub(crate) struct Draft {
    partial: PathBuf,
    path: PathBuf,
    file: Option<BufWriter<Paced>>,
}

/// What the drafts of one file have in common with a system call: few are enough.
const BUFFER_BYTES: usize = 256 << 10;

/// So much of a file is handed to the disk at once: whoever else waits for it, a request that is to be acknowledged or
/// another block, waits for this and not for the whole file.
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// A file that is synced piece by piece while it is written.
#[derive(Debug)]
struct Paced {
    file: File,
    unsynced: u64,
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(SYNC_EVERY_BYTES.saturating_sub(self.unsynced));
        let length = bytes.len().min(room.unwrap_or(usize::MAX));
        let some = bytes.get(..length).unwrap_or(bytes);
        let written = self.file.write(some)?;
        self.unsynced += written as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Draft {
    pub(crate) fn create(directory: &Path, name: &str) -> Result<Self, BlockError> {
        let path = directory.join(name);
        let partial = directory.join(format!("{name}{PARTIAL}"));
        let file = Paced {
            file: File::create(&partial).map_err(BlockError::io(&partial))?,
            unsynced: 0,
        };
        Ok(Self {
            partial,
            path,
            file: Some(BufWriter::with_capacity(BUFFER_BYTES, file)),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the bytes durable under the final name, once the directory is synced.
    pub(crate) fn publish(mut self) -> Result<(), BlockError> {
        let failed = BlockError::io(&self.partial);
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let file = file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.file.sync_all().map_err(&failed)?;
        fs::rename(&self.partial, &self.path).map_err(&failed)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.file.is_some() {
            // What stays is found when the store is opened.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_no_other_spelling_of_it_is() {
        let id = BlockId(0xab);
        let rows = name("spans", id, Role::Rows);
        assert_eq!(rows, "spans-00000000000000ab.parquet");
        assert_eq!(parse("spans", &rows), Some((id, Role::Rows)));
        assert_eq!(parse("logs", &rows), None);
        for odd in [
            "spans-ab.parquet",
            "spans-00000000000000AB.parquet",
            "spans-+0000000000000ab.index",
            "spans-00000000000000ab.index.partial",
            "spans-00000000000000ab",
        ] {
            assert_eq!(parse("spans", odd), None, "{odd}");
        }
    }

    #[test]
    fn files_that_were_not_finished_are_of_a_block_too() {
        let owner = Some(("logs", BlockId(5)));
        assert_eq!(owner_of("logs-0000000000000005.index"), owner);
        assert_eq!(owner_of("logs-0000000000000005.parquet.partial"), owner);
        assert_eq!(owner_of("logs-0000000000000005"), None);
        assert_eq!(owner_of("catalog.redb"), None);
    }

    #[test]
    fn a_draft_has_no_final_name_before_it_is_published_and_none_after_it_was_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let files = || fs::read_dir(directory.path()).unwrap().count();
        let mut draft = Draft::create(directory.path(), "a.parquet").unwrap();
        draft.write_all(b"abc").unwrap();
        assert!(!draft.path().exists() && files() == 1);
        drop(draft);
        assert_eq!(files(), 0);
        let mut draft = Draft::create(directory.path(), "a.parquet").unwrap();
        draft.write_all(b"abc").unwrap();
        draft.publish().unwrap();
        assert_eq!(
            fs::read(directory.path().join("a.parquet")).unwrap(),
            b"abc"
        );
        assert_eq!(files(), 1);
    }
}
