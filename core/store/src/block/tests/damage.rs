//! A block that has rotted is an error that names the file, and never other rows.

use std::{fs, path::PathBuf, sync::OnceLock};

use log_tracer_record::{
    ResourceContext,
    otlp::{
        common::{AnyValue, KeyValue, any_value::Value},
        resource::Resource,
        trace::{Span, Status, span::Event},
    },
};
use proptest::{prelude::*, sample::Index};

use super::*;

/// The same spans in every run.
pub(super) fn spans(count: u64) -> Vec<SpanRow> {
    let pair = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let service = pair("service.name", Value::StringValue("cart".to_owned()));
    let resource = Resource {
        attributes: vec![service],
        ..Resource::default()
    };
    let resource = Arc::new(ResourceContext::new(resource, String::new()));
    let span = |number: u64| Span {
        trace_id: u128::from(number / 4 + 1).to_be_bytes().to_vec().into(),
        span_id: (number + 1).to_be_bytes().to_vec().into(),
        name: format!("GET /{}", number % 3),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000 + number * 1000,
        end_time_unix_nano: 1_700_000_000_000_000_000 + number * 1000 + 77,
        attributes: vec![
            pair("user.id", Value::StringValue(format!("user-{number}"))),
            pair("http.response.status_code", Value::IntValue(200)),
            pair("amount", Value::DoubleValue(number as f64 / 4.0)),
        ],
        events: match number % 5 {
            0 => vec![Event {
                name: "cache miss".to_owned(),
                ..Event::default()
            }],
            _ => Vec::new(),
        },
        status: (number % 7 == 0).then(|| Status {
            code: 2,
            message: "failed".to_owned(),
        }),
        ..Span::default()
    };
    let row = |number| SpanRow {
        resource: Arc::clone(&resource),
        scope: Arc::default(),
        span: span(number),
    };
    (0..count).map(row).collect()
}

/// A block as bytes: its summary, its rows, and its files by name.
struct Sound {
    info: BlockInfo,
    rows: Vec<Vec<Vec<u8>>>,
    files: Vec<(String, Vec<u8>)>,
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let block = written(
            directory.path(),
            1,
            &[chunk::<SpanChunk>(0, &spans(60))],
            &small(),
        );
        let files = fs::read_dir(directory.path()).unwrap();
        let file = |entry: std::io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        };
        let mut files: Vec<_> = files.map(file).collect();
        files.sort();
        Sound {
            info: block.info().clone(),
            rows: read_all(&block).unwrap(),
            files,
        }
    })
}

pub(super) fn read_all<C: Storable>(block: &Block<C>) -> Result<Vec<Vec<Vec<u8>>>, BlockError>
where
    C::Row: Bits,
{
    let mut rows = Vec::new();
    for piece in 0..block.pieces().len() {
        let chunk = block.read(piece, &Columns::all())?;
        rows.extend((0..chunk.rows()).map(|row| chunk.row(row).bits()));
    }
    Ok(rows)
}

/// Reads all that there is of a block whose files are these; whatever it answers has to be right.
fn read_damaged(files: &[(String, Vec<u8>)]) -> Result<(), TestCaseError> {
    let sound = sound();
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let is_damaged = files != sound.files.as_slice();
    let cache = BlockCache::new(1 << 20);
    let problems = verify::<SpanChunk>(directory.path(), &sound.info, &mut |_| ());
    prop_assert_eq!(
        !problems.is_empty(),
        is_damaged,
        "a check sees every flipped bit"
    );
    for problem in &problems {
        prop_assert!(problem.path().starts_with(directory.path()), "{}", problem);
    }
    let Ok(block) = Block::<SpanChunk>::open(directory.path(), &sound.info, &cache) else {
        return Ok(());
    };
    if let Ok(rows) = read_all(&block) {
        prop_assert!(rows == sound.rows, "other rows than were written");
    }
    if let Ok(rows) = block.rows_of_trace(3) {
        prop_assert_eq!(rows, [8, 9, 10, 11]);
    }
    if let Ok(entries) = block.traces() {
        prop_assert_eq!(entries.len(), 15);
    }
    if let Ok(services) = block.services() {
        prop_assert_eq!(services[0].row_count, 60);
    }
    let needs = log_tracer_query::parse("user.id:user-30").unwrap().needs();
    let piece = block
        .pieces()
        .iter()
        .position(|piece| piece.rows.contains(&30))
        .unwrap();
    prop_assert!(block.admits(piece, &needs).unwrap_or(true));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn fuzz_a_flipped_bit_is_an_error_and_never_other_rows(file in 0..2_usize, at in any::<Index>(), bit in 0..8) {
        let mut files = sound().files.clone();
        let bytes = &mut files[file].1;
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        read_damaged(&files)?;
    }

    #[test]
    fn fuzz_a_file_that_was_cut_or_overwritten_is_an_error(
        file in 0..2_usize,
        at in any::<Index>(),
        with in prop::collection::vec(any::<u8>(), 0..40),
        is_cut in any::<bool>(),
    ) {
        let mut files = sound().files.clone();
        let bytes = &mut files[file].1;
        let at = at.index(bytes.len());
        let end = (at + with.len()).min(bytes.len());
        bytes.splice(at..end, with);
        if is_cut {
            bytes.truncate(at);
        }
        read_damaged(&files)?;
    }

    #[test]
    fn fuzz_any_bytes_are_no_block(
        rows in prop::collection::vec(any::<u8>(), 0..200),
        index in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let names = sound().files.iter().map(|(name, _)| name.clone());
        let files: Vec<_> = names.zip([index, rows]).collect();
        read_damaged(&files)?;
    }
}

#[test]
fn a_flipped_bit_is_told_with_the_file_and_the_place() {
    let sound = sound();
    let directory = tempfile::tempdir().unwrap();
    let rows: PathBuf = directory.path().join(&sound.files[1].0);
    for (name, bytes) in &sound.files {
        let mut bytes = bytes.clone();
        if name.ends_with(".parquet") {
            bytes[700] ^= 1;
        }
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let block = Block::<SpanChunk>::open(directory.path(), &sound.info, &BlockCache::new(1 << 20));
    let error = read_all(&block.unwrap()).unwrap_err();
    assert!(matches!(error, BlockError::Corrupt { .. }));
    assert_eq!(error.path(), rows);
    let expected = format!(
        "{} is corrupt: the checksum of the 512 bytes at 512 is wrong",
        rows.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn files_of_another_block_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = small();
    let one = written(
        directory.path(),
        1,
        &[chunk::<SpanChunk>(0, &spans(60))],
        &options,
    );
    let two = written(
        directory.path(),
        2,
        &[chunk::<SpanChunk>(0, &spans(59))],
        &options,
    );
    let path = |id: u64, role: &str| directory.path().join(format!("spans-{id:016x}.{role}"));
    fs::rename(path(2, "index"), path(1, "index")).unwrap();
    let error = Block::<SpanChunk>::open(directory.path(), one.info(), &options.cache).unwrap_err();
    assert!(matches!(error, BlockError::Corrupt { .. }), "{error}");
    drop(two);
}

#[test]
fn whoever_holds_a_block_can_read_it_after_it_was_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let block = written(
        directory.path(),
        1,
        &[chunk::<SpanChunk>(0, &spans(60))],
        &small(),
    );
    block.delete().unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(read_all(&block).unwrap(), sound().rows);
    assert_eq!(block.rows_of_trace(3).unwrap(), [8, 9, 10, 11]);
    let needs = log_tracer_query::parse("refused").unwrap().needs();
    assert!(!block.admits(0, &needs).unwrap());
}

#[test]
fn most_of_what_no_row_has_is_denied() {
    let directory = tempfile::tempdir().unwrap();
    let block = written(
        directory.path(),
        1,
        &[chunk::<SpanChunk>(0, &spans(700))],
        &small(),
    );
    let admitted = |query: &str| {
        let needs = log_tracer_query::parse(query).unwrap().needs();
        let pieces = 0..block.pieces().len();
        pieces
            .filter(|piece| block.admits(*piece, &needs).unwrap())
            .count()
    };
    assert_eq!(block.pieces().len(), 100);
    // At six bits, one of 64 is wrongly affirmed.
    for (query, pieces) in [
        ("user.id:user-123", 1),
        ("user.id:user-1230", 0),
        ("user.id:*", 100),
        ("nothing.here:*", 0),
        ("http.response.status_code:404", 0),
        ("http.response.status_code:200", 100),
        ("service:web", 0),
        ("kind:server", 100),
        ("kind:client", 0),
        ("status.message:failed", 100),
        ("event:\"cache miss\"", 100),
        ("\"cache miss\"", 100),
        ("refused", 0),
        ("duration>80ns", 0),
        ("duration>70ns", 100),
        ("trace:00000000000000000000000000000003", 1),
        ("trace:00000000000000000000000000000fff", 0),
        ("time:2026-03-01", 0),
        ("severity:error", 0),
        ("body:failed", 0),
    ] {
        let found = admitted(query);
        assert!(
            found >= pieces && found <= pieces + 8,
            "{query}: {found} pieces"
        );
    }
    let ids = block.rows_of_trace(3).unwrap();
    assert_eq!(ids.len(), 4);
}
