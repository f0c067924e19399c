//! The example files of settings say what the program does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{fs, path::Path};

use log_tracer::Config;
use log_tracer_runtime::config::{self, check_example};
use log_tracer_transports::TransportConfig;
use serde::{Deserialize, Serialize};

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../etc"))
}

#[test]
fn the_standalone_file_shows_every_key_with_its_default() {
    let text = fs::read_to_string(directory().join("standalone.toml")).unwrap();
    check_example::<Config>(&text)
        .unwrap_or_else(|faults| panic!("etc/standalone.toml:\n{faults}"));
}

/// What the file of an engine configures.
#[derive(Deserialize, Serialize)]
struct Engine {
    transport: TransportConfig,
}

macro_rules! engine {
    ($test:ident, $name:ident, $kind:literal) => {
        #[derive(Deserialize, Serialize)]
        #[serde(transparent)]
        struct $name(Engine);

        impl Default for $name {
            fn default() -> Self {
                let transport = serde_json::json!({ "kind": $kind });
                let transport = serde_json::from_value(transport).unwrap();
                Self(Engine { transport })
            }
        }

        #[test]
        fn $test() {
            let file = concat!($kind, ".toml");
            let text = fs::read_to_string(directory().join(file)).unwrap();
            check_example::<$name>(&text).unwrap_or_else(|faults| panic!("etc/{file}:\n{faults}"));
        }
    };
}

engine!(
    the_file_of_nats_shows_every_key_with_its_default,
    OnNats,
    "nats"
);
engine!(
    the_file_of_fluvio_shows_every_key_with_its_default,
    OnFluvio,
    "fluvio"
);

#[test]
fn every_toml_file_is_an_example_that_a_test_checks_or_the_settings_of_a_tool() {
    // Those of the roles are checked beside their programs.
    let known = [
        "clippy.toml",
        "consumer.toml",
        "dashboard.toml",
        "deny.toml",
        "fluvio.toml",
        "nats.toml",
        "producer.toml",
        "standalone.toml",
    ];
    for entry in fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_toml = Path::new(&name)
            .extension()
            .is_some_and(|end| end == "toml");
        assert!(!is_toml || known.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn a_wrong_key_in_the_file_is_refused_with_the_nearest_right_one() {
    let text = fs::read_to_string(directory().join("standalone.toml")).unwrap();
    let wrong = text.replace("#grpc_listen = ", "grpc_listem = ");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wrong.toml");
    fs::write(&path, &wrong).unwrap();
    let error = config::load::<Config>(Some(&path), [], &[]).unwrap_err();
    let line = 1 + wrong
        .lines()
        .position(|line| line.starts_with("grpc_listem"))
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "{}:{line}:1: unknown key `producer.grpc_listem`, did you mean `producer.grpc_listen`?",
            path.display()
        )
    );
}
