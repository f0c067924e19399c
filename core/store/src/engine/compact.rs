//! Small blocks become larger ones.
//!
//! # Which
//!
//! A block is **full**, and never rewritten, when it is [whole](BlockInfo::WHOLE), which is what a flush makes of a
//! generation that rows or bytes ended, or when it has at least half of `block_rows_max` rows or of `block_bytes_max`
//! bytes. The others are sorted into **tiers** by their rows: tier `t` has from 32^t to 32^(t+1) - 1. In each tier, in the
//! order of arrival, the oldest blocks are merged
//!
//! - once there are 32 of them, or
//! - once the next would make the merged block larger than it may be,
//!
//! so that the result is of a higher tier, or full. So long as the bounds are the default ones, a record is rewritten
//!
//! | records a second, of its table | a flush | rewrites of a record |
//! |---|---|---|
//! | 2,200 and more, or a quarter of what ended the flush | is ended by rows or bytes | none |
//! | 68 and more | is ended by age, with 4,096 rows and more | one: the merged block is full |
//! | 3 and more | is ended by age, with 128 rows and more | two |
//! | fewer | | three or four |
//!
//! at most, and once more if it is in a small block when its period ends. The rewrites of the last two lines are rewrites
//! of little. At most 31 blocks of each tier wait, 124 of a table.
//!
//! Blocks of different **periods**, each an eighth of `retention_age_max_ms`, are not merged: else a little that comes in
//! now and then would keep much that is old. What is left of a period when the next has begun is merged whatever the
//! tiers are.
//!
//! Neighbours are so by arrival, not by their records' times: a block with records that are late, or that claim to be
//! of the future, finds partners like any other.

use std::sync::Arc;

use super::{Change, Engine, EngineError, Point, Tables, flush::named};
use crate::{
    Config, Stop,
    block::{self, Block, BlockError, BlockId, BlockInfo, Storable},
    table::Table,
};

/// How many blocks of a tier are merged, and the base of the tiers.
const FAN_IN: u64 = 32;

/// Into so many periods is the time divided for which records are kept.
const PERIODS: u64 = 8;

/// A merge that was written and is to take the place of its inputs.
#[derive(Debug)]
pub(super) struct Merge<C: Storable> {
    inputs: Vec<Arc<Block<C>>>,
    merged: Arc<Block<C>>,
}

impl Engine {
    /// Makes one merge, if one is due in either table. Answers whether it did; no, too, when it was stopped.
    pub(super) fn compact(&self, tables: Tables<'_>, stop: &Stop) -> Result<bool, EngineError> {
        Ok(self.compact_table(tables.spans, stop)? || self.compact_table(tables.logs, stop)?)
    }

    fn compact_table<C: Storable>(
        &self,
        table: &Table<C>,
        stop: &Stop,
    ) -> Result<bool, EngineError> {
        let inputs = self.due(table);
        if inputs.is_empty() {
            return Ok(false);
        }
        match self.merge(inputs, stop) {
            Ok(Some(merge)) => self.conclude(table, merge, stop).map(|()| true),
            Ok(None) => Ok(false),
            // It will not get better, and the others must not wait for it.
            Err(Refused::Corrupt(inputs, error)) => {
                self.note(Err(error.into()));
                self.set_corrupt_apart(&inputs);
                Ok(true)
            }
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// The blocks to merge next, in the order in which they were made; none when no merge is due.
    pub(super) fn due<C: Storable>(&self, table: &Table<C>) -> Vec<Arc<Block<C>>> {
        let mut blocks: Vec<Arc<Block<C>>> = table.blocks();
        let mergeable = blocks.iter().map(|block| block.info());
        let mergeable = mergeable.filter(|info| !self.counts().unmergeable.contains(&info.id));
        let chosen = pick(mergeable, &self.config);
        blocks.retain(|block| chosen.contains(&block.info().id));
        blocks
    }

    /// Writes the merged block; nobody knows it yet. None when it was stopped.
    pub(super) fn merge<C: Storable>(
        &self,
        inputs: Vec<Arc<Block<C>>>,
        stop: &Stop,
    ) -> Result<Option<Merge<C>>, Refused<C>> {
        let id = self.new_block();
        let merged = block::merge(&self.blocks, id, &inputs, &self.block_options, stop);
        match merged {
            Ok(Some(merged)) => Ok(Some(Merge {
                inputs,
                merged: Arc::new(merged),
            })),
            Ok(None) => {
                self.delete_files::<C>(id);
                Ok(None)
            }
            Err(error) => {
                self.delete_files::<C>(id);
                Err(match error {
                    BlockError::Corrupt { .. } => Refused::Corrupt(inputs, error),
                    error => Refused::Error(error.into()),
                })
            }
        }
    }

    /// Lets the merged block take the place of its inputs; throws it away when one of them has left meanwhile.
    pub(super) fn conclude<C: Storable>(
        &self,
        table: &Table<C>,
        merge: Merge<C>,
        stop: &Stop,
    ) -> Result<(), EngineError> {
        let Merge { inputs, merged } = merge;
        if let Err(error) = self.hook(Point::CompactWritten) {
            self.delete_unused(Some(&merged));
            return Err(error);
        }
        let turn = self.turn();
        let ids: Vec<BlockId> = inputs.iter().map(|input| input.info().id).collect();
        if !table.has_all(&ids) {
            drop(turn);
            self.delete_unused(Some(&merged));
            return Ok(());
        }
        let change = Change {
            add: vec![named(&merged)],
            remove: ids.iter().map(|id| (C::TABLE, *id)).collect(),
            ..Change::default()
        };
        if let Err(error) = self.commit(change, stop) {
            if !matches!(error, EngineError::Unsettled(_)) {
                self.delete_unused(Some(&merged));
            }
            return Err(error);
        }
        self.note(self.hook(Point::CompactCommitted));
        table.exchange(&ids, merged);
        drop(turn);
        self.counts().compactions += 1;
        for input in inputs {
            self.delete_block(&input);
            self.note(self.hook(Point::CompactDeleting));
        }
        Ok(())
    }
}

/// Why a merge was not written.
#[derive(Debug)]
pub(super) enum Refused<C: Storable> {
    /// One of these is corrupt.
    Corrupt(Vec<Arc<Block<C>>>, BlockError),
    Error(EngineError),
}

impl Engine {
    /// Sees to it that corrupt blocks are not merged; nor are any of these, when it cannot be told which are.
    fn set_corrupt_apart<C: Storable>(&self, blocks: &[Arc<Block<C>>]) {
        let is_corrupt = |info: &&BlockInfo| {
            let problems = block::verify::<C>(&self.blocks, info, &mut |_| ());
            problems
                .iter()
                .any(|it| matches!(it, BlockError::Corrupt { .. }))
        };
        let infos = || blocks.iter().map(|block| block.info());
        let mut apart: Vec<BlockId> = infos().filter(is_corrupt).map(|info| info.id).collect();
        if apart.is_empty() {
            apart.extend(infos().map(|info| info.id));
        }
        self.counts().unmergeable.extend(apart);
    }
}

/// The blocks to merge next, in the order of arrival; none when no merge is due.
fn pick<'a>(blocks: impl Iterator<Item = &'a BlockInfo>, config: &Config) -> Vec<BlockId> {
    let mut small: Vec<&BlockInfo> = blocks.collect();
    let current = small.iter().map(|info| period(info, config)).max();
    let current = current.unwrap_or(0);
    small.retain(|info| !is_full(info, config));
    let group = |info: &BlockInfo| {
        let period = period(info, config);
        let tier = (period == current).then(|| tier(info));
        (period, tier)
    };
    small.sort_unstable_by_key(|info| (group(info), info.received_unix_nano, info.id));
    small
        .chunk_by(|a, b| group(a) == group(b))
        .map(|grouped| match group_is_over(grouped, current, config) {
            true => oldest(grouped, config, u64::MAX, true),
            false => oldest(grouped, config, FAN_IN, false),
        })
        .find(|due| !due.is_empty())
        .unwrap_or_default()
}

fn group_is_over(group: &[&BlockInfo], current: u64, config: &Config) -> bool {
    group.iter().any(|info| period(info, config) < current)
}

/// As many of the oldest blocks as may be merged; none when there is room for more, unless nothing more comes.
fn oldest(
    group: &[&BlockInfo],
    config: &Config,
    count_max: u64,
    is_complete: bool,
) -> Vec<BlockId> {
    let (mut rows, mut bytes) = (0, 0);
    let mut ids = Vec::new();
    for info in group {
        rows += info.rows;
        bytes += info.bytes;
        if rows > config.block_rows_max || bytes > config.block_bytes_max {
            // None of them is full, so that at least two fit.
            return ids;
        }
        ids.push(info.id);
        if ids.len() as u64 == count_max || rows == config.block_rows_max {
            return ids;
        }
    }
    match is_complete && ids.len() > 1 {
        true => ids,
        false => Vec::new(),
    }
}

/// The number of the period in which the newest rows of a block arrived.
fn period(info: &BlockInfo, config: &Config) -> u64 {
    let nano = config.retention_age_max_ms.saturating_mul(1_000_000) / PERIODS;
    info.received_unix_nano / nano.max(1)
}

fn is_full(info: &BlockInfo, config: &Config) -> bool {
    info.level == BlockInfo::WHOLE
        || info.rows >= config.block_rows_max.div_ceil(2)
        || info.bytes >= config.block_bytes_max.div_ceil(2)
}

fn tier(info: &BlockInfo) -> u32 {
    info.rows.max(1).ilog(FAN_IN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn info(id: u64, rows: u64) -> BlockInfo {
        BlockInfo {
            id: BlockId(id),
            rows,
            bytes: 50 * rows,
            first_unix_nano: 0,
            last_unix_nano: 0,
            received_unix_nano: id,
            level: 0,
        }
    }

    fn picked(blocks: &[BlockInfo]) -> Vec<u64> {
        let ids = pick(blocks.iter(), &Config::default());
        ids.into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn full_flushes_are_never_merged() {
        let blocks: Vec<BlockInfo> = (0..40).map(|id| info(id, 131_072)).collect();
        assert_eq!(picked(&blocks), [0; 0]);
        let whole = |id| BlockInfo {
            level: BlockInfo::WHOLE,
            ..info(id, 1)
        };
        let blocks: Vec<BlockInfo> = (0..40).map(whole).collect();
        assert_eq!(picked(&blocks), [0; 0]);
    }

    #[test]
    fn blocks_of_a_tier_wait_until_there_are_thirty_two_of_them() {
        let blocks: Vec<BlockInfo> = (0..32).map(|id| info(id, 5000)).collect();
        assert_eq!(picked(&blocks), (0..32).collect::<Vec<_>>());
        assert_eq!(picked(&blocks[..31]), [0; 0]);
    }

    #[test]
    fn blocks_of_different_periods_are_not_merged_and_a_period_that_is_over_is_tidied() {
        let day = 24 * 60 * 60 * 1_000_000_000;
        let mut blocks: Vec<BlockInfo> = (0..31).map(|id| info(id, 1)).collect();
        assert_eq!(picked(&blocks), [0; 0]);
        blocks.push(info(31, 100));
        assert_eq!(picked(&blocks), [0; 0]);
        blocks.push(info(32, 1));
        blocks[32].received_unix_nano = day;
        assert_eq!(picked(&blocks), (0..32).collect::<Vec<_>>());
        assert_eq!(picked(&blocks[31..]), [0; 0]);
    }

    #[test]
    fn blocks_that_together_are_too_large_are_merged_as_far_as_they_fit() {
        let blocks: Vec<BlockInfo> = (0..3).map(|id| info(id, 100_000)).collect();
        assert_eq!(picked(&blocks), [0, 1]);
    }

    /// The blocks that are left after flushes of these sizes, and how often each row was rewritten at most.
    fn simulate(flushes: impl Iterator<Item = u64>) -> (usize, u32) {
        let config = Config::default();
        let mut blocks: Vec<(BlockInfo, u32)> = Vec::new();
        let mut next = 0;
        let mut most = 0;
        for rows in flushes {
            blocks.push((info(next, rows), 0));
            next += 1;
            loop {
                let ids = pick(blocks.iter().map(|(info, _)| info), &config);
                if ids.is_empty() {
                    break;
                }
                assert!(ids.len() >= 2, "{ids:?}");
                let is_input = |(info, _): &(BlockInfo, u32)| ids.contains(&info.id);
                let inputs: Vec<_> = blocks.extract_if(.., |it| is_input(it)).collect();
                let rows = inputs.iter().map(|(info, _)| info.rows).sum();
                assert!(rows <= config.block_rows_max);
                let rewrites = inputs.iter().map(|(_, n)| n + 1).max().unwrap();
                let received = inputs.iter().map(|(info, _)| info.received_unix_nano).max();
                let mut merged = info(next, rows);
                merged.received_unix_nano = received.unwrap();
                blocks.push((merged, rewrites));
                next += 1;
                most = most.max(rewrites);
            }
        }
        (blocks.len(), most)
    }

    #[test]
    fn full_flushes_are_not_rewritten() {
        assert_eq!(simulate((0..64).map(|_| 131_072)), (64, 0));
    }

    #[test]
    fn a_record_a_minute_for_a_week_is_a_few_blocks() {
        let (blocks, rewrites) = simulate((0..7 * 24 * 60).map(|_| 1));
        assert!(blocks <= 2 * 31 + 9, "{blocks}");
        assert!(rewrites <= 2, "{rewrites}");
    }

    proptest! {
        #[test]
        fn few_small_blocks_remain_whatever_is_flushed(flushes in prop::collection::vec(prop_oneof![1..20u64, 1..131_072u64], 1..400)) {
            let rows: u64 = flushes.iter().sum();
            let (blocks, rewrites) = simulate(flushes.into_iter());
            prop_assert!(blocks as u64 <= 4 * 31 + rows / (262_144 / 2), "{} blocks", blocks);
            prop_assert!(rewrites <= 4, "{} rewrites", rewrites);
        }

        #[test]
        fn flushes_of_4096_rows_and_more_are_rewritten_once_at_most(flushes in prop::collection::vec(4096..131_072u64, 1..400)) {
            prop_assert!(simulate(flushes.into_iter()).1 <= 1);
        }

        #[test]
        fn steady_flushes_of_128_rows_and_more_are_rewritten_twice_at_most(rows in 128..131_072u64) {
            prop_assert!(simulate((0..1500).map(|_| rows)).1 <= 2);
        }
    }
}
