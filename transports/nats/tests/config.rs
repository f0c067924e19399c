//! What a configuration may say, and what is said about one that cannot work.

#![allow(clippy::unwrap_used)]

use log_tracer_transport_nats::{Config, SyncInterval, WhenFull};

fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

#[test]
fn nothing_has_to_be_configured() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.sync_interval, SyncInterval::Unknown);
}

#[test]
fn every_key_can_be_configured_and_is_written_as_it_is_read() {
    let text = "servers = [\"nats://a:4222\", \"tls://b:4222\"]\n\
                name = \"log\"\n\
                domain = \"leaf\"\n\
                partitions = 4\n\
                replicas = 3\n\
                sync_interval = \"always\"\n\
                retained_bytes_max = 1000000\n\
                when_full = \"drop-oldest\"\n\
                purge_above_percent = 1\n\
                dedupe_window_ms = 200\n\
                envelope_bytes_max = 3000\n\
                queue_bytes_max = 4\n\
                inflight_bytes_max = 5\n\
                inflight_envelopes_max = 6\n\
                read_ahead_bytes_max = 7\n\
                read_ahead_envelopes_max = 8\n\
                connect_timeout_ms = 9\n\
                request_timeout_ms = 10\n\
                ping_interval_ms = 110\n\
                reconnect_delay_max_ms = 12\n\
                look_interval_ms = 13\n\
                tls_required = true\n\
                tls_first = true\n\
                tls_ca_file = \"ca\"\n\
                tls_certificate_file = \"cert\"\n\
                tls_key_file = \"key\"\n\
                credentials_file = \"creds\"\n\
                nkey_seed_file = \"\"\n\
                token_file = \"\"\n\
                user = \"\"\n\
                password_file = \"\"\n";
    let config = parse(text).unwrap();
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.partitions.get(), 4);
    assert_eq!(config.when_full, WhenFull::DropOldest);
    assert_eq!(toml::to_string(&config).unwrap(), text);
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(parse("server = 1").unwrap_err().contains("unknown field"));
    assert!(parse("partitions = 0").unwrap_err().contains("nonzero"));
    assert!(
        parse("sync_interval = \"2m\"")
            .unwrap_err()
            .contains("periodic")
    );
}

#[test]
fn a_value_that_cannot_work_is_named_with_what_was_expected() {
    let refusal = |text: &str| parse(text).unwrap().validate().unwrap_err();
    for (text, expected) in [
        (
            "servers = []",
            "servers is empty, expected at least one address",
        ),
        (
            "servers = [\"ws://a\"]",
            "servers has an address that starts with ws://, expected nats:// or tls://",
        ),
        (
            "name = \"a.b\"",
            "name is \"a.b\", expected letters, digits, - and _, 64 at most",
        ),
        ("name = \"\"", "name is empty, expected the name of the log"),
        (
            "domain = \"*\"",
            "domain is \"*\", expected letters, digits, - and _, 64 at most",
        ),
        ("replicas = 2", "replicas is 2, expected 1, 3 or 5"),
        ("replicas = 7", "replicas is 7, expected 1, 3 or 5"),
        (
            "envelope_bytes_max = 55",
            "envelope_bytes_max is 55, expected at least the 56 bytes of an empty envelope",
        ),
        (
            "partitions = 8\nretained_bytes_max = 8000000",
            "retained_bytes_max is 8000000, expected at least 8392704: one envelope of envelope_bytes_max for each partition",
        ),
        (
            "purge_above_percent = 101",
            "purge_above_percent is 101, expected 0 to 100",
        ),
        (
            "inflight_envelopes_max = 0",
            "inflight_envelopes_max is 0, expected 1 to 8192",
        ),
        (
            "read_ahead_envelopes_max = 5000",
            "read_ahead_envelopes_max is 5000, expected 1 to 4096",
        ),
        (
            "dedupe_window_ms = 99",
            "dedupe_window_ms is 99, expected 100 to 86400000",
        ),
        (
            "look_interval_ms = 100000000",
            "look_interval_ms is 100000000, expected 10 to 86400000",
        ),
        (
            "tls_key_file = \"key\"",
            "tls_certificate_file and tls_key_file belong together, and one of them is empty",
        ),
        (
            "user = \"me\"",
            "user and password_file belong together, and one of them is empty",
        ),
        (
            "token_file = \"t\"\nnkey_seed_file = \"n\"",
            "credentials_file, nkey_seed_file, token_file and user are four ways to log in, expected one of them at most",
        ),
    ] {
        assert_eq!(refusal(text), expected);
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let config = parse("servers = [\"nats://me:s3cret@a:4222\"]").unwrap();
    let refusal = config.validate().unwrap_err();
    assert!(refusal.contains("the address of a,"), "{refusal}");
    assert!(!refusal.contains("s3cret"), "{refusal}");
}
