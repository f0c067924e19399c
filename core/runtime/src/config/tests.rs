use std::{io::Write, net::SocketAddr};

use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    producer: Producer,
    transport: Transport,
    stop_deadline_ms: u64,
    ratio: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Producer {
    grpc_listen: SocketAddr,
    admin_listen: Option<SocketAddr>,
    workers: Option<u16>,
    reflection: bool,
    partitions: Vec<u16>,
    names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Transport {
    Channel(Channel),
    Disk(Disk),
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Channel {
    bytes_max: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Disk {
    directory: String,
    linger_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            producer: Producer::default(),
            transport: Transport::Channel(Channel::default()),
            stop_deadline_ms: 10_000,
            ratio: 0.5,
        }
    }
}

impl Default for Producer {
    fn default() -> Self {
        Self {
            grpc_listen: ([127, 0, 0, 1], 4317).into(),
            admin_listen: None,
            workers: None,
            reflection: true,
            partitions: Vec::new(),
            names: Vec::new(),
        }
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self { bytes_max: 1 << 28 }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            directory: "data".to_owned(),
            linger_ms: 0,
        }
    }
}

fn from_file(text: &str) -> Result<Loaded<Config>, ConfigError> {
    load_all(text, &[], &[])
}

fn load_all(text: &str, env: &[(&str, &str)], set: &[&str]) -> Result<Loaded<Config>, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.toml");
    std::fs::File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let set: Vec<_> = set
        .iter()
        .map(|text| Override::set(text).unwrap())
        .collect();
    load(Some(&path), env, &set)
}

/// The message without the directory of the file.
fn message(result: Result<Loaded<Config>, ConfigError>) -> String {
    let text = result.unwrap_err().to_string();
    let lines = text.lines().map(|line| match line.find("test.toml") {
        Some(at) if line.starts_with('/') => &line[at..],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn without_anything_the_defaults_are_loaded() {
    let loaded = load::<Config>(None, [], &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.origin("producer.grpc_listen"), &Origin::Default);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[producer]\ngrpc_listen = \"127.0.0.1:1\"\nreflection = false\nadmin_listen = \"127.0.0.1:9\"";
    let env = [
        ("LOG_TRACER__PRODUCER__GRPC_LISTEN", "127.0.0.1:2"),
        ("LOG_TRACER__PRODUCER__ADMIN_LISTEN", "127.0.0.1:8"),
        ("LOG_TRACER_PORT", "tcp://10.0.0.1:4317"),
        ("PATH", "/bin"),
    ];
    let loaded = load_all(file, &env, &["producer.grpc_listen=127.0.0.1:3"]).unwrap();
    let producer = &loaded.config.producer;
    assert_eq!(producer.grpc_listen.port(), 3);
    assert_eq!(producer.admin_listen.unwrap().port(), 8);
    assert!(!producer.reflection);
    assert_eq!(
        loaded.origin("producer.grpc_listen").to_string(),
        "--set producer.grpc_listen"
    );
    assert_eq!(
        loaded.origin("producer.admin_listen").to_string(),
        "environment variable LOG_TRACER__PRODUCER__ADMIN_LISTEN"
    );
    let reflection = loaded.origin("producer.reflection").to_string();
    assert!(reflection.ends_with("test.toml:3:14"), "{reflection}");
}

#[test]
fn text_becomes_what_the_key_needs() {
    let loaded = load_all(
        "",
        &[
            ("LOG_TRACER__PRODUCER__WORKERS", "4"),
            ("LOG_TRACER__PRODUCER__PARTITIONS", "1, 2"),
            ("LOG_TRACER__PRODUCER__NAMES", "a,7"),
            ("LOG_TRACER__STOP_DEADLINE_MS", "1_500"),
            ("LOG_TRACER__RATIO", "1"),
        ],
        &["producer.reflection=false"],
    )
    .unwrap();
    assert_eq!(loaded.config.producer.workers, Some(4));
    assert_eq!(loaded.config.producer.partitions, [1, 2]);
    assert_eq!(loaded.config.producer.names, ["a", "7"]);
    assert_eq!(loaded.config.stop_deadline_ms, 1500);
    assert!((loaded.config.ratio - 1.0).abs() < f64::EPSILON);
    assert!(!loaded.config.producer.reflection);
    let listed = load_all("", &[], &["producer.names=[\"x\", \"y,z\"]"]).unwrap();
    assert_eq!(listed.config.producer.names, ["x", "y,z"]);
}

#[test]
fn an_empty_text_unsets_an_optional_key_and_no_other() {
    let file = "[producer]\nadmin_listen = \"127.0.0.1:9\"";
    let loaded = load_all(file, &[], &["producer.admin_listen="]).unwrap();
    assert_eq!(loaded.config.producer.admin_listen, None);
    assert_eq!(
        message(load_all(file, &[], &["producer.grpc_listen="])),
        "--set producer.grpc_listen: `producer.grpc_listen`: expected an IP address and a port such as 127.0.0.1:4317 (the default is \"127.0.0.1:4317\")"
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let cases = [
        (
            "[producer]\n  grpc_lisen = \"127.0.0.1:1\"",
            "test.toml:2:3: unknown key `producer.grpc_lisen`, did you mean `producer.grpc_listen`?",
        ),
        (
            "[producer]\ngrpc-listen = \"127.0.0.1:1\"",
            "test.toml:2:1: unknown key `producer.grpc-listen`, did you mean `producer.grpc_listen`?",
        ),
        (
            "[prodcer]\ngrpc_listen = \"127.0.0.1:1\"\nreflection = true",
            "test.toml:1:2: unknown key `prodcer`, did you mean `producer`?",
        ),
        (
            "[transport.producer]\ngrpc_listen = \"127.0.0.1:1\"\nreflection = true",
            "test.toml:1:12: unknown key `transport.producer`, did you mean `producer`?",
        ),
        (
            "grpc_listen = \"127.0.0.1:1\"",
            "test.toml:1:1: unknown key `grpc_listen`, did you mean `producer.grpc_listen`?",
        ),
        (
            "[producer]\ncolour = 1",
            "test.toml:2:1: unknown key `producer.colour`, expected one of `grpc_listen`, `admin_listen`, `workers`, `reflection`, `partitions`, `names`",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(message(from_file(file)), expected);
    }
    assert_eq!(
        message(load_all(
            "",
            &[("LOG_TRACER__PRODUCER__GRPC_LISTN", "x")],
            &[]
        )),
        "environment variable LOG_TRACER__PRODUCER__GRPC_LISTN: unknown key `producer.grpc_listn`, did you mean `producer.grpc_listen`?"
    );
}

#[test]
fn a_wrong_value_says_what_was_expected_and_where() {
    let cases = [
        (
            "stop_deadline_ms = \"soon\"",
            "test.toml:1:20: `stop_deadline_ms`: expected a whole number, 0 or more, found string \"soon\" (the default is 10000)",
        ),
        (
            "stop_deadline_ms = -1",
            "test.toml:1:20: `stop_deadline_ms`: expected a whole number, 0 or more, found integer `-1` (the default is 10000)",
        ),
        (
            "[producer]\nreflection = \"yes\"",
            "test.toml:2:14: `producer.reflection`: expected true or false, found string \"yes\" (the default is true)",
        ),
        (
            "[producer]\nworkers = 70000",
            "test.toml:2:11: `producer.workers`: expected a whole number from 0 to 65535, found integer `70000` (it is not set by default)",
        ),
        (
            "[producer.grpc_listen]\nport = 1",
            "test.toml:2:1: `producer.grpc_listen` has no keys below it, expected a string (the default is \"127.0.0.1:4317\")",
        ),
        (
            "producer = 1",
            "test.toml:1:12: `producer`: expected a table, found integer `1`",
        ),
        (
            "stop_deadline_ms = 1979-05-27",
            "test.toml:1:20: no key takes a date; write a string",
        ),
    ];
    for (file, expected) in cases {
        let message = message(from_file(file));
        assert!(
            message.starts_with(expected),
            "{message}\n  is not\n{expected}"
        );
    }
}

#[test]
fn a_whole_table_is_not_taken_for_a_value() {
    let text = message(load_all("", &[], &["producer={ workers = 3 }"]));
    assert_eq!(
        text,
        "--set producer: `producer` is a table: set its keys one by one, such as `producer.grpc_listen`"
    );
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let file =
        "[producer]\nworkers = \"x\"\ncolour = 1\n[transport]\nkind = \"channel\"\nbytes_mx = 1\n";
    let text = message(load_all(file, &[], &["stop_deadline_ms=x"]));
    let starts = [
        "test.toml:2:11: `producer.workers`",
        "test.toml:3:1: unknown key `producer.colour`",
        "test.toml:6:1: unknown key `transport.bytes_mx`, did you mean `transport.bytes_max`?",
        "--set stop_deadline_ms: `stop_deadline_ms`",
    ];
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), starts.len(), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\n  is not\n{start}");
    }
}

#[test]
fn a_kind_decides_which_keys_there_are() {
    let loaded = from_file("[transport]\nkind = \"disk\"\nlinger_ms = 3").unwrap();
    assert_eq!(
        loaded.config.transport,
        Transport::Disk(Disk {
            directory: "data".to_owned(),
            linger_ms: 3
        })
    );
    let loaded = load_all(
        "[transport]\nkind = \"disk\"",
        &[],
        &["transport.kind=channel", "transport.bytes_max=5"],
    )
    .unwrap();
    assert_eq!(
        loaded.config.transport,
        Transport::Channel(Channel { bytes_max: 5 })
    );
    assert_eq!(
        message(from_file("[transport]\nkind = \"disk\"\nbytes_max = 3")),
        "test.toml:3:1: unknown key `transport.bytes_max`, expected one of `kind`, `directory`, `linger_ms`"
    );
    assert_eq!(
        message(from_file("[transport]\nkind = \"kafka\"")),
        "test.toml:2:8: `transport.kind`: unknown value `kafka`, expected `channel` or `disk` (the default is \"channel\")"
    );
}

#[test]
fn what_is_not_toml_is_refused_with_line_and_column() {
    let text = message(from_file("[producer]\nreflection = yes\n"));
    assert!(text.starts_with("test.toml:2:14: not TOML: "), "{text}");
    let text = message(from_file("ratio = 1.0\nratio = 2.0"));
    assert!(text.starts_with("test.toml:2:1: not TOML: "), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = load::<Config>(Some(Path::new("/does/not/exist.toml")), [], &[]);
    let text = missing.unwrap_err().to_string();
    assert!(
        text.starts_with("the configuration file /does/not/exist.toml cannot be opened: "),
        "{text}"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.toml");
    std::fs::write(&path, [b'a', 0xff]).unwrap();
    let text = load::<Config>(Some(&path), [], &[])
        .unwrap_err()
        .to_string();
    assert!(text.ends_with("is not UTF-8 text, at byte 1"), "{text}");
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    let text = load::<Config>(Some(&path), [], &[])
        .unwrap_err()
        .to_string();
    assert!(text.ends_with("is larger than 1048576 bytes"), "{text}");
}

#[test]
fn the_effective_configuration_says_where_each_value_comes_from_and_can_be_loaded_again() {
    let loaded = load_all(
        "[transport]\nkind = \"disk\"\ndirectory = \"a \\\"b\\\"\"",
        &[("LOG_TRACER__PRODUCER__WORKERS", "4")],
        &["producer.names=x,y"],
    )
    .unwrap();
    let toml = loaded.to_toml();
    for (key, origin) in [
        (
            "workers = 4",
            "# environment variable LOG_TRACER__PRODUCER__WORKERS",
        ),
        ("names = [\"x\", \"y\"]", "# --set producer.names"),
        ("reflection = true", "# default"),
        ("# admin_listen is not set", "# default"),
        ("directory = ", "test.toml:3:13"),
    ] {
        let line = toml.lines().find(|line| line.starts_with(key));
        let line = line.unwrap_or_else(|| panic!("no {key} in\n{toml}"));
        assert!(line.ends_with(origin), "{line}");
    }
    assert_eq!(from_file(&toml).unwrap().config, loaded.config);

    let json: serde_json::Value = serde_json::from_str(&loaded.to_json()).unwrap();
    assert_eq!(json["producer.workers"]["value"], 4);
    assert_eq!(json["producer.reflection"]["origin"], "default");
}

#[test]
fn only_addresses_that_others_can_reach_are_exposed() {
    let loaded = load_all(
        "",
        &[],
        &[
            "producer.grpc_listen=0.0.0.0:4317",
            "producer.admin_listen=[::1]:9",
        ],
    )
    .unwrap();
    assert_eq!(
        loaded.exposed(),
        [(
            "producer.grpc_listen".to_owned(),
            SocketAddr::from(([0, 0, 0, 0], 4317))
        )]
    );
}

#[test]
fn what_the_structs_check_themselves_gets_its_place() {
    let loaded = from_file("stop_deadline_ms = 0").unwrap();
    let result = loaded.validate(|config| {
        assert_eq!(config.stop_deadline_ms, 0);
        vec![(
            "stop_deadline_ms".to_owned(),
            "stop_deadline_ms must be at least 1".to_owned(),
        )]
    });
    let text = result.unwrap_err().to_string();
    assert!(
        text.ends_with("test.toml:1:20: stop_deadline_ms must be at least 1"),
        "{text}"
    );
    assert_eq!(loaded.validate(|_| Vec::new()), Ok(()));
}

#[test]
fn a_set_without_a_value_is_refused() {
    assert!(Override::set("producer.grpc_listen").is_err());
    assert!(Override::set("=1").is_err());
}
