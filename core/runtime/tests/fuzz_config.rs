//! A configuration file is written by people: whatever it holds is loaded or refused, and never ends the process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_runtime::{
    config::{self, ConfigError, Override},
    logging,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    logging: logging::Config,
    names: Vec<String>,
    limit: Option<u32>,
}

fn load(bytes: &[u8], set: &[Override]) -> Result<(), ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let loaded = config::load::<Config>(Some(file.path()), [], set)?;
    // What was loaded can be printed and loaded again.
    std::fs::write(file.path(), loaded.to_toml()).unwrap();
    config::load::<Config>(Some(file.path()), [], &[])?;
    Ok(())
}

fn refused_in_words(result: Result<(), ConfigError>) {
    if let Err(error) = result {
        assert!(!error.problems().is_empty());
        assert!(!error.to_string().is_empty());
    }
}

const VALID: &str =
    "limit = 3\nnames = [\"a\", \"b\"]\n[logging]\nlevel = \"debug\"\nqueue_records_max = 9\n";

#[test]
fn the_file_that_is_mutated_below_is_valid() {
    load(VALID.as_bytes(), &[]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_loaded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        refused_in_words(load(&bytes, &[]));
    }

    #[test]
    fn a_mutated_file_is_loaded_or_refused(
        at in 0..VALID.len(),
        cut in 0..8_usize,
        with in "[\\[\\]{}=.\"'#a-z0-9_\\n -]{0,6}",
    ) {
        let end = (at + cut).min(VALID.len());
        let text = format!("{}{with}{}", &VALID[..at], &VALID[end..]);
        refused_in_words(load(text.as_bytes(), &[]));
    }

    #[test]
    fn any_override_is_loaded_or_refused(
        key in "(logging\\.)?(level|queue_records_max|names|limit|[a-z.]{0,8})",
        value in ".{0,20}",
    ) {
        if let Ok(set) = Override::set(&format!("{key}={value}")) {
            refused_in_words(load(b"", &[set]));
        }
    }
}
