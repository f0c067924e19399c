//! What the journal asks of a file system and of a clock. Everything that it does to a disk passes these two traits, so
//! that a failing disk and a lost machine are test doubles.

mod real;

use std::{fmt::Debug, io, io::IoSlice, path::Path, sync::Arc, time::Duration};

pub use real::RealFiles;

/// A file system.
///
/// What was done to a directory (a file created, renamed or removed) is certain to survive a crash of the machine only
/// after [`Files::sync_dir`]; what was written to a file only after [`File::sync_data`].
pub trait Files: Debug + Send + Sync + 'static {
    /// Makes one directory.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when its parent does not exist, [`io::ErrorKind::AlreadyExists`] when it does.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a new, empty file for reading and writing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] when there is one.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading and, if asked, for writing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is none.
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name, in one step, also when a file of that name exists.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Those who have it open go on reading it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a directory, in any order.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is no such directory.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// How much room the file system of a directory has.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Locks a file, making it if it does not exist, until the guard is dropped or the process ends. `None` when
    /// another holds it.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Option<Box<dyn Lock>>>;

    /// The time of day in milliseconds since 1970-01-01T00:00:00Z. May jump.
    fn unix_millis(&self) -> u64;

    /// The time since some moment before this was first called. Never jumps.
    fn monotonic(&self) -> Duration;
}

/// An open file.
pub trait File: Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether there is nothing in it.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads some of the bytes from a position on, and says how many; 0 at the end.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::Interrupted`] when it is to be tried again.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes some of the bytes to a position, and says how many.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::Interrupted`] when it is to be tried again.
    fn write_at(&self, pieces: &[IoSlice<'_>], at: u64) -> io::Result<usize>;

    /// Makes what was written, and the length, durable.
    ///
    /// # Errors
    ///
    /// What the system says. After an error nobody knows what is durable, and asking again tells nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file or makes it longer with zeros.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Asks the system to forget what it remembers of the file, so that the next read comes from the disk.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn drop_cache(&self) -> io::Result<()>;
}

/// A lock that is held until this is dropped.
pub trait Lock: Debug + Send + Sync {
    /// Replaces the text in the lock's file, for people who wonder who holds it.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn write(&mut self, text: &str) -> io::Result<()>;
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// By one only.
    Exclusive,
    /// By any number of those who hold it so. The lock's file must exist.
    Shared,
}

/// The room of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that can still be used.
    pub free_bytes: u64,
    /// Bytes altogether.
    pub total_bytes: u64,
}

/// Writes all of the pieces, one after the other.
pub(crate) fn write_all(
    file: &dyn File,
    mut pieces: &mut [IoSlice<'_>],
    mut at: u64,
) -> io::Result<()> {
    // Empty pieces in front would look like a write that does not get on.
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match file.write_at(pieces, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut pieces, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes a file durable, also when a signal comes in between.
pub(crate) fn sync(file: &dyn File) -> io::Result<()> {
    loop {
        match file.sync_data() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads as much as there is, up to so many bytes.
pub(crate) fn read_up_to(file: &dyn File, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

/// Fills the rest of a new file with zeros and makes it durable, so that writing into it later needs no new blocks.
pub(crate) fn fill_with_zeros(file: &dyn File, bytes: u64) -> io::Result<()> {
    const PIECE: usize = 1 << 20;
    let zeros = vec![0; PIECE];
    let mut at = 0;
    while at < bytes {
        let piece = usize::try_from(bytes - at).unwrap_or(PIECE).min(PIECE);
        let zeros = zeros.get(..piece).unwrap_or_default();
        write_all(file, &mut [IoSlice::new(zeros)], at)?;
        at += piece as u64;
    }
    sync(file)
}

/// Replaces a small file as a whole: after a crash there is the old one or the new one.
pub(crate) fn replace(files: &dyn Files, path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    remove_if_there(files, &temporary)?;
    let file = files.create(&temporary)?;
    write_all(&*file, &mut [IoSlice::new(contents)], 0)?;
    sync(&*file)?;
    files.rename(&temporary, path)?;
    files.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The contents of a small file, or `None` if there is none.
pub(crate) fn read_if_there(files: &dyn Files, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match files.open(path, false) {
        Ok(file) => {
            let bytes = usize::try_from(file.len()?).unwrap_or(usize::MAX);
            read_up_to(&*file, 0, bytes).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn remove_if_there(files: &dyn Files, path: &Path) -> io::Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a directory and those above it, each durable in the one above.
pub(crate) fn create_dirs(files: &dyn Files, path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    match files.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_dirs(files, parent)?;
            files.create_dir(path)?;
        }
        // One that was just made by somebody who then crashed may not be durable yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    files.sync_dir(parent)
}
