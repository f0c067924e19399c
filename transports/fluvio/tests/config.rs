//! What a configuration may say, and what is said about one that cannot work.

#![allow(clippy::unwrap_used)]

use log_tracer_transport_fluvio::Config;

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
    let text = "address = \"fluvio-sc:9003\"\n\
                topic = \"somewhere-1\"\n\
                create_topic = false\n\
                partitions = 2\n\
                replication = 3\n\
                retention_seconds = 10\n\
                partition_bytes_max = 4000000\n\
                segment_bytes = 2000000\n\
                envelope_bytes_max = 100000\n\
                request_bytes_max = 1\n\
                request_envelopes_max = 2\n\
                requests_in_flight_max = 3\n\
                queue_bytes_max = 4\n\
                read_bytes_max = 400000\n\
                request_timeout_ms = 5\n\
                idle_probe_ms = 6\n\
                open_timeout_ms = 7\n\
                \n\
                [tls]\n\
                domain = \"fluvio.example\"\n\
                ca_certificate = \"ca.pem\"\n\
                certificate = \"client.pem\"\n\
                key = \"client.key\"\n";
    let config = parse(text).unwrap();
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(toml::to_string(&config).unwrap(), text);
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(parse("topics = 1").unwrap_err().contains("unknown field"));
    assert!(parse("partitions = 0").unwrap_err().contains("nonzero"));
    assert!(
        parse("[tls]\ndomain = \"a\"")
            .unwrap_err()
            .contains("ca_certificate")
    );
}

#[test]
fn a_limit_that_cannot_work_is_named_with_what_was_expected() {
    let refusal = |text: &str| parse(text).unwrap().validate().unwrap_err();
    for (text, expected) in [
        (
            "address = \"here\"",
            "address is \"here\", expected the host and port of the controller, as in \"127.0.0.1:9003\"",
        ),
        (
            "topic = \"Logs\"",
            "topic is \"Logs\", expected 1 to 56 lower case letters, digits and hyphens, with a letter or digit at both ends",
        ),
        (
            "retention_seconds = 9",
            "retention_seconds is 9, expected at least 10",
        ),
        (
            "segment_bytes = 1000",
            "segment_bytes is 1000, expected at least 1024",
        ),
        (
            "partition_bytes_max = 2000",
            "partition_bytes_max is 2000, expected at least segment_bytes, which is 268435456",
        ),
        (
            "envelope_bytes_max = 55",
            "envelope_bytes_max is 55, expected at least the 56 bytes of an empty envelope",
        ),
        (
            "segment_bytes = 4194304",
            "envelope_bytes_max is 4194304, expected at most 4194207, so that it fits a segment of segment_bytes and a request to an SPU",
        ),
        (
            "read_bytes_max = 1000",
            "read_bytes_max is 1000, expected at least 16777216: four times envelope_bytes_max",
        ),
        (
            "read_bytes_max = 2147483648",
            "read_bytes_max is 2147483648, expected at most 2147483647",
        ),
        (
            "queue_bytes_max = 0",
            "queue_bytes_max is 0, expected at least 1",
        ),
        (
            "idle_probe_ms = 0",
            "idle_probe_ms is 0, expected at least 1",
        ),
    ] {
        assert_eq!(refusal(text), expected);
    }
}
