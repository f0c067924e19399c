//! What opening, reading and checking do with a directory of bytes from anywhere: whatever it is, it is refused or read,
//! without a panic and without end. `PROPTEST_CASES=100000` makes it long.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use log_tracer_transport::Envelope;
use log_tracer_transport_disk::check_with;
use proptest::{collection::vec, prelude::*, sample::Index};
use support::{
    DIRECTORY, close, commit, config, envelope,
    fake::{Disk, FakeFiles},
    open, path, publish, read_all,
};

/// A journal with a bit of everything, to be spoilt.
fn journal() -> &'static (Disk, Vec<Envelope>) {
    static JOURNAL: OnceLock<(Disk, Vec<Envelope>)> = OnceLock::new();
    JOURNAL.get_or_init(|| {
        block_on(async {
            let files = FakeFiles::default();
            let transport = open(&files, &config()).await.unwrap();
            let mut sent = Vec::new();
            for number in 0..30 {
                let one = envelope((number % 2) as u16, number, 250);
                publish(&transport, vec![one.clone()]).await.unwrap();
                sent.push(one);
            }
            commit(&transport, 0, 2).await;
            close(&transport).await;
            let disk = files.disk().clone();
            (disk, sent)
        })
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Opens, reads and checks; gives what could be read.
fn try_everything(mut disk: Disk) -> Vec<Envelope> {
    disk.settle();
    let _report = check_with(
        Arc::new(FakeFiles::of(disk.clone())),
        Path::new(DIRECTORY),
        &mut |_, _| {},
    );
    block_on(async {
        let Ok(transport) = open(&FakeFiles::of(disk), &config()).await else {
            return Vec::new();
        };
        let read = read_all(&transport).await.unwrap_or_default();
        let published = publish(&transport, vec![envelope(1, 777, 50)]).await;
        assert!(published.is_ok(), "{published:?}");
        read.into_values().flatten().map(|(_, one)| one).collect()
    })
}

const NAMES: [&str; 9] = [
    "manifest",
    "cursors",
    "recent",
    "spare",
    "lock",
    "00000000000000000001.segment",
    "00000000000000000002.segment",
    "00000000000000000001.index",
    "99999999999999999999.segment",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fuzz_a_directory_of_arbitrary_files(files in vec((0..NAMES.len(), vec(any::<u8>(), 0..300)), 0..6)) {
        let mut disk = FakeFiles::default().disk().clone();
        for (name, contents) in files {
            disk.put(&path(NAMES[name]), contents);
        }
        prop_assert_eq!(try_everything(disk), []);
    }

    #[test]
    fn fuzz_a_journal_with_changed_bytes(
        changes in vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..6),
        length in proptest::option::of((any::<Index>(), any::<Index>())),
    ) {
        let (disk, sent) = journal();
        let mut disk = disk.clone();
        let names = disk.names(Path::new(DIRECTORY));
        for (file, at, value) in changes {
            let contents = disk.file_mut(&path(file.get::<String>(&names))).unwrap();
            if !contents.is_empty() {
                let at = at.index(contents.len());
                contents[at] = value;
            }
        }
        if let Some((file, length)) = length {
            let contents = disk.file_mut(&path(file.get::<String>(&names))).unwrap();
            contents.truncate(length.index(contents.len() + 1));
        }
        for found in try_everything(disk) {
            prop_assert!(sent.contains(&found), "invented: {found:?}");
        }
    }

    #[test]
    fn fuzz_a_journal_with_blocks_that_are_moved_about(
        moves in vec((any::<Index>(), any::<Index>(), any::<Index>(), any::<Index>()), 1..4),
    ) {
        let (disk, sent) = journal();
        let mut disk = disk.clone();
        let names: Vec<String> = disk.names(Path::new(DIRECTORY)).into_iter().filter(|name| name.ends_with(".segment")).collect();
        for (from, from_at, to, to_at) in moves {
            let source = disk.file_mut(&path(from.get::<String>(&names))).unwrap().clone();
            let target = disk.file_mut(&path(to.get::<String>(&names))).unwrap();
            let (from_at, to_at) = (from_at.index(8) * 512, to_at.index(8) * 512);
            target[to_at..to_at + 512].copy_from_slice(&source[from_at..from_at + 512]);
        }
        for found in try_everything(disk) {
            prop_assert!(sent.contains(&found), "invented: {found:?}");
        }
    }
}
