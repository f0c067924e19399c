//! Checks a block in all its parts: the checksums, and whether the index says of the rows what they are.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{
    Block, BlockCache, BlockError, BlockInfo, Columns, Storable,
    index::{
        Facts, Kind,
        needles::Needles,
        tally::Count,
        traces::{self, Encoded, TraceRow},
    },
    write::{sum_operations, sum_services},
};
use crate::{
    RecordKey,
    chunk::TimeBounds,
    rollup::{Rollup, add_all},
};

/// How far a check is: rows that were checked, of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) rows_done: u64,
    pub(crate) rows: u64,
}

/// What one block needs while it is checked.
const CACHE_BYTES: u64 = 16 << 20;

/// Reads all of a block. Answers everything that is wrong with it; nothing when it is whole. `progress` hears after
/// each piece.
pub(crate) fn verify<C: Storable>(
    directory: &Path,
    info: &BlockInfo,
    progress: &mut dyn FnMut(Progress),
) -> Vec<BlockError> {
    let cache = BlockCache::new(CACHE_BYTES);
    let block = match Block::<C>::open(directory, info, &cache) {
        Ok(block) => block,
        Err(error) => return vec![error],
    };
    let mut problems = Vec::new();
    for kind in Kind::ALL {
        problems.extend(block.section(kind).err());
    }
    match block.verified() {
        Ok(file) => {
            problems.extend(file.problems());
            problems.extend(block.footer(&file).err());
        }
        Err(error) => problems.push(error),
    }
    if problems.is_empty() {
        let mut check = Check::new(&block);
        for piece in 0..block.pieces().len() {
            check.piece(piece);
            let rows_done = block
                .pieces()
                .get(piece)
                .map_or(0, |piece| u64::from(piece.rows.end));
            progress(Progress {
                rows_done,
                rows: info.rows,
            });
        }
        check.whole();
        problems = check.problems;
    }
    problems
}

/// What was seen of the rows so far.
struct Check<'b, C> {
    block: &'b Block<C>,
    problems: Vec<BlockError>,
    chunks: Vec<Sums>,
    traces: Vec<TraceRow>,
    /// The number of each service, by when its first row comes.
    services: HashMap<String, u32>,
    /// With the bounds that those on disk were made with; none where there are none.
    rollup: Option<Rollup>,
    last: Option<RecordKey>,
}

type Sums = (Vec<super::ServiceCount>, Vec<super::OperationCount>);

impl<'b, C: Storable> Check<'b, C> {
    fn new(block: &'b Block<C>) -> Self {
        let (rollup, problem) = match block.rollup_settings() {
            Ok(settings) => (settings.map(Rollup::new), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            block,
            problems: problem.into_iter().collect(),
            chunks: Vec::new(),
            traces: Vec::new(),
            services: HashMap::new(),
            rollup,
            last: None,
        }
    }

    fn rows_are_wrong(&mut self, reason: impl std::fmt::Display) {
        self.problems
            .push(BlockError::corrupt(self.block.rows_path(), reason));
    }

    fn index_is_wrong(&mut self, reason: impl std::fmt::Display) {
        self.problems
            .push(BlockError::corrupt(self.block.index_path(), reason));
    }

    fn piece(&mut self, number: usize) {
        let chunk = match self.block.read(number, &Columns::all()) {
            Ok(chunk) => chunk,
            Err(error) => return self.problems.push(error),
        };
        let Some(known) = self.block.piece(number).cloned() else {
            return;
        };
        let (mut bounds, mut facts) = (TimeBounds::default(), Facts::default());
        let mut needles = Needles::default();
        for (row, in_block) in (0..chunk.rows()).zip(known.info.rows.clone()) {
            let key = chunk.key(row);
            if self.last.is_some_and(|last| last > key) {
                self.rows_are_wrong(format!("row {in_block} is older than the one before"));
            }
            self.last = Some(key);
            bounds.include(key.time_unix_nano);
            chunk.add_needles(row, &mut needles, &mut facts);
            self.add_trace(&chunk, row, in_block);
        }
        if (bounds, facts) != (known.info.bounds, known.facts) {
            self.index_is_wrong(format!("what it says of piece {number} is not so"));
        }
        let mut hashes = needles.hashes();
        let lacking = hashes.find_map(|hash| match self.block.pieces_of_hash(hash) {
            Ok(found) => (!found.contains(number)).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        drop(hashes);
        match lacking {
            Some(Ok(())) => self.index_is_wrong(format!(
                "what it says of the needles of piece {number} lacks some that its rows have"
            )),
            Some(Err(error)) => self.problems.push(error),
            None => {}
        }
        match self.block.tally() {
            Ok(Some(tally)) => {
                let counts = tally.of_piece(number);
                if counts.is_some_and(|counts| !are_of(counts, &tally.services, chunk.as_ref())) {
                    self.index_is_wrong(format!("what it counts of piece {number} is not so"));
                }
            }
            Ok(None) => {}
            Err(error) => self.problems.push(error),
        }
        self.chunks
            .push((chunk.service_counts(), chunk.operation_counts()));
        if let Some(rollup) = &mut self.rollup {
            add_all(&chunk, rollup);
        }
    }

    fn add_trace(&mut self, chunk: &Arc<C>, row: usize, in_block: u32) {
        let next = self.services.len() as u32;
        let service = match self.services.get(chunk.service(row)) {
            Some(number) => *number,
            None => {
                self.services.insert(chunk.service(row).to_owned(), next);
                next
            }
        };
        let entries = self.block.entries();
        let of_trace = TraceRow::new(chunk.as_ref(), row, in_block, service, entries);
        self.traces.extend(of_trace);
    }

    /// What only all rows together tell.
    fn whole(&mut self) {
        let first = self.block.info().first_unix_nano;
        let entries = self.block.entries();
        let Encoded {
            leaves,
            directory,
            service_sets,
        } = traces::encode(&mut self.traces, first, entries);
        let lacking =
            self.traces
                .iter()
                .find_map(|row| match self.block.may_have_trace(row.key()) {
                    Ok(found) => (!found).then_some(Ok(())),
                    Err(error) => Some(Err(error)),
                });
        match lacking {
            Some(Ok(())) => self.index_is_wrong("the filter of its traces lacks some of the rows"),
            Some(Err(error)) => self.problems.push(error),
            None => {}
        }
        let said = self.block.section(entries.section());
        let said_directory = self.block.section(Kind::Leaves);
        let said_sets = self.block.section(Kind::ServiceSets);
        match (said, said_directory, said_sets) {
            (Ok(said), Ok(said_directory), Ok(said_sets)) => {
                let is_same = said == leaves
                    && said_directory == traces::encode_directory(&directory)
                    && said_sets == service_sets.unwrap_or_default();
                if !is_same {
                    self.index_is_wrong("its traces are not those of the rows");
                }
            }
            (a, b, c) => {
                let problems = [a, b, c].into_iter().filter_map(Result::err);
                self.problems.extend(problems);
            }
        }
        let (services, operations): (Vec<_>, Vec<_>) = self.chunks.drain(..).unzip();
        let said = (self.block.services(), self.block.operations());
        let seen = (
            sum_services(services.into_iter()),
            sum_operations(operations.into_iter()),
        );
        match said {
            (Ok(services), Ok(operations)) if (&services, &operations) != (&seen.0, &seen.1) => {
                self.index_is_wrong("its services or operations are not those of the rows");
            }
            (a, b) => self.problems.extend(a.err().into_iter().chain(b.err())),
        }
        if let Some(rollup) = self.rollup.take() {
            match self.block.section(Kind::Rollup) {
                Ok(said) if said != C::rolled_up(rollup) => {
                    self.index_is_wrong("its rollups are not those of the rows");
                }
                Ok(_) => {}
                Err(error) => self.problems.push(error),
            }
        }
    }
}

/// Whether counts are those of the rows of a chunk.
fn are_of<C: Storable>(counts: &[Count], services: &[String], chunk: &C) -> bool {
    let mut left: HashMap<(&str, u8), u32> = HashMap::new();
    for row in 0..chunk.rows() {
        *left
            .entry((chunk.service(row), chunk.grade(row)))
            .or_default() += 1;
    }
    let mut is_right = |count: &Count| {
        let service = services.get(count.service as usize).map(String::as_str);
        service.and_then(|service| left.remove(&(service, count.grade))) == Some(count.rows)
    };
    let are_right = counts.iter().all(&mut is_right);
    are_right && left.is_empty()
}
