//! From configuration to transport.

#![allow(clippy::unwrap_used, clippy::panic)]

use log_tracer_transport::OpenError;
use log_tracer_transports::{TransportConfig, open};

fn parse(text: &str) -> Result<TransportConfig, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

#[test]
fn the_kind_chooses_and_the_other_keys_configure_it() {
    let config = parse("kind = \"channel\"\npartitions = 3").unwrap();
    let TransportConfig::Channel(channel) = &config else {
        panic!("{config:?}");
    };
    assert_eq!(channel.partitions.get(), 3);
    assert_eq!(parse(&toml::to_string(&config).unwrap()), Ok(config));
    assert_eq!(
        parse("kind = \"channel\""),
        Ok(TransportConfig::in_memory())
    );
    assert_eq!(parse("kind = \"disk\""), Ok(TransportConfig::default()));
}

#[test]
fn an_unknown_kind_or_key_is_refused_with_what_is_known() {
    let unknown = parse("kind = \"kafka\"").unwrap_err();
    assert!(
        unknown.contains("kafka") && unknown.contains("channel"),
        "{unknown}"
    );
    let unknown = parse("kind = \"channel\"\npartition = 3").unwrap_err();
    assert!(
        unknown.contains("`partition`") && unknown.contains("`partitions`"),
        "{unknown}"
    );
    assert!(parse("partitions = 3").unwrap_err().contains("kind"));
}

#[tokio::test]
async fn a_transport_is_opened_as_configured() {
    let config = parse("kind = \"channel\"\npartitions = 3").unwrap();
    assert_eq!(config.validate(), Ok(()));
    let transport = open(&config).await.unwrap();
    assert_eq!(transport.capabilities().kind, "channel");
    assert_eq!(transport.partitions().get(), 3);
}

#[tokio::test]
async fn a_journal_is_opened_in_the_directory_that_is_configured() {
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "kind = \"disk\"\ndirectory = {:?}\nsegment_bytes = 65536\nretained_bytes_max = 33554432\nenvelope_bytes_max = 1048576",
        directory.path().join("journal")
    );
    let config = parse(&config).unwrap();
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(
        parse(&toml::to_string(&config).unwrap()),
        Ok(config.clone())
    );
    let transport = open(&config).await.unwrap();
    assert_eq!(transport.capabilities().kind, "disk");
    assert!(transport.capabilities().survives_os_crash);
    let refused = open(&config).await.map(|transport| transport.log_id());
    assert!(
        matches!(refused, Err(OpenError::Transient(_))),
        "{refused:?}"
    );
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    transport.close(deadline).await.unwrap();
}

#[test]
fn a_journal_needs_a_directory() {
    let config = parse("kind = \"disk\"\ndirectory = \"\"").unwrap();
    assert!(
        config
            .validate()
            .unwrap_err()
            .contains("directory is empty")
    );
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let config = parse("kind = \"channel\"\nretained_bytes_max = 1").unwrap();
    assert!(
        config
            .validate()
            .unwrap_err()
            .contains("retained_bytes_max")
    );
    let refused = open(&config).await.map(|transport| transport.log_id());
    assert!(matches!(refused, Err(OpenError::Invalid(_))), "{refused:?}");
}

#[test]
fn the_keys_of_fluvio_are_read_beside_its_kind() {
    let config = parse("kind = \"fluvio\"\naddress = \"fluvio-sc:9003\"").unwrap();
    assert!(matches!(&config, TransportConfig::Fluvio(_)), "{config:?}");
    assert!(config.is_shared());
    #[cfg(feature = "fluvio")]
    {
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(parse(&toml::to_string(&config).unwrap()), Ok(config));
        let refused = parse("kind = \"fluvio\"\ntopic = \"A\"")
            .unwrap()
            .validate();
        assert!(refused.unwrap_err().starts_with("topic is \"A\""));
    }
}

#[cfg(not(feature = "fluvio"))]
#[tokio::test]
async fn an_engine_that_was_left_out_is_refused_with_what_to_build() {
    let config = parse("kind = \"fluvio\"\ntopic = \"a\"").unwrap();
    let refused = config.validate().unwrap_err();
    assert_eq!(
        refused,
        "kind is \"fluvio\", which this program was built without; build it with `--features fluvio`"
    );
    assert!(matches!(open(&config).await, Err(OpenError::Invalid(text)) if text == refused));
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn nats_is_opened_as_configured_or_says_who_does_not_answer() {
    let config = parse("kind = \"nats\"\nservers = [\"nats://127.0.0.1:1\"]").unwrap();
    assert!(matches!(&config, TransportConfig::Nats(nats) if nats.name == "log-tracer"));
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(
        parse(&toml::to_string(&config).unwrap()),
        Ok(config.clone())
    );
    assert!(config.is_shared());
    let refused = open(&config).await.map(|transport| transport.log_id());
    assert!(
        matches!(&refused, Err(OpenError::Transient(why)) if why.to_string().contains("127.0.0.1:1")),
        "{refused:?}"
    );
    let unknown = parse("kind = \"nats\"\nserver = \"nats://127.0.0.1:1\"").unwrap_err();
    assert!(unknown.contains("`servers`"), "{unknown}");
}

#[cfg(not(feature = "nats"))]
#[test]
fn without_nats_its_configuration_is_refused_with_how_to_build_with_it() {
    let config = parse("kind = \"nats\"\nservers = []").unwrap();
    assert!(config.validate().unwrap_err().contains("--features nats"));
}
