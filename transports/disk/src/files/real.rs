//! The file system of this machine.

use std::{
    fs::{self, OpenOptions, TryLockError},
    io::{self, IoSlice, Seek, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{Advice, fadvise, statvfs};

use super::{File, Files, Lock, LockKind, Space};

/// Pieces that a system takes in one call; Linux takes 1024.
const PIECES_MAX: usize = 1024;

/// The file system and the clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct RealFiles {
    started: Instant,
}

impl Default for RealFiles {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Files for RealFiles {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(write).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = statvfs(path)?;
        Ok(Space {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }

    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Option<Box<dyn Lock>>> {
        let mut options = OpenOptions::new();
        let file = match kind {
            LockKind::Exclusive => options.read(true).write(true).create(true).truncate(false),
            LockKind::Shared => options.read(true),
        }
        .open(path)?;
        let locked = match kind {
            LockKind::Exclusive => file.try_lock(),
            LockKind::Shared => file.try_lock_shared(),
        };
        match locked {
            Ok(()) => Ok(Some(Box::new(RealLock(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unix_millis(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        match pieces {
            [piece] => self.0.write_at(piece, at),
            pieces => {
                let pieces = pieces.get(..PIECES_MAX).unwrap_or(pieces);
                Ok(rustix::io::pwritev(&self.0, pieces, at)?)
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }
}

/// Let go when it is dropped.
#[derive(Debug)]
struct RealLock(fs::File);

impl Drop for RealLock {
    /// Not left to the closing of the file: a child that this process has forked and that has not started its program
    /// yet holds the file open as well, and with it the lock.
    fn drop(&mut self) {
        // Where this fails, the closing of the file does it.
        let _ = self.0.unlock();
    }
}

impl Lock for RealLock {
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(text.as_bytes())
    }
}
