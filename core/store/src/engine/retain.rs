//! Which blocks leave: by age, by bytes, and to keep the disk from filling up.

use std::sync::Arc;

use super::{Change, Engine, EngineError, Point, Tables};
use crate::{
    Config, Stop,
    block::{Block, BlockId, BlockInfo, Storable},
    chunk::{LogChunk, SpanChunk},
};

/// So much is kept however full the disk is: else another program that fills it would empty the store.
const RESERVE_KEEPS_BYTES: u64 = 256 << 20;

const MILLI: u64 = 1_000_000;

/// A block that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaving {
    table: &'static str,
    id: BlockId,
    is_by_age: bool,
}

impl Engine {
    /// Lets the blocks go that have to: from the catalog, then from the tables, then from the disk.
    pub(super) fn retain(&self, tables: Tables<'_>, stop: &Stop) -> Result<(), EngineError> {
        let lacking = self.lacking_bytes();
        let turn = self.turn();
        let infos = infos(tables);
        let leaving = pick(&infos, &self.config, self.now(), lacking);
        if leaving.is_empty() {
            return Ok(());
        }
        self.hook(Point::RetainBegun)?;
        let (spans, logs) = (ids::<SpanChunk>(&leaving), ids::<LogChunk>(&leaving));
        let mut change = Change::default();
        let of_table = leaving.iter().map(|it| (it.table, it.id));
        change.remove.extend(of_table);
        let expired = |name, mut expired: super::Expired| {
            for one in leaving.iter().filter(|it| it.table == name) {
                let info = infos
                    .iter()
                    .find(|(table, it)| *table == name && it.id == one.id);
                info.iter()
                    .for_each(|(_, info)| expired.include(info, one.is_by_age));
            }
            expired
        };
        let expired_spans = expired(SpanChunk::TABLE, tables.spans.expired());
        let expired_logs = expired(LogChunk::TABLE, tables.logs.expired());
        change.expired = vec![
            (SpanChunk::TABLE, expired_spans.clone()),
            (LogChunk::TABLE, expired_logs.clone()),
        ];
        self.commit(change, stop)?;
        self.note(self.hook(Point::RetainCommitted));
        let (span_blocks, log_blocks) = (tables.spans.blocks(), tables.logs.blocks());
        tables.spans.expire(&spans, expired_spans);
        tables.logs.expire(&logs, expired_logs);
        drop(turn);
        self.delete_all(span_blocks, &spans);
        self.delete_all(log_blocks, &logs);
        Ok(())
    }

    /// Bytes that are to be free and are not; none when the file system does not tell.
    fn lacking_bytes(&self) -> u64 {
        let found = (self.options.free_bytes)(&self.blocks);
        self.counts().disk_free_bytes = found.as_ref().ok().copied();
        match found {
            Ok(free) => self.config.disk_reserve_bytes.saturating_sub(free),
            Err(source) => {
                let path = self.blocks.clone();
                self.note(Err(EngineError::Io { path, source }));
                0
            }
        }
    }

    fn delete_all<C: Storable>(&self, blocks: Vec<Arc<Block<C>>>, ids: &[BlockId]) {
        for id in ids {
            match blocks.iter().find(|block| block.info().id == *id) {
                Some(block) => self.delete_block(block),
                // It could not be opened.
                None => self.delete_files::<C>(*id),
            }
            self.note(self.hook(Point::RetainDeleting));
        }
    }
}

/// The blocks of both tables, those that cannot be read included: they take room, too, and grow old.
fn infos(tables: Tables<'_>) -> Vec<(&'static str, BlockInfo)> {
    let spans = tables.spans.block_infos().into_iter();
    let logs = tables.logs.block_infos().into_iter();
    spans
        .map(|info| (SpanChunk::TABLE, info))
        .chain(logs.map(|info| (LogChunk::TABLE, info)))
        .collect()
}

fn ids<C: Storable>(leaving: &[Leaving]) -> Vec<BlockId> {
    let of_table = leaving.iter().filter(|it| it.table == C::TABLE);
    of_table.map(|it| it.id).collect()
}

/// What leaves at a time, when the disk lacks so many bytes.
fn pick(
    infos: &[(&'static str, BlockInfo)],
    config: &Config,
    now: u64,
    lacking: u64,
) -> Vec<Leaving> {
    // A clock that was set back makes this earlier, and less old.
    let oldest = now.saturating_sub(config.retention_age_max_ms.saturating_mul(MILLI));
    // A record that claims to be of the future does not keep its block for longer than those that came with it.
    let age_time = |info: &BlockInfo| info.last_unix_nano.min(info.received_unix_nano);
    let mut in_order: Vec<&(&'static str, BlockInfo)> = infos.iter().collect();
    in_order.sort_unstable_by_key(|(_, info)| (info.received_unix_nano, info.id));
    let total: u64 = infos.iter().map(|(_, info)| info.bytes).sum();
    let mut kept = total;
    let reserve_floor = total
        .saturating_sub(lacking)
        .max(RESERVE_KEEPS_BYTES.min(total));
    let kept_max = config.retention_bytes_max.min(reserve_floor);
    let mut leaving = Vec::new();
    let mut leave = |table: &'static str, info: &BlockInfo, is_by_age| {
        leaving.push(Leaving {
            table,
            id: info.id,
            is_by_age,
        });
    };
    let mut young = Vec::new();
    for (table, info) in in_order {
        if age_time(info) < oldest {
            leave(table, info, true);
            kept -= info.bytes;
        } else {
            young.push((*table, info));
        }
    }
    for (table, info) in young {
        if kept <= kept_max {
            break;
        }
        leave(table, info, false);
        kept -= info.bytes;
    }
    leaving
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

    fn block(id: u64, bytes: u64, last: u64, received: u64) -> (&'static str, BlockInfo) {
        let info = BlockInfo {
            id: BlockId(id),
            rows: 10,
            bytes,
            first_unix_nano: 0,
            last_unix_nano: last,
            received_unix_nano: received,
            level: 0,
        };
        ("spans", info)
    }

    fn left(blocks: &[(&'static str, BlockInfo)], config: &Config, now: u64) -> Vec<(u64, bool)> {
        let leaving = pick(blocks, config, now, 0);
        leaving.iter().map(|it| (it.id.0, it.is_by_age)).collect()
    }

    #[test]
    fn a_block_leaves_by_age_when_its_newest_row_is_too_old_or_arrived_too_long_ago() {
        let config = Config::default();
        let blocks = [
            block(1, 1, 10 * DAY, 10 * DAY),
            block(2, 1, 3 * DAY, 12 * DAY),
            block(3, 1, 9000 * DAY, 10 * DAY),
            block(4, 1, 12 * DAY, 12 * DAY),
        ];
        assert_eq!(left(&blocks, &config, 10 * DAY), [(2, false); 0]);
        assert_eq!(left(&blocks, &config, 12 * DAY), [(2, true)]);
        assert_eq!(
            left(&blocks, &config, 18 * DAY),
            [(1, true), (3, true), (2, true)]
        );
    }

    #[test]
    fn nothing_leaves_by_age_when_the_clock_was_set_back() {
        let blocks = [block(1, 1, 10 * DAY, 10 * DAY)];
        assert_eq!(left(&blocks, &Config::default(), DAY), []);
        assert_eq!(left(&blocks, &Config::default(), 0), []);
    }

    #[test]
    fn what_arrived_first_leaves_first_by_bytes() {
        let config = Config {
            retention_bytes_max: 100,
            ..Config::default()
        };
        let blocks = [
            block(3, 40, DAY, 3 * DAY),
            block(1, 40, 5 * DAY, DAY),
            block(2, 40, 9 * DAY, 2 * DAY),
        ];
        assert_eq!(left(&blocks, &config, 3 * DAY), [(1, false)]);
    }

    #[test]
    fn a_disk_that_is_nearly_full_takes_the_oldest_and_leaves_some() {
        let mebi = 1 << 20;
        let blocks: Vec<_> = (0..10)
            .map(|id| block(id, 100 * mebi, DAY, DAY + id))
            .collect();
        let count = |lacking| pick(&blocks, &Config::default(), DAY, lacking).len();
        assert_eq!(count(0), 0);
        assert_eq!(count(1), 1);
        assert_eq!(count(250 * mebi), 3);
        assert_eq!(
            count(u64::MAX),
            8,
            "256 MiB are kept, and the rest of a block"
        );
    }
}
