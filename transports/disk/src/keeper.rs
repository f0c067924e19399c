//! The thread that keeps house: it prepares the next segment, writes beside what is full, removes what has left, and
//! looks at the disk. Nothing of it is in the way of a publish, unless it cannot keep up.

use std::{
    io,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    Config,
    cursors::Cursors,
    error::Error,
    files::{self, Space},
    index::Sidecar,
    names,
    recent::Snapshot,
    segment::Segment,
    shared::{Shared, State},
};

/// How often it looks at the disk and at what has become old.
const TICK: Duration = Duration::from_millis(500);
/// How long the cursors may go unwritten, so that many commits cost one write.
const CURSORS_DELAY: Duration = Duration::from_millis(200);
/// Room for the small files on a disk that is full.
const BALLAST_BYTES: u64 = 1 << 20;
/// What the reserve is at most of a file system, in percent.
const RESERVE_PERCENT_MAX: u64 = 10;

pub(crate) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<Result<(), Error>>> {
    let mut keeper = Keeper {
        shared,
        looked_at: None,
        cursors_at: None,
        failing: false,
    };
    thread::Builder::new()
        .name("journal-keeper".into())
        .spawn(move || keeper.run())
}

/// Bytes that must stay free on a file system of so many.
pub(crate) fn reserve_bytes(config: &Config, total_bytes: u64) -> u64 {
    let segments = config.segment_bytes.saturating_mul(2);
    let most = total_bytes / 100 * RESERVE_PERCENT_MAX;
    segments.max(config.reserve_bytes.min(most))
}

struct Keeper {
    shared: Arc<Shared>,
    /// When the disk was looked at last.
    looked_at: Option<Duration>,
    /// When the cursors were written last.
    cursors_at: Option<Duration>,
    /// Whether something could not be done; it is tried again with the next tick and not before.
    failing: bool,
}

/// What is to be done, in this order.
#[derive(Debug, Default)]
struct Chores {
    look_at_disk: bool,
    prepare: Option<(u64, u64)>,
    sidecar: Option<Sidecar>,
    snapshot: Option<Snapshot>,
    cursors: Option<Cursors>,
    leaving: Vec<Arc<Segment>>,
    ends: bool,
}

impl Chores {
    fn is_empty(&self) -> bool {
        !self.ends
            && !self.look_at_disk
            && self.prepare.is_none()
            && self.sidecar.is_none()
            && self.snapshot.is_none()
            && self.cursors.is_none()
            && self.leaving.is_empty()
    }
}

impl Keeper {
    fn run(&mut self) -> Result<(), Error> {
        loop {
            let chores = self.wait();
            let ends = chores.ends;
            let done = self.work(chores);
            self.failing = done.is_err();
            if ends {
                return done;
            }
            self.note(done);
        }
    }

    /// Notes in the state what could not be done, or that everything could.
    fn note(&self, done: Result<(), Error>) {
        let mut state = self.shared.lock();
        let error = done.err();
        if let Some(error) = &error
            && state.trouble.is_none()
        {
            log::warn!("journal {}: {error}", self.shared.place.directory.display());
        }
        state.trouble = error;
    }

    fn wait(&mut self) -> Chores {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if self.failing && !state.keeper_ends {
            state = shared.wait_for_chores(state, TICK);
        }
        loop {
            let chores = self.find(&mut state);
            if !chores.is_empty() {
                return chores;
            }
            let time = match state.log.cursors_changed {
                true => CURSORS_DELAY,
                false => TICK,
            };
            state = shared.wait_for_chores(state, time);
        }
    }

    fn find(&mut self, state: &mut State) -> Chores {
        let now = self.shared.now();
        state.log.retire(now);
        let ends = state.keeper_ends;
        let due = |last: Option<Duration>, delay| {
            last.is_none_or(|last| now.saturating_sub(last) >= delay)
        };
        let look_at_disk = !ends && due(self.looked_at, TICK);
        let fitting = state
            .prepared
            .as_ref()
            .is_some_and(|segment| segment.bytes == state.prepare_bytes);
        let leaving = std::mem::take(&mut state.log.leaving);
        // Before a segment leaves, what is remembered of it has to be durable elsewhere.
        let snapshot_due = state.log.snapshot_due && self.shared.config.dedupe_batches_max > 0;
        let flush = ends || !leaving.is_empty() || due(self.cursors_at, CURSORS_DELAY);
        let cursors_due = state.log.cursors_changed && flush;
        let failed = state.failed.is_some();
        let chores = Chores {
            look_at_disk,
            prepare: (!fitting && !ends && !failed && state.disk.full.is_none())
                .then_some((state.next_sequence, state.prepare_bytes)),
            sidecar: state.log.next_sidecar(),
            snapshot: snapshot_due.then(|| state.log.snapshot()),
            cursors: cursors_due.then(|| state.log.cursors()),
            leaving,
            ends,
        };
        state.log.snapshot_due = false;
        if cursors_due {
            state.log.cursors_changed = false;
            self.cursors_at = Some(now);
        }
        chores
    }

    /// Does everything that can be done, and gives the first error. What was not done is noted to be done again.
    fn work(&mut self, chores: Chores) -> Result<(), Error> {
        let mut first_error = Ok(());
        let mut keep = |done: Result<(), Error>| {
            let ok = done.is_ok();
            if first_error.is_ok() {
                first_error = done;
            }
            ok
        };
        if chores.look_at_disk {
            keep(self.look_at_disk());
        }
        if let Some((sequence, bytes)) = chores.prepare {
            keep(self.prepare(sequence, bytes));
        }
        if let Some(sidecar) = chores.sidecar {
            keep(self.write_sidecar(&sidecar));
        }
        let mut safe = true;
        if let Some(snapshot) = chores.snapshot {
            let encoded = snapshot.encode(self.shared.place.log_id);
            if !keep(self.replace(names::RECENT, &encoded)) {
                self.shared.lock().log.snapshot_due = true;
                safe = false;
            }
        }
        if let Some(cursors) = chores.cursors {
            let encoded = cursors.encode(self.shared.place.log_id);
            if !keep(self.replace(names::CURSORS, &encoded)) {
                self.shared.lock().log.cursors_changed = true;
                safe = false;
            }
        }
        if !safe {
            self.shared.lock().log.leaving.extend(chores.leaving);
        } else if !chores.leaving.is_empty() {
            for segment in chores.leaving {
                keep(self.remove(segment));
            }
            self.shared.tell_writer();
        }
        first_error
    }

    fn look_at_disk(&mut self) -> Result<(), Error> {
        self.looked_at = Some(self.shared.now());
        let place = &self.shared.place;
        let space = place
            .files
            .space(&place.directory)
            .map_err(|source| Error::io("asking for the room on the disk", source))?;
        self.shared.note_space(space);
        if space.free_bytes > 2 * BALLAST_BYTES {
            self.take_ballast();
        }
        Ok(())
    }

    /// Prepares a segment, unless there is no room on the disk.
    fn prepare(&self, sequence: u64, bytes: u64) -> Result<(), Error> {
        let place = &self.shared.place;
        let outgrown = {
            let mut state = self.shared.lock();
            if state.disk.full.is_some() {
                return Ok(());
            }
            state.prepared.take()
        };
        let sequence = match outgrown {
            // One of another size was asked for.
            Some(outgrown) => {
                let sequence = outgrown.sequence;
                self.remove(outgrown)?;
                sequence
            }
            None => sequence,
        };
        let prepared = place.create_segment(sequence, bytes);
        let mut state = self.shared.lock();
        match prepared {
            Ok(segment) => {
                state.next_sequence = sequence + 1;
                state.prepared = Some(segment);
                drop(state);
                self.shared.tell_writer();
                Ok(())
            }
            Err(source) => {
                let error = Error::io(format_args!("preparing a segment of {bytes} bytes"), source);
                state.disk.full = Some(error.to_string());
                drop(state);
                // A closing writer must not wait for it.
                self.shared.tell_writer();
                Err(error)
            }
        }
    }

    fn write_sidecar(&self, sidecar: &Sidecar) -> Result<(), Error> {
        self.replace(&names::index(sidecar.sequence), &sidecar.encode())?;
        self.shared.lock().log.sidecar_written(sidecar.sequence);
        Ok(())
    }

    /// Removes a segment, or keeps its file for the next one if nobody reads it.
    fn remove(&self, segment: Arc<Segment>) -> Result<(), Error> {
        let place = &self.shared.place;
        let sequence = segment.sequence;
        let usual = segment.bytes == self.shared.config.segment_bytes;
        let unread = Arc::into_inner(segment).is_some();
        let failed = |source| Error::io(format_args!("removing segment {sequence}"), source);
        let path = |name: &str| place.path(name);
        files::remove_if_there(&*place.files, &path(&names::index(sequence))).map_err(failed)?;
        if unread && usual {
            return place.keep_as_spare(sequence).map_err(failed);
        }
        files::remove_if_there(&*place.files, &path(&names::segment(sequence))).map_err(failed)
    }

    /// Replaces a small file, with the room of the ballast if there is no other.
    fn replace(&self, name: &str, contents: &[u8]) -> Result<(), Error> {
        let place = &self.shared.place;
        let path = place.path(name);
        let replaced = match files::replace(&*place.files, &path, contents) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let ballast = place.path(names::BALLAST);
                files::remove_if_there(&*place.files, &ballast)
                    .and_then(|()| files::replace(&*place.files, &path, contents))
            }
            other => other,
        };
        replaced.map_err(|source| Error::io(format_args!("writing the file {name}"), source))
    }

    /// Takes room that is given back when there is no other. Not having it is no fault.
    fn take_ballast(&self) {
        let place = &self.shared.place;
        let path = place.path(names::BALLAST);
        if let Ok(file) = place.files.create(&path)
            && files::fill_with_zeros(&*file, BALLAST_BYTES).is_err()
        {
            self.remove_quietly(&path);
        }
    }

    fn remove_quietly(&self, path: &Path) {
        if let Err(error) = files::remove_if_there(&*self.shared.place.files, path) {
            log::debug!("removing {}: {error}", path.display());
        }
    }
}

impl Shared {
    /// Decides whether there is room enough to store anything.
    pub(crate) fn note_space(&self, space: Space) {
        let reserve = reserve_bytes(&self.config, space.total_bytes);
        let mut state = self.lock();
        state.disk.free_bytes = Some(space.free_bytes);
        state.disk.reserve_bytes = reserve;
        let was_full = state.disk.full.is_some();
        state.disk.full = (space.free_bytes < reserve).then(|| {
            format!(
                "the disk has {} bytes free, and {reserve} are to stay free",
                space.free_bytes
            )
        });
        let is_full = state.disk.full.is_some();
        if was_full && !is_full {
            state.log.full = false;
        }
        drop(state);
        if was_full != is_full {
            self.tell_writer();
        }
    }
}
