//! Keeps the shape of the workspace: which crate may use which, and how long a file may get.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Which of our crates each of our crates may depend on. Edges point down only; what is absent matters as much:
/// core never names a backend, a transport never sees a span, the dashboard reaches data only through QueryService.
const EDGES: &[(&str, &[&str])] = &[
    ("log-tracer-transport", &[]),
    ("log-tracer-proto", &[]),
    ("log-tracer-query", &[]),
    ("log-tracer-runtime", &[]),
    ("log-tracer-record", &["proto"]),
    ("log-tracer-sketch", &[]),
    ("log-tracer-store", &["record", "query", "sketch"]),
    ("log-tracer-conformance", &["transport"]),
    ("log-tracer-fault-proxy", &[]),
    ("log-tracer-transport-channel", &["transport"]),
    ("log-tracer-transport-disk", &["transport"]),
    ("log-tracer-transport-fluvio", &["transport"]),
    ("log-tracer-transport-nats", &["transport"]),
    (
        "log-tracer-transports",
        &[
            "transport",
            "transport-channel",
            "transport-disk",
            "transport-fluvio",
            "transport-nats",
        ],
    ),
    ("log-tracer-producer", &["transport", "record", "proto"]),
    (
        "log-tracer-consumer",
        &["transport", "record", "query", "store", "proto"],
    ),
    // The sketch is how the protocol carries durations; it knows no store.
    ("log-tracer-dashboard", &["proto", "query", "sketch"]),
    // Several consumers asked as one: it has rows to merge, and no store and no transport.
    ("log-tracer-fanout", &["proto", "record", "sketch"]),
    (
        "log-tracer-dashboard-bin",
        &["runtime", "dashboard", "fanout"],
    ),
    (
        "log-tracer-producer-bin",
        &["runtime", "producer", "transports", "transport"],
    ),
    (
        "log-tracer-consumer-bin",
        &["runtime", "consumer", "transports", "transport"],
    ),
    (
        "log-tracer",
        &[
            "runtime",
            "producer",
            "consumer",
            "dashboard",
            "fanout",
            "transports",
            "transport",
            "proto",
            "query",
            "record",
        ],
    ),
];

const LINES_MAX: usize = 600;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata")
}

#[test]
fn crates_depend_only_on_the_crates_below_them() {
    let allowed: BTreeMap<&str, BTreeSet<String>> = EDGES
        .iter()
        .map(|(name, below)| {
            (
                *name,
                below
                    .iter()
                    .map(|short| format!("log-tracer-{short}"))
                    .collect(),
            )
        })
        .collect();
    let mut wrong = Vec::new();
    for package in metadata().packages {
        let name = package.name.to_string();
        let Some(below) = allowed.get(name.as_str()) else {
            wrong.push(format!("{name} is not in the table of edges"));
            continue;
        };
        let used = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .filter(|dependency| dependency.name.starts_with("log-tracer"));
        for dependency in used {
            if !below.contains(&dependency.name) {
                wrong.push(format!(
                    "{name} -> {} is not an allowed edge",
                    dependency.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for package in metadata().packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} lacks `[lints] workspace = true`",
            package.name
        );
    }
}

#[test]
fn source_files_can_be_read_in_one_sitting() {
    let root = metadata().workspace_root.into_std_path_buf();
    let mut long = Vec::new();
    for directory in ["bins", "core", "transports", "proto"] {
        for file in rust_files(&root.join(directory)) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            if lines > LINES_MAX {
                long.push(format!(
                    "{} has {lines} lines, more than {LINES_MAX}",
                    file.display()
                ));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn tls_has_one_provider_of_cryptography() {
    let whole = MetadataCommand::new().exec().expect("cargo metadata");
    let resolved = whole.resolve.unwrap().nodes;
    let rustls = resolved
        .iter()
        .filter(|node| node.id.repr.contains("#rustls@"));
    let features: Vec<String> = rustls
        .flat_map(|node| &node.features)
        .map(|feature| feature.to_string())
        .collect();
    assert!(
        features.iter().any(|one| one == "aws_lc_rs"),
        "{features:?}"
    );
    assert!(!features.iter().any(|one| one == "ring"), "{features:?}");
}

/// `cargo test --workspace --test NAME` runs every test of that name: with `--ignored`, also one whose server is not
/// there.
#[test]
fn a_test_that_the_checks_call_by_name_is_the_only_one_of_that_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checks = fs::read_to_string(root.join(".ci/run")).unwrap();
    let words: Vec<&str> = checks.split_whitespace().collect();
    let called: BTreeSet<&str> = words
        .windows(2)
        .filter(|pair| pair[0] == "--test")
        .map(|pair| pair[1])
        .collect();
    assert!(called.contains("live"), "{called:?}");
    let targets = metadata().packages.into_iter().flat_map(|one| one.targets);
    let tests: Vec<String> = targets
        .filter(cargo_metadata::Target::is_test)
        .map(|target| target.name)
        .collect();
    for name in called {
        let of_that_name = tests.iter().filter(|test| *test == name).count();
        assert_eq!(of_that_name, 1, "tests named {name}");
    }
}
