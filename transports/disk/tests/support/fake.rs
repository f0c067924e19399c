//! A file system in memory that knows what a crash of the machine would leave.
//!
//! A file has what was written and what is durable of it; between the two stand the writes since the last sync. A
//! directory has its entries and what is durable of them; between the two stand the changes since the last sync. Every
//! operation is written down, so that a crash can be put anywhere between two of them.

mod disk;

use std::{
    collections::BTreeSet,
    fmt, io,
    io::IoSlice,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use log_tracer_transport_disk::files::{File, Files, Lock, LockKind, Space};

pub use disk::{Crash, Disk, Op};
use disk::{Directory, apply};

/// What a file system was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    CreateDir,
    Create,
    Open,
    Rename,
    Remove,
    List,
    SyncDir,
    Lock,
    Read,
    Write,
    SyncData,
    SetLen,
}

/// What happens instead.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// An error of the system, by its number.
    Error(i32),
    /// So many bytes are written or read, and no more.
    Short(usize),
    /// It says that it was done, and it was not.
    Ignored,
}

/// Decides about each call: its kind and the name of the file.
pub type Plan = Arc<dyn Fn(Kind, &str) -> Option<Fault> + Send + Sync>;

/// The file system.
#[derive(Clone)]
pub struct FakeFiles {
    shared: Arc<Shared>,
}

struct Shared {
    disk: Mutex<Disk>,
    locked: Mutex<BTreeSet<PathBuf>>,
    plan: Mutex<Plan>,
    free_bytes: AtomicU64,
    total_bytes: AtomicU64,
    started: Instant,
    /// Added to the time of day, in milliseconds.
    clock_jump: AtomicI64,
    /// Added to the clock that does not jump, in milliseconds.
    passed: AtomicU64,
}

impl fmt::Debug for FakeFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeFiles")
    }
}

impl Default for FakeFiles {
    fn default() -> Self {
        let mut disk = Disk::default();
        for path in ["/", "/fake"] {
            disk.directories.insert(path.into(), Directory::default());
            disk.durable_directories.insert(path.into());
        }
        Self::of(disk)
    }
}

impl FakeFiles {
    /// A file system that a machine has just started with.
    pub fn of(disk: Disk) -> Self {
        Self {
            shared: Arc::new(Shared {
                disk: Mutex::new(disk),
                locked: Mutex::default(),
                plan: Mutex::new(Arc::new(|_, _| None)),
                free_bytes: AtomicU64::new(1 << 40),
                total_bytes: AtomicU64::new(1 << 40),
                started: Instant::now(),
                clock_jump: AtomicI64::new(0),
                passed: AtomicU64::new(0),
            }),
        }
    }

    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.shared.disk.lock().unwrap()
    }

    /// Writes down everything that is done from here on.
    pub fn record(&self) {
        self.disk().recording = true;
    }

    /// Writes down what a test has seen.
    pub fn mark(&self, number: u64) {
        self.disk().apply(&Op::Mark(number));
    }

    pub fn plan(&self, plan: impl Fn(Kind, &str) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.plan.lock().unwrap() = Arc::new(plan);
    }

    pub fn set_free_bytes(&self, bytes: u64) {
        self.shared.free_bytes.store(bytes, Ordering::SeqCst);
    }

    pub fn jump(&self, millis: i64) {
        self.shared.clock_jump.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn pass(&self, time: Duration) {
        self.shared
            .passed
            .fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }

    fn decide(&self, kind: Kind, path: &Path) -> io::Result<Option<Fault>> {
        let plan = Arc::clone(&self.shared.plan.lock().unwrap());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match plan(kind, &name) {
            Some(Fault::Error(number)) => Err(io::Error::from_raw_os_error(number)),
            other => Ok(other),
        }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Files for FakeFiles {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.decide(Kind::CreateDir, path)?;
        let mut disk = self.disk();
        if disk.directories.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !disk.directories.contains_key(path.parent().unwrap()) {
            return Err(not_found());
        }
        disk.apply(&Op::CreateDir(path.to_owned()));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.decide(Kind::Create, path)?;
        let mut disk = self.disk();
        if disk.inode_at(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !disk.directories.contains_key(path.parent().unwrap()) {
            return Err(not_found());
        }
        let inode = disk.inodes.len();
        disk.apply(&Op::Create(path.to_owned(), inode));
        Ok(self.file(path, inode))
    }

    fn open(&self, path: &Path, _write: bool) -> io::Result<Arc<dyn File>> {
        self.decide(Kind::Open, path)?;
        let inode = self.disk().inode_at(path).ok_or_else(not_found)?;
        Ok(self.file(path, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.decide(Kind::Rename, to)?;
        let mut disk = self.disk();
        disk.inode_at(from).ok_or_else(not_found)?;
        disk.apply(&Op::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.decide(Kind::Remove, path)?;
        let mut disk = self.disk();
        disk.inode_at(path).ok_or_else(not_found)?;
        disk.apply(&Op::Remove(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.decide(Kind::List, path)?;
        let disk = self.disk();
        let directory = disk.directories.get(path).ok_or_else(not_found)?;
        Ok(directory.entries.keys().cloned().collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.decide(Kind::SyncDir, path)?.is_none() {
            self.disk().apply(&Op::SyncDir(path.to_owned()));
        }
        Ok(())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        Ok(Space {
            free_bytes: self.shared.free_bytes.load(Ordering::SeqCst),
            total_bytes: self.shared.total_bytes.load(Ordering::SeqCst),
        })
    }

    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Option<Box<dyn Lock>>> {
        self.decide(Kind::Lock, path)?;
        let mut disk = self.disk();
        if disk.inode_at(path).is_none() {
            if kind == LockKind::Shared {
                return Err(not_found());
            }
            let inode = disk.inodes.len();
            disk.apply(&Op::Create(path.to_owned(), inode));
        }
        let taken = self.shared.locked.lock().unwrap().insert(path.to_owned());
        Ok(taken.then(|| {
            let lock: Box<dyn Lock> = Box::new(FakeLock(Arc::clone(&self.shared), path.to_owned()));
            lock
        }))
    }

    fn unix_millis(&self) -> u64 {
        let base = 1_700_000_000_000 + self.shared.started.elapsed().as_millis() as i64;
        (base + self.shared.clock_jump.load(Ordering::SeqCst)) as u64
    }

    fn monotonic(&self) -> Duration {
        let passed = self.shared.passed.load(Ordering::SeqCst);
        // Not at zero, so that something may have happened before.
        Duration::from_secs(1_000_000)
            + self.shared.started.elapsed()
            + Duration::from_millis(passed)
    }
}

impl FakeFiles {
    fn file(&self, path: &Path, inode: usize) -> Arc<dyn File> {
        Arc::new(FakeFile {
            files: self.clone(),
            path: path.to_owned(),
            inode,
        })
    }
}

#[derive(Debug)]
struct FakeFile {
    files: FakeFiles,
    path: PathBuf,
    inode: usize,
}

impl FakeFile {
    /// As it is called now.
    fn name(&self) -> PathBuf {
        let disk = self.files.disk();
        let called = disk.directories.iter().find_map(|(path, directory)| {
            let mut entries = directory.entries.iter();
            let (name, _) = entries.find(|(_, inode)| **inode == self.inode)?;
            Some(path.join(name))
        });
        called.unwrap_or_else(|| self.path.clone())
    }
}

impl File for FakeFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.files.disk().inodes[self.inode].cached.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let most = match self.files.decide(Kind::Read, &self.name())? {
            Some(Fault::Short(bytes)) => bytes,
            _ => buffer.len(),
        };
        let disk = self.files.disk();
        let contents = &disk.inodes[self.inode].cached;
        let start = (at as usize).min(contents.len());
        let count = most.min(buffer.len()).min(contents.len() - start);
        buffer[..count].copy_from_slice(&contents[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        let mut bytes: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        if let Some(Fault::Short(most)) = self.files.decide(Kind::Write, &self.name())? {
            bytes.truncate(most);
        }
        let count = bytes.len();
        self.files.disk().apply(&Op::Write {
            inode: self.inode,
            at,
            bytes,
        });
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.files.decide(Kind::SyncData, &self.name()) {
            Ok(None) => self.files.disk().apply(&Op::SyncData(self.inode)),
            Ok(Some(_)) => {}
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.files.disk().apply(&Op::LostSync(self.inode));
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.files.decide(Kind::SetLen, &self.name())?;
        self.files.disk().apply(&Op::SetLen {
            inode: self.inode,
            len,
        });
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        let mut disk = self.files.disk();
        let inode = &mut disk.inodes[self.inode];
        inode.cached = inode.durable.clone();
        for change in &inode.unsynced {
            apply(&mut inode.cached, change);
        }
        Ok(())
    }
}

struct FakeLock(Arc<Shared>, PathBuf);

impl fmt::Debug for FakeLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeLock")
    }
}

impl Lock for FakeLock {
    fn write(&mut self, _text: &str) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.0.locked.lock().unwrap().remove(&self.1);
    }
}
