//! The files of blocks: their names, and how they come and go.
//!
//! A block `b` of a table has two files, `<table>-<b as 16 hexadecimal digits>.parquet` and `.index`. Both are written
//! under a name that ends in `.partial`, synced, and renamed; then the directory is synced. After a crash at any point
//! there are files that no catalog names, and [`list`] tells them.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{BlockError, BlockId};

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

/// The files of a block.
pub(crate) fn files(table: &str, id: BlockId) -> [String; 2] {
    [Role::Rows, Role::Index].map(|role| name(table, id, role))
}

/// What a directory holds of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The blocks that have both files, ascending.
    pub(crate) blocks: Vec<BlockId>,
    /// Files that belong to no whole block: left behind by a crash.
    pub(crate) stray: Vec<PathBuf>,
}

/// Looks for the files of a table. Files of other names are none of its business.
pub(crate) fn list(directory: &Path, table: &str) -> Result<Listing, BlockError> {
    let failed = BlockError::io(directory);
    let mut listing = Listing::default();
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if let Some((id, role)) = parse(table, &name) {
            found.push((id, role, entry.path()));
        } else if let Some(whole) = name.strip_suffix(PARTIAL)
            && parse(table, whole).is_some()
        {
            listing.stray.push(entry.path());
        }
    }
    for (id, role, path) in &found {
        let other = found.iter().any(|(of, also, _)| of == id && also != role);
        match (other, role) {
            (true, Role::Rows) => listing.blocks.push(*id),
            (true, Role::Index) => {}
            (false, _) => listing.stray.push(path.clone()),
        }
    }
    listing.blocks.sort_unstable();
    listing.stray.sort_unstable();
    Ok(listing)
}

/// Deletes the files of a block, as far as they are there: the index first, so that half a block is never taken for one.
pub(crate) fn remove(directory: &Path, table: &str, id: BlockId) -> Result<(), BlockError> {
    for role in [Role::Index, Role::Rows] {
        let path = directory.join(name(table, id, role));
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(BlockError::io(&path))?,
        }
    }
    sync_directory(directory)
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
    file: Option<BufWriter<File>>,
}

/// What the drafts of one file have in common with a system call: few are enough.
const BUFFER_BYTES: usize = 256 << 10;

impl Draft {
    pub(crate) fn create(directory: &Path, name: &str) -> Result<Self, BlockError> {
        let path = directory.join(name);
        let partial = directory.join(format!("{name}{PARTIAL}"));
        let file = File::create(&partial).map_err(BlockError::io(&partial))?;
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
        file.sync_all().map_err(&failed)?;
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
            // What stays is stray and found by `list`.
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
    fn whole_blocks_and_what_a_crash_left_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let touch = |name: &str| fs::write(directory.path().join(name), "").unwrap();
        for name in files("spans", BlockId(2))
            .iter()
            .chain(&files("spans", BlockId(1)))
        {
            touch(name);
        }
        touch("spans-0000000000000003.parquet");
        touch("spans-0000000000000004.index.partial");
        touch("logs-0000000000000005.index");
        touch("catalog");
        let listing = list(directory.path(), "spans").unwrap();
        assert_eq!(listing.blocks, [BlockId(1), BlockId(2)]);
        let stray = [
            "spans-0000000000000003.parquet",
            "spans-0000000000000004.index.partial",
        ];
        assert_eq!(listing.stray, stray.map(|name| directory.path().join(name)));
        remove(directory.path(), "spans", BlockId(1)).unwrap();
        remove(directory.path(), "spans", BlockId(1)).unwrap();
        assert_eq!(
            list(directory.path(), "spans").unwrap().blocks,
            [BlockId(2)]
        );
    }
}
