//! What a configuration may say, and what is said about one that cannot work.

#![allow(clippy::unwrap_used)]

use log_tracer_transport::OpenError;
use log_tracer_transport_channel::{ChannelTransport, Config, WhenFull};

fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

#[test]
fn nothing_has_to_be_configured() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.validate(), Ok(()));
}

#[test]
fn every_key_can_be_configured_and_is_written_as_it_is_read() {
    let text = "partitions = 4\n\
                retained_bytes_max = 4000\n\
                envelope_bytes_max = 3000\n\
                queue_bytes_max = 2000\n\
                dedupe_batches_max = 10\n\
                when_full = \"drop-oldest\"\n";
    let config = parse(text).unwrap();
    assert_eq!(config.partitions.get(), 4);
    assert_eq!(config.when_full, WhenFull::DropOldest);
    assert_eq!(toml::to_string(&config).unwrap(), text);
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(parse("retained = 1").unwrap_err().contains("unknown field"));
    assert!(parse("partitions = 0").unwrap_err().contains("nonzero"));
    assert!(
        parse("when_full = \"explode\"")
            .unwrap_err()
            .contains("drop-oldest")
    );
}

#[test]
fn a_limit_that_cannot_work_is_named_with_what_was_expected() {
    let tiny = Config {
        envelope_bytes_max: 55,
        ..Config::default()
    };
    let expected = "envelope_bytes_max is 55, expected at least the 56 bytes of an empty envelope";
    assert_eq!(tiny.validate().unwrap_err(), expected);
    let opened = ChannelTransport::open(&tiny);
    assert!(matches!(opened, Err(OpenError::Invalid(text)) if text == expected));

    let crowded = Config {
        retained_bytes_max: 1000,
        envelope_bytes_max: 1000,
        ..Config::default()
    };
    assert_eq!(
        crowded.validate().unwrap_err(),
        "retained_bytes_max is 1000, expected at least 1128: envelope_bytes_max and 128 bytes"
    );
}
