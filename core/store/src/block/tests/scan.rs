//! Columns say of a query what whole rows say, and the tally of a block counts its rows.

use std::collections::BTreeMap;

use log_tracer_query::{Needle, Query, Record, RowSet, parse, quote};
use log_tracer_record::arbitrary;
use proptest::{prelude::*, sample::Index};

use super::{
    fields::{Paths, needles, odd_spans},
    *,
};

/// Queries about what a record has, and about what it lacks.
fn queries_about(record: &impl Record, row: &impl Paths) -> Vec<String> {
    let mut queries = vec!["/^$/".to_owned(), "/e/".to_owned(), "nosuchword".to_owned()];
    for needle in needles(record, &row.paths()) {
        match needle {
            Needle::Value(field, text) => {
                let text = quote(&text);
                for sign in [":", "=", "!=", ">=", "<"] {
                    queries.push(format!("{field}{sign}{text}"));
                }
            }
            Needle::Token(None, token) => queries.push(quote(&token)),
            Needle::Token(Some(field), token) => {
                queries.push(format!("{field}:{}", quote(&token)));
                queries.push(format!(
                    "{field}:/{}/",
                    token.chars().take(1).collect::<String>()
                ));
            }
            Needle::TokenPrefix(None, begin) => queries.push(format!("{begin}*")),
            Needle::ValuePrefix(field, begin) => queries.push(format!("{field}:{begin}*")),
            Needle::Present(field) => queries.push(format!("{field}:*")),
            _ => {}
        }
    }
    queries
}

/// Some of the queries about some of the rows, put together.
fn queries<C: Storable>(chunk: &C, rows: &[C::Row], picks: &[(Index, Index, u8)]) -> Vec<Query>
where
    C::Row: Paths,
{
    let mut found = vec![Query::default()];
    let mut last = "".to_owned();
    for (row, pick, how) in picks {
        let row = row.index(rows.len());
        let about = queries_about(&chunk.fields(row, &[]), &rows[row]);
        let one = about[pick.index(about.len())].clone();
        for text in match how % 4 {
            0 => [one.clone(), format!("-({one})")],
            1 => [format!("({one}) OR ({last})"), one.clone()],
            2 => [format!("{one} {last}"), one.clone()],
            _ => [format!("-({one}) {last}"), format!("-({one}) OR {last}")],
        } {
            // A value can hold what is no query.
            found.extend(parse(&text));
        }
        last = one;
    }
    found
}

fn check_scan<C: Storable>(
    rows: &[C::Row],
    picks: &[(Index, Index, u8)],
    (asked, pieces): (u64, u64),
) -> Result<(), TestCaseError>
where
    C::Row: Paths,
{
    if rows.is_empty() {
        return Ok(());
    }
    let chunks = [chunk::<C>(3, rows)];
    let chunk = chunks[0].as_ref();
    let order = in_order(&chunks);
    let (directory, options) = (tempfile::tempdir().unwrap(), small());
    let block = written(directory.path(), 1, &chunks, &options);
    let some = block.pieces().iter().enumerate();
    let some = some.filter(|(number, _)| pieces >> (number % 64) & 1 == 1);
    let ranges: Vec<_> = some
        .map(|(_, piece)| piece.rows.start as usize..piece.rows.end as usize)
        .collect();
    let numbers: Vec<usize> = ranges
        .iter()
        .cloned()
        .flatten()
        .map(|row| order[row].1)
        .collect();
    for query in queries(chunk, rows, picks) {
        let mut scan = block.scan(ranges.clone()).unwrap();
        let among = RowSet::of(scan.rows(), |row| asked >> (row % 64) & 1 == 1);
        let found = query.select(&mut scan, among.clone()).unwrap();
        let matches = |row: &usize| query.matches(&chunk.fields(numbers[*row], &[]));
        let expected: Vec<usize> = among.iter().filter(matches).collect();
        prop_assert_eq!(
            found.iter().collect::<Vec<_>>(),
            expected.clone(),
            "{}",
            query
        );
        // Few rows are asked of the pages alone that they stand in.
        for page_rows in [1, 3] {
            let mut scan = block
                .scan(ranges.clone())
                .unwrap()
                .with_page_rows(page_rows);
            let some = among.iter().filter(|row| row % 5 == asked as usize % 5);
            let mut few = RowSet::none(scan.rows());
            some.for_each(|row| few.insert(row));
            let found = query.select(&mut scan, few.clone()).unwrap();
            let expected: Vec<usize> = few.iter().filter(matches).collect();
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{}", query);
            let numbers_of = scan.numbers_of(&few);
            let of_block: Vec<u32> = ranges
                .iter()
                .cloned()
                .flatten()
                .map(|row| row as u32)
                .collect();
            let expected: Vec<u32> = few.iter().map(|row| of_block[row]).collect();
            prop_assert_eq!(numbers_of, expected);
            let ids = scan.trace_ids(&few).unwrap();
            let expected: Vec<u128> = few.iter().map(|row| chunk.trace_of(numbers[row])).collect();
            prop_assert_eq!(ids, expected);
        }
    }
    let mut scan = block.scan(ranges).unwrap();
    let (times, grades, services) = (
        scan.times().unwrap(),
        scan.grades().unwrap(),
        scan.services().unwrap(),
    );
    for (row, of) in numbers.into_iter().enumerate() {
        prop_assert_eq!(times[row], chunk.time(of));
        prop_assert_eq!(grades[row], chunk.grade(of));
        prop_assert!(C::level_of(grades[row]) < C::LEVELS.len());
        let service = services.names[services.numbers[row] as usize].as_str();
        prop_assert_eq!(service, chunk.service(of));
    }
    check_tally(&block, chunk, &order)
}

fn check_tally<C: Storable>(
    block: &Block<C>,
    chunk: &C,
    order: &[(usize, usize)],
) -> Result<(), TestCaseError> {
    let tally = block.tally().unwrap().expect("it is written");
    for (number, piece) in block.pieces().iter().enumerate() {
        let mut expected: BTreeMap<(String, u8), u32> = BTreeMap::new();
        for row in piece.rows.clone() {
            let row = order[row as usize].1;
            let key = (chunk.service(row).to_owned(), chunk.grade(row));
            *expected.entry(key).or_default() += 1;
        }
        let counts = tally.of_piece(number).unwrap().iter();
        let named = |count: &TallyCount| {
            let service = tally.services[count.service as usize].clone();
            ((service, count.grade), count.rows)
        };
        prop_assert_eq!(counts.map(named).collect::<BTreeMap<_, _>>(), expected);
    }
    Ok(())
}

fn picks() -> impl Strategy<Value = Vec<(Index, Index, u8)>> {
    prop::collection::vec(any::<(Index, Index, u8)>(), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn columns_of_spans_answer_a_query_like_whole_rows(
        rows in odd_spans(),
        picks in picks(),
        some in any::<(u64, u64)>(),
    ) {
        check_scan::<SpanChunk>(&rows, &picks, some)?;
        check_scan::<SpanChunk>(&rows, &picks, (u64::MAX, u64::MAX))?;
    }

    #[test]
    fn columns_of_log_records_answer_a_query_like_whole_rows(
        rows in arbitrary::log_rows(),
        picks in picks(),
        some in any::<(u64, u64)>(),
    ) {
        check_scan::<LogChunk>(&rows, &picks, some)?;
        check_scan::<LogChunk>(&rows, &picks, (u64::MAX, u64::MAX))?;
    }
}
