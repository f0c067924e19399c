//! What is on a disk, what is only in memory, and what a crash leaves of the two.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use rand::{RngExt, rngs::StdRng};

/// Something that changed what is on the disk, or what is known outside of it.
#[derive(Clone, Debug)]
pub enum Op {
    CreateDir(PathBuf),
    Create(PathBuf, usize),
    Write {
        inode: usize,
        at: u64,
        bytes: Vec<u8>,
    },
    SetLen {
        inode: usize,
        len: u64,
    },
    SyncData(usize),
    /// A sync that failed: what it should have made durable is lost, and nobody can tell.
    LostSync(usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
    /// Something that a test saw at this point.
    Mark(u64),
}

/// The state of all files, and how it came about.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub(super) inodes: Vec<Inode>,
    pub(super) directories: BTreeMap<PathBuf, Directory>,
    pub(super) durable_directories: BTreeSet<PathBuf>,
    pub trace: Vec<Op>,
    pub(super) recording: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) entries: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    unsynced: Vec<Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Add(String, usize),
    Rename(String, String),
    Remove(String),
}

/// What of the things that were not synced a crash leaves.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// Everything: only the process ended.
    Process,
    /// Nothing.
    Dropped,
    /// Any of the sectors of that size and any of the changes of directories, whichever came first.
    Torn(usize),
}

impl Disk {
    /// Does what was done, for the files as they are and as they would be.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::CreateDir(path) => {
                self.directories.insert(path.clone(), Directory::default());
            }
            Op::Create(path, inode) => {
                self.inodes
                    .resize(self.inodes.len().max(inode + 1), Inode::default());
                let (directory, name) = self.directory_of(path);
                directory.entries.insert(name.clone(), *inode);
                directory.unsynced.push(Entry::Add(name, *inode));
            }
            Op::Write { inode, at, bytes } => {
                let change = Change::Write(*at, bytes.clone());
                apply(&mut self.inodes[*inode].cached, &change);
                self.inodes[*inode].unsynced.push(change);
            }
            Op::SetLen { inode, len } => {
                let change = Change::SetLen(*len);
                apply(&mut self.inodes[*inode].cached, &change);
                self.inodes[*inode].unsynced.push(change);
            }
            Op::SyncData(inode) => {
                let inode = &mut self.inodes[*inode];
                for change in std::mem::take(&mut inode.unsynced) {
                    apply(&mut inode.durable, &change);
                }
            }
            Op::LostSync(inode) => self.inodes[*inode].unsynced.clear(),
            Op::Rename(from, to) => {
                let (directory, from) = self.directory_of(from);
                let to = to.file_name().unwrap().to_string_lossy().into_owned();
                let inode = directory.entries.remove(&from).unwrap();
                directory.entries.insert(to.clone(), inode);
                directory.unsynced.push(Entry::Rename(from, to));
            }
            Op::Remove(path) => {
                let (directory, name) = self.directory_of(path);
                directory.entries.remove(&name);
                directory.unsynced.push(Entry::Remove(name));
            }
            Op::SyncDir(path) => {
                if let Some(directory) = self.directories.get_mut(path) {
                    for entry in std::mem::take(&mut directory.unsynced) {
                        change_entries(&mut directory.durable, &entry);
                    }
                }
                let below: Vec<_> = self
                    .directories
                    .keys()
                    .filter(|one| one.parent() == Some(path))
                    .cloned()
                    .collect();
                self.durable_directories.extend(below);
            }
            Op::Mark(_) => {}
        }
        if self.recording {
            self.trace.push(op.clone());
        }
    }

    fn directory_of(&mut self, path: &Path) -> (&mut Directory, String) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (
            self.directories.get_mut(path.parent().unwrap()).unwrap(),
            name,
        )
    }

    pub(super) fn inode_at(&self, path: &Path) -> Option<usize> {
        let directory = self.directories.get(path.parent()?)?;
        directory.entries.get(path.file_name()?.to_str()?).copied()
    }

    /// The disk as it is found after a crash.
    pub fn after(&self, crash: Crash, random: &mut StdRng) -> Self {
        let mut found = Self {
            inodes: Vec::new(),
            directories: BTreeMap::new(),
            durable_directories: self.durable_directories.clone(),
            trace: Vec::new(),
            recording: false,
        };
        for inode in &self.inodes {
            let contents = match crash {
                Crash::Process => inode.cached.clone(),
                Crash::Dropped => inode.durable.clone(),
                Crash::Torn(sector) => torn(inode, sector, random),
            };
            found.inodes.push(Inode {
                cached: contents.clone(),
                durable: contents,
                unsynced: Vec::new(),
            });
        }
        for (path, directory) in &self.directories {
            let mut entries = directory.durable.clone();
            for entry in &directory.unsynced {
                let kept = match crash {
                    Crash::Process => true,
                    Crash::Dropped => false,
                    Crash::Torn(_) => random.random_bool(0.5),
                };
                if kept {
                    change_entries(&mut entries, entry);
                }
            }
            let mut above = path.ancestors();
            let there = matches!(crash, Crash::Process)
                || above.all(|one| self.durable_directories.contains(one));
            if there {
                found.durable_directories.insert(path.clone());
                found.directories.insert(
                    path.clone(),
                    Directory {
                        entries: entries.clone(),
                        durable: entries,
                        unsynced: Vec::new(),
                    },
                );
            }
        }
        found
    }

    /// The contents of a file, to be changed as rot does.
    pub fn file_mut(&mut self, path: &Path) -> Option<&mut Vec<u8>> {
        let inode = self.inode_at(path)?;
        let inode = &mut self.inodes[inode];
        inode.durable = Vec::new();
        Some(&mut inode.cached)
    }

    /// Makes what is there durable, after it was changed from outside.
    pub fn settle(&mut self) {
        for inode in &mut self.inodes {
            inode.durable = inode.cached.clone();
            inode.unsynced.clear();
        }
        for directory in self.directories.values_mut() {
            directory.durable = directory.entries.clone();
            directory.unsynced.clear();
        }
    }

    pub fn names(&self, directory: &Path) -> Vec<String> {
        self.directories[directory]
            .entries
            .keys()
            .cloned()
            .collect()
    }

    pub fn remove_entry(&mut self, path: &Path) {
        let (directory, name) = self.directory_of(path);
        directory.entries.remove(&name);
    }

    /// Puts a file there with these contents, also in the place of another.
    pub fn put(&mut self, path: &Path, contents: Vec<u8>) {
        let mut above = path.parent().unwrap().to_owned();
        while !self.directories.contains_key(&above) {
            self.directories.insert(above.clone(), Directory::default());
            self.durable_directories.insert(above.clone());
            above = above.parent().unwrap().to_owned();
        }
        let inode = self.inodes.len();
        self.inodes.push(Inode {
            cached: contents,
            ..Inode::default()
        });
        let (directory, name) = self.directory_of(path);
        directory.entries.insert(name, inode);
        self.settle();
    }
}

pub(super) fn apply(contents: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, bytes) => {
            let (start, end) = (*at as usize, *at as usize + bytes.len());
            contents.resize(contents.len().max(end), 0);
            contents[start..end].copy_from_slice(bytes);
        }
        Change::SetLen(len) => contents.resize(*len as usize, 0),
    }
}

fn change_entries(entries: &mut BTreeMap<String, usize>, entry: &Entry) {
    match entry {
        Entry::Add(name, inode) => {
            entries.insert(name.clone(), *inode);
        }
        Entry::Rename(from, to) => {
            if let Some(inode) = entries.remove(from) {
                entries.insert(to.clone(), inode);
            }
        }
        Entry::Remove(name) => {
            entries.remove(name);
        }
    }
}

/// What is durable, and any of the sectors that were written since.
fn torn(inode: &Inode, sector: usize, random: &mut StdRng) -> Vec<u8> {
    let mut contents = inode.durable.clone();
    // The whole of it, most of it or hardly any of it, so that each is seen.
    let chance = [0.1, 0.5, 0.9][random.random_range(0..3)];
    for change in &inode.unsynced {
        let Change::Write(at, bytes) = change else {
            apply(&mut contents, change);
            continue;
        };
        let mut start = 0;
        while start < bytes.len() {
            let in_sector = (*at as usize + start) % sector;
            let end = bytes.len().min(start + sector - in_sector);
            if random.random_bool(chance) {
                apply(
                    &mut contents,
                    &Change::Write(at + start as u64, bytes[start..end].to_vec()),
                );
            }
            start = end;
        }
    }
    contents
}
