//! The engine against plain lists, whatever happens in whatever order.

use proptest::prelude::*;

use super::{super::compact::Merge, *};
use crate::chunk::{LogChunk, SpanChunk};

#[derive(Clone, Debug)]
enum Step {
    /// An envelope with so many spans and log records, whose times are so many days before now, or ahead.
    Apply {
        spans: u64,
        logs: u64,
        days: i64,
    },
    Seal,
    /// What waits is written.
    Flush,
    Merge,
    /// A merge of each table is written, if one is due; meanwhile, other things happen.
    BeginMerge,
    /// What was written takes its place.
    EndMerge,
    Expire,
    /// So many hours go by.
    Pass(u64),
    /// The process ends without a word, and the next one reads again what the cursor does not cover.
    Crash,
    /// The point that comes after so many others fails.
    Fail(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3u64, 0..4u64, prop_oneof![Just(0), Just(0), -12..2i64, Just(9000)])
            .prop_map(|(spans, logs, days)| Step::Apply { spans, logs, days }),
        5 => Just(Step::Seal),
        4 => Just(Step::Flush),
        1 => Just(Step::Merge),
        2 => Just(Step::BeginMerge),
        2 => Just(Step::EndMerge),
        2 => Just(Step::Expire),
        2 => (1..60u64).prop_map(Step::Pass),
        1 => Just(Step::Crash),
        1 => (0..12u32).prop_map(Step::Fail),
    ]
}

/// What was applied and when.
#[derive(Debug, Default)]
struct Plain {
    /// By offset, with the time of arrival.
    envelopes: Vec<(Vec<SpanRow>, Vec<LogRow>, u64)>,
    sealed: u64,
    seals: Vec<u64>,
}

struct World {
    directory: tempfile::TempDir,
    machine: Machine,
    store: Store,
    plain: Plain,
    merging: Merging,
}

/// Merges that are under way.
#[derive(Default)]
struct Merging {
    spans: Option<Merge<SpanChunk>>,
    logs: Option<Merge<LogChunk>>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let (store, _) = machine.open(&model_config(), directory.path());
        Self {
            directory,
            machine,
            store,
            plain: Plain::default(),
            merging: Merging::default(),
        }
    }

    fn take(&mut self, step: Step) {
        let go_on = Stop::never();
        let engine = self.store.engine.as_ref().unwrap();
        match step {
            Step::Apply { spans, logs, days } => self.apply(spans, logs, days),
            Step::Seal => {
                let next = self.plain.envelopes.len() as u64;
                if next > self.plain.sealed {
                    if self.store.stats().durable.unwrap().generations_waiting == 2 {
                        self.flush();
                    }
                    self.store.seal(mark(next)).unwrap();
                    self.plain.sealed = next;
                    self.plain.seals.push(next);
                }
            }
            Step::Flush => self.flush(),
            Step::Merge => while matches!(engine.compact(self.store.tables(), &go_on), Ok(true)) {},
            Step::BeginMerge => {
                begin(engine, &self.store.spans, &mut self.merging.spans);
                begin(engine, &self.store.logs, &mut self.merging.logs);
            }
            Step::EndMerge => {
                let Merging { spans, logs } = std::mem::take(&mut self.merging);
                let spans = spans.map(|it| engine.conclude(&self.store.spans, it, &go_on));
                let logs = logs.map(|it| engine.conclude(&self.store.logs, it, &go_on));
                drop((spans, logs));
            }
            Step::Expire => drop(engine.retain(self.store.tables(), &go_on)),
            Step::Pass(hours) => self.machine.pass(hours * DAY / 24),
            Step::Fail(after) => {
                let mut left = after;
                self.machine.on(move |_| {
                    left = left.wrapping_sub(1);
                    match left == u32::MAX {
                        true => Err(io::Error::other("no luck")),
                        false => Ok(()),
                    }
                });
            }
            Step::Crash => self.crash(),
        }
    }

    fn apply(&mut self, spans: u64, logs: u64, days: i64) {
        let offset = self.plain.envelopes.len() as u64;
        let now = self.machine.now();
        let time = now.saturating_add_signed(days * DAY as i64);
        let spans: Vec<_> = (0..spans).map(|n| span(time + n, offset)).collect();
        let logs: Vec<_> = (0..logs).map(|n| log(time - n, offset)).collect();
        self.store.apply_spans(at(offset), &spans);
        self.store.apply_logs(at(offset), &logs);
        self.plain.envelopes.push((spans, logs, now));
    }

    fn flush(&mut self) {
        let stop = Stop::never();
        stop.cancel();
        self.store.maintain(&stop, &mut |_| {});
    }

    fn crash(&mut self) {
        self.machine.on(|_| Ok(()));
        self.merging = Merging::default();
        let durable = self.store.durable_cursors();
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Machine::new().open(&config(), elsewhere.path()).0;
        drop(std::mem::replace(&mut self.store, other));
        let (store, restored) = self.machine.open(&model_config(), self.directory.path());
        assert_eq!(restored.cursors, durable);
        let next = restored.cursors.get(&0).copied().unwrap_or(0);
        self.plain.seals.retain(|seal| *seal <= next);
        let batches: Vec<_> = self.plain.seals.iter().map(|n| seen(*n)).collect();
        assert_eq!(restored.seen, batches);
        let stats = store.stats();
        let blocks = stats.logs.block_count + stats.spans.block_count;
        assert_eq!(block_owners(self.directory.path()), blocks);
        self.plain.sealed = next;
        for (offset, (spans, logs, received)) in (0..).zip(&mut self.plain.envelopes) {
            if offset >= next {
                *received = self.machine.now();
                store.apply_spans(at(offset), spans);
                store.apply_logs(at(offset), logs);
            }
        }
        self.store = store;
    }

    /// Every row is there as it came, but for those that were old enough to leave, of which as many are missing as the
    /// store says.
    fn check(&self) {
        let spans = rows_of(&self.store.spans);
        let logs = rows_of(&self.store.logs);
        let (mut missing_spans, mut missing_logs) = (0, 0);
        let mut known = (0, 0);
        for (offset, (of_spans, of_logs, received)) in (0..).zip(&self.plain.envelopes) {
            for (index, row) in (0..).zip(of_spans) {
                let time = row.start_unix_nano();
                match spans.get(&RecordKey::new(time, at(offset), index)) {
                    Some(found) => assert_eq!(found, row),
                    None => missing_spans += self.was_old(time, *received),
                }
                known.0 += 1;
            }
            for (index, row) in (0..).zip(of_logs) {
                let time = row.time_unix_nano();
                match logs.get(&RecordKey::new(time, at(offset), index)) {
                    Some(found) => assert_eq!(found, row),
                    None => missing_logs += self.was_old(time, *received),
                }
                known.1 += 1;
            }
        }
        let stats = self.store.stats();
        assert_eq!(missing_spans, stats.spans.expired_rows_by_age);
        assert_eq!(missing_logs, stats.logs.expired_rows_by_age);
        assert_eq!(stats.spans.rows_kept() + missing_spans, known.0);
        assert_eq!(stats.logs.rows_kept() + missing_logs, known.1);
        assert_eq!(spans.len() as u64, stats.spans.rows_kept());
        assert_eq!(logs.len() as u64, stats.logs.rows_kept());
    }

    fn was_old(&self, time: u64, received: u64) -> u64 {
        let oldest = self.machine.now() - model_config().retention_age_max_ms * MILLI;
        assert!(time.min(received) < oldest, "it left too early");
        1
    }
}

fn begin<C: Storable>(engine: &Engine, table: &Table<C>, merging: &mut Option<Merge<C>>) {
    if merging.is_none() {
        let inputs = engine.due(table);
        if !inputs.is_empty() {
            let merge = engine.merge(inputs, &Stop::never());
            *merging = merge.expect("the blocks are sound");
        }
    }
}

fn model_config() -> Config {
    Config {
        retention_age_max_ms: DAY / MILLI,
        block_rows_max: 12,
        // So that a flush of a few rows is a small one.
        flush_rows_max: 3,
        chunk_rows_max: 3,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_store_is_what_was_applied_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
        }
        world.take(Step::Seal);
        world.take(Step::Flush);
        world.take(Step::Crash);
        world.check();
    }
}
