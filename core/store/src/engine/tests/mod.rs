//! The engine against plain lists, crashes, disks that fail and clocks that jump.

mod bounds;
mod crash;
mod faults;
mod flow;
mod model;
mod threads;

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use log_tracer_record::{
    LogRow, SpanRow,
    otlp::{
        common::{AnyValue, any_value::Value},
        logs::LogRecord,
        trace::Span,
    },
};

use super::{Engine, Options, Point};
use crate::{
    Config, Mark, Origin, RecordKey, Restored, SeenBatch, Stop, Store, TimeRange,
    block::{Columns, Storable},
    table::Table,
};

const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;
const MILLI: u64 = 1_000_000;

/// A machine that does as it is told.
#[derive(Clone)]
struct Machine {
    now: Arc<AtomicU64>,
    free_bytes: Arc<AtomicU64>,
    hook: Arc<Mutex<Box<MachineHook>>>,
}

type MachineHook = dyn FnMut(Point) -> io::Result<()> + Send;

impl Machine {
    fn new() -> Self {
        Self {
            now: Arc::new(AtomicU64::new(1000 * DAY)),
            free_bytes: Arc::new(AtomicU64::new(u64::MAX)),
            hook: Arc::new(Mutex::new(Box::new(|_| Ok(())))),
        }
    }

    fn options(&self) -> Options {
        let Self {
            now,
            free_bytes,
            hook,
        } = self.clone();
        Options {
            now: Arc::new(move || now.load(Ordering::Relaxed)),
            free_bytes: Arc::new(move |_| Ok(free_bytes.load(Ordering::Relaxed))),
            hook: Arc::new(move |point| (hook.lock().unwrap())(point)),
        }
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn pass(&self, nano: u64) {
        self.now.fetch_add(nano, Ordering::Relaxed);
    }

    fn on(&self, hook: impl FnMut(Point) -> io::Result<()> + Send + 'static) {
        *self.hook.lock().unwrap() = Box::new(hook);
    }

    fn open(&self, config: &Config, directory: &Path) -> (Store, Restored) {
        Store::open_with(config.clone(), directory, self.options()).unwrap()
    }
}

/// Nothing leaves by age: the rows of most tests are of 1970.
fn config() -> Config {
    Config {
        retention_age_max_ms: u64::MAX,
        ..Config::default()
    }
}

/// Eight rows make a block that is full.
fn small_blocks(config: Config) -> Config {
    Config {
        flush_rows_max: 2,
        block_rows_max: 8,
        ..config
    }
}

fn at(offset: u64) -> Origin {
    Origin {
        partition: 0,
        offset,
    }
}

/// A span that nothing else is like.
fn span(time: u64, number: u64) -> SpanRow {
    SpanRow {
        resource: Arc::default(),
        scope: Arc::default(),
        span: Span {
            trace_id: u128::from(number + 1).to_be_bytes().to_vec().into(),
            span_id: (number + 1).to_be_bytes().to_vec().into(),
            name: format!("span {number}"),
            start_time_unix_nano: time,
            end_time_unix_nano: time + 5,
            ..Span::default()
        },
    }
}

fn log(time: u64, number: u64) -> LogRow {
    let body = AnyValue {
        value: Some(Value::StringValue(format!("line {number}"))),
    };
    LogRow {
        resource: Arc::default(),
        scope: Arc::default(),
        record: LogRecord {
            time_unix_nano: time,
            body: Some(body),
            ..LogRecord::default()
        },
    }
}

fn mark(next: u64) -> Mark {
    Mark {
        log_id: 77,
        cursors: BTreeMap::from([(0, next)]),
        begins: BTreeMap::new(),
        seen: vec![seen(next)],
        set_aside: Vec::new(),
    }
}

fn seen(number: u64) -> SeenBatch {
    SeenBatch {
        partition: 0,
        batch: u128::from(number) << 70 | 5,
        part_index: 1,
        part_count: 3,
    }
}

/// Writes all that was sealed, and looks after the blocks until nothing is left to do.
fn settle(store: &Store) -> Vec<BTreeMap<u16, u64>> {
    let mut durable = Vec::new();
    let stop = Stop::never();
    stop.cancel();
    store.maintain(&stop, &mut |cursors| durable.push(cursors.clone()));
    let engine = store.engine.as_ref().unwrap();
    let go_on = Stop::never();
    engine.retain(store.tables(), &go_on).unwrap();
    while engine.compact(store.tables(), &go_on).unwrap() {}
    durable
}

/// All rows of a table, by key; no key may come twice.
fn rows_of<C: Storable>(table: &Table<C>) -> BTreeMap<RecordKey, C::Row> {
    let snapshot = table.snapshot();
    let mut rows = BTreeMap::new();
    let mut add = |chunk: &C| {
        for row in 0..chunk.rows() {
            let before = rows.insert(chunk.key(row), chunk.row(row));
            assert!(before.is_none(), "{:?} is there twice", chunk.key(row));
        }
    };
    snapshot.chunks.iter().for_each(|chunk| add(chunk));
    for block in &snapshot.blocks {
        for piece in 0..block.pieces().len() {
            add(&block.read(piece, &Columns::all()).unwrap());
        }
    }
    rows
}

/// The offsets of the envelopes of which there is a log record.
fn log_offsets(store: &Store) -> Vec<u64> {
    rows_of(&store.logs)
        .keys()
        .map(|key| key.offset)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The names of the files of blocks.
fn block_files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join("blocks")).unwrap();
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// How many blocks have files.
fn block_owners(directory: &Path) -> u64 {
    let names = block_files(directory);
    let owner = |name: &String| crate::block::owner_of(name).unwrap();
    names
        .iter()
        .map(owner)
        .collect::<std::collections::BTreeSet<_>>()
        .len() as u64
}

fn is_partial(store: &Store, start: u64, end: u64) -> bool {
    let range = TimeRange {
        start_unix_nano: start,
        end_unix_nano: Some(end),
    };
    let mut coverage = crate::Coverage::default();
    store.logs.snapshot().cover(range, &mut coverage);
    coverage.partial
}
