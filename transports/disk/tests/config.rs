//! What a configuration may say, and what is said about one that cannot work.

#![allow(clippy::unwrap_used)]

use log_tracer_transport_disk::{Config, WhenFull};

fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

#[test]
fn nothing_has_to_be_configured() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.directory.to_str(), Some("journal"));
}

#[test]
fn every_key_can_be_configured_and_is_written_as_it_is_read() {
    let text = "directory = \"/somewhere\"\n\
                partitions = 4\n\
                segment_bytes = 65536\n\
                retained_bytes_max = 1000000\n\
                when_full = \"drop-oldest\"\n\
                retention_bytes = 1\n\
                retention_age_seconds = 2\n\
                reserve_bytes = 3\n\
                envelope_bytes_max = 10000\n\
                queue_bytes_max = 4\n\
                group_bytes_max = 5\n\
                group_envelopes_max = 6\n\
                linger_micros = 7\n\
                recent_bytes_max = 8\n\
                dedupe_batches_max = 9\n";
    let config = parse(text).unwrap();
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.partitions.get(), 4);
    assert_eq!(config.when_full, WhenFull::DropOldest);
    assert_eq!(toml::to_string(&config).unwrap(), text);
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(parse("segment = 1").unwrap_err().contains("unknown field"));
    assert!(parse("partitions = 0").unwrap_err().contains("nonzero"));
    assert!(
        parse("when_full = \"explode\"")
            .unwrap_err()
            .contains("drop-oldest")
    );
}

#[test]
fn a_limit_that_cannot_work_is_named_with_what_was_expected() {
    let refusal = |text: &str| parse(text).unwrap().validate().unwrap_err();
    for (text, expected) in [
        (
            "directory = \"\"",
            "directory is empty, expected the path of a directory",
        ),
        (
            "envelope_bytes_max = 55",
            "envelope_bytes_max is 55, expected at least the 56 bytes of an empty envelope",
        ),
        (
            "segment_bytes = 100",
            "segment_bytes is 100, expected at least 4096 and a multiple of 8",
        ),
        (
            "segment_bytes = 5001",
            "segment_bytes is 5001, expected at least 4096 and a multiple of 8",
        ),
        (
            "retained_bytes_max = 100000000",
            "segment_bytes is 67108864, expected at most half of retained_bytes_max, which is 100000000",
        ),
        (
            "segment_bytes = 4096",
            "segment_bytes is 4096, expected at least 16777216: retained_bytes_max in 512 segments",
        ),
        (
            "group_bytes_max = 0",
            "group_bytes_max is 0, expected at least 1",
        ),
        (
            "group_envelopes_max = 0",
            "group_envelopes_max is 0, expected at least 1",
        ),
    ] {
        assert_eq!(refusal(text), expected);
    }
    let crowded =
        refusal("segment_bytes = 65536\nretained_bytes_max = 1000000\nenvelope_bytes_max = 500000");
    assert!(
        crowded.starts_with("retained_bytes_max is 1000000, expected at least 1000"),
        "{crowded}"
    );
}
