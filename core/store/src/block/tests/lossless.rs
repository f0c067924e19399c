//! Rows come back bit by bit, in the order of their keys, however they are read.

use std::collections::BTreeSet;

use log_tracer_record::arbitrary;
use proptest::prelude::*;

use super::*;
use crate::{Stop, block::index::traces::Entries};

fn check<C: Storable>(
    parts: &[Vec<C::Row>],
    picks: &[prop::sample::Index],
) -> Result<(), TestCaseError>
where
    C::Row: Bits,
{
    let chunks: Vec<Arc<C>> = (0..)
        .zip(parts)
        .map(|(partition, rows)| chunk(partition, rows))
        .collect();
    let order = in_order(&chunks);
    if order.is_empty() {
        return Ok(());
    }
    let (directory, options) = (tempfile::tempdir().unwrap(), small());
    let block = written(directory.path(), 1, &chunks, &options);
    check_block(&block, &chunks, &order, picks)?;
    assert_whole(directory.path(), &block);
    let reopened = Block::open(directory.path(), block.info(), &options.cache).unwrap();
    check_block(&reopened, &chunks, &order, picks)?;
    // One block for each chunk, merged, is the same as one of all.
    let blocks = (10..).zip(&chunks).filter(|(_, chunk)| chunk.rows() > 0);
    let blocks = blocks
        .map(|(id, chunk)| written(directory.path(), id, std::slice::from_ref(chunk), &options));
    let blocks: Vec<_> = blocks.map(Arc::new).collect();
    let merged = merge(
        directory.path(),
        BlockId(2),
        &blocks,
        &options,
        &Stop::never(),
    );
    let merged = merged.unwrap().expect("nobody stops it");
    prop_assert_eq!(merged.info().level, BlockInfo::MERGED);
    check_block(&merged, &chunks, &order, picks)?;
    assert_whole(directory.path(), &merged);
    Ok(())
}

fn check_block<C: Storable>(
    block: &Block<C>,
    chunks: &[Arc<C>],
    order: &[(usize, usize)],
    picks: &[prop::sample::Index],
) -> Result<(), TestCaseError>
where
    C::Row: Bits,
{
    prop_assert_eq!(block.info().rows, order.len() as u64);
    let mut row = 0;
    for (number, piece) in block.pieces().iter().enumerate() {
        let read = block.read(number, &Columns::all()).unwrap();
        prop_assert_eq!(piece.rows.start as usize, row);
        prop_assert_eq!(read.rows(), piece.rows.len());
        prop_assert_eq!(read.bounds(), piece.bounds);
        for in_piece in 0..read.rows() {
            same_row(read.as_ref(), in_piece, chunks, order[row])?;
            row += 1;
        }
    }
    prop_assert_eq!(row, order.len());
    let mut rows: Vec<u32> = picks
        .iter()
        .map(|pick| pick.index(order.len()) as u32)
        .collect();
    rows.sort_unstable();
    rows.dedup();
    let taken = block.take(&rows, &Columns::all()).unwrap();
    prop_assert_eq!(taken.rows(), rows.len());
    for (at, row) in rows.iter().enumerate() {
        same_row(&taken, at, chunks, order[*row as usize])?;
    }
    same_index(block, chunks, order)
}

fn same_row<C: Storable>(
    read: &C,
    row: usize,
    chunks: &[Arc<C>],
    (number, of): (usize, usize),
) -> Result<(), TestCaseError>
where
    C::Row: Bits,
{
    let chunk = &chunks[number];
    prop_assert_eq!(read.row(row).bits(), chunk.row(of).bits());
    prop_assert_eq!(read.key(row), chunk.key(of));
    prop_assert_eq!(read.service(row), chunk.service(of));
    prop_assert_eq!(read.end_of(row), chunk.end_of(of));
    prop_assert_eq!(
        (read.grade(row), read.is_error(row)),
        (chunk.grade(of), chunk.is_error(of))
    );
    Ok(())
}

/// The tables of traces, services and operations are those of one chunk with all rows.
fn same_index<C: Storable>(
    block: &Block<C>,
    chunks: &[Arc<C>],
    order: &[(usize, usize)],
) -> Result<(), TestCaseError> {
    let mut builder = C::Builder::default();
    for (number, row) in order {
        let (origin, index) = chunks[*number].origin(*row);
        builder.append(origin, index, &chunks[*number].row(*row));
    }
    let all = builder.freeze();
    let ids = all.traces().ids();
    let mut keys: Vec<u128> = ids.iter().map(|id| C::ENTRIES.key(*id)).collect();
    keys.sort_unstable();
    let entries = block.traces().unwrap();
    prop_assert_eq!(
        entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        keys
    );
    for id in ids {
        let rows = all.traces().rows_of(*id);
        prop_assert_eq!(&block.rows_of_trace(*id).unwrap(), rows);
        let entry = block.trace(*id).unwrap().unwrap();
        prop_assert_eq!(entry.row_count as usize, rows.len());
        if C::ENTRIES == Entries::Rows {
            continue;
        }
        let rows = || rows.iter().map(|row| *row as usize);
        prop_assert_eq!(
            entry.error_count as usize,
            rows().filter(|row| all.is_error(*row)).count()
        );
        prop_assert_eq!(
            Some(entry.start_unix_nano),
            rows().map(|row| all.time(row)).min()
        );
        prop_assert_eq!(
            Some(entry.end_unix_nano),
            rows().map(|row| all.end_of(row)).max()
        );
    }
    same_service_sets(block, &all)?;
    prop_assert!(block.rows_of_trace(u128::MAX).unwrap().is_empty());
    let mut services = all.service_counts();
    services.sort_by(|a, b| a.service.cmp(&b.service));
    prop_assert_eq!(block.services().unwrap(), services);
    let sorted = |mut operations: Vec<OperationCount>| {
        operations.sort_by_key(|of| (of.service.clone(), of.name.clone(), of.kind as i32));
        operations
    };
    prop_assert_eq!(
        sorted(block.operations().unwrap()),
        sorted(all.operation_counts())
    );
    Ok(())
}

/// Of each trace of spans the services and grades are told.
fn same_service_sets<C: Storable>(block: &Block<C>, all: &C) -> Result<(), TestCaseError> {
    let mut told = Vec::new();
    let leaves = 0..block.leaf_count();
    block
        .traces_of(leaves, |entry, set| told.push((entry.id, set)))
        .unwrap();
    let (tally, sets) = (block.tally().unwrap(), block.service_sets().unwrap());
    prop_assert_eq!(sets.is_some(), C::ENTRIES == Entries::Whole);
    let (Some(tally), Some(sets)) = (tally, sets) else {
        return Ok(());
    };
    for (id, set) in told {
        let rows = all.traces().rows_of(id).iter();
        let expected: BTreeSet<(&str, u8)> = rows
            .map(|row| (all.service(*row as usize), all.grade(*row as usize)))
            .collect();
        let kinds = sets.iter().nth(set.unwrap() as usize).unwrap();
        let found: BTreeSet<(&str, u8)> = kinds
            .map(|(service, grade)| (tally.services[service].as_str(), grade))
            .collect();
        prop_assert_eq!(found, expected);
    }
    Ok(())
}

fn picks() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn spans_come_back_bit_by_bit(
        valid in arbitrary::span_rows(),
        odd in arbitrary::resource_spans().prop_map(log_tracer_record::span_rows),
        more in arbitrary::span_rows(),
        picks in picks(),
    ) {
        check::<SpanChunk>(&[valid, odd, more], &picks)?;
    }

    #[test]
    fn log_records_come_back_bit_by_bit(
        some in arbitrary::log_rows(),
        more in arbitrary::log_rows(),
        picks in picks(),
    ) {
        check::<LogChunk>(&[some, more], &picks)?;
    }
}
