//! Takes a directory over: makes it if need be, locks it, and finds out which log it holds.

use std::{io, path::Path, sync::Arc, thread};

use log_tracer_transport::{LogId, OpenError};

use crate::{
    Config,
    error::Error,
    files::{self, Files, Lock, LockKind},
    manifest::Manifest,
    names::{self, Name},
    recovery,
    segment::Place,
    shared::Shared,
    writer,
};

/// Opens a journal and starts its threads.
pub(crate) fn open(
    config: &Config,
    files: Arc<dyn Files>,
) -> Result<(Arc<Shared>, Manifest), OpenError> {
    config.validate().map_err(OpenError::Invalid)?;
    let (place, manifest, lock) = take_over(config, files)?;
    let log = recovery::recover(&place, config)?;
    let shared = Arc::new(Shared::new(place, config.clone(), log));
    if let Ok(space) = shared.place.files.space(&config.directory) {
        shared.note_space(space);
    }
    let for_writer = Arc::clone(&shared);
    thread::Builder::new()
        .name("journal-writer".into())
        .spawn(move || writer::run(&for_writer, lock))
        .map_err(|source| Error::io("starting a thread", source))?;
    Ok((shared, manifest))
}

fn take_over(
    config: &Config,
    files: Arc<dyn Files>,
) -> Result<(Place, Manifest, Box<dyn Lock>), Error> {
    let directory = &config.directory;
    let failed = |source| {
        Error::io(
            format_args!("opening the journal {}", directory.display()),
            source,
        )
    };
    files::create_dirs(&*files, directory).map_err(failed)?;
    let lock = lock(&*files, directory, LockKind::Exclusive)?;
    let path = directory.join(names::MANIFEST);
    let manifest = match files::read_if_there(&*files, &path).map_err(failed)? {
        Some(bytes) => Manifest::decode(&bytes)?,
        None => make_manifest(config, &*files)?,
    };
    if manifest.partitions != config.partitions {
        return Err(Error::Unusable(format!(
            "the journal in {} has {partitions} partitions, and {} are configured: configure partitions = {partitions}, or let everything be read and choose another directory",
            directory.display(),
            config.partitions,
            partitions = manifest.partitions,
        )));
    }
    let place = Place {
        files,
        directory: directory.clone(),
        log_id: manifest.log_id,
    };
    Ok((place, manifest, lock))
}

/// Locks the directory for as long as the guard lives.
pub(crate) fn lock(
    files: &dyn Files,
    directory: &Path,
    kind: LockKind,
) -> Result<Box<dyn Lock>, Error> {
    let path = directory.join(names::LOCK);
    let failed = |source| Error::io(format_args!("locking {}", path.display()), source);
    let Some(mut lock) = files.lock(&path, kind).map_err(failed)? else {
        let holder = files::read_if_there(files, &path).ok().flatten();
        let holder = holder.and_then(|text| String::from_utf8(text).ok());
        return Err(Error::Locked {
            directory: directory.to_owned(),
            holder: holder
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty()),
        });
    };
    if kind == LockKind::Exclusive {
        lock.write(&format!("process {}\n", std::process::id()))
            .map_err(failed)?;
    }
    Ok(lock)
}

/// Makes a new log, unless there is one that only lacks its manifest.
fn make_manifest(config: &Config, files: &dyn Files) -> Result<Manifest, Error> {
    let directory = &config.directory;
    let failed = |source: io::Error| {
        Error::io(
            format_args!("making the journal {}", directory.display()),
            source,
        )
    };
    let names = files.list(directory).map_err(failed)?;
    let foreign = names
        .iter()
        .find(|name| matches!(names::parse(name), Name::Segment(_)) || *name == names::CURSORS);
    if let Some(name) = foreign {
        return Err(Error::Unusable(format!(
            "{} has a file {name} and no {}: the journal is not complete",
            directory.display(),
            names::MANIFEST
        )));
    }
    let manifest = Manifest {
        log_id: LogId(rand::random()),
        partitions: config.partitions,
        created_unix_millis: files.unix_millis(),
    };
    let path = directory.join(names::MANIFEST);
    files::replace(files, &path, &manifest.encode()).map_err(failed)?;
    Ok(manifest)
}
