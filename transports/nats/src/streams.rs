//! The streams that a log consists of: how they are made, what they must be, and how a changed one is noticed.
//!
//! | stream | subject | what is in it |
//! |---|---|---|
//! | `NAME-p00`, `NAME-p01`, ... | `NAME.p00`, ... | the envelopes of a partition, one a message, as [`log_tracer_transport::Envelope`] lays them out |
//! | `NAME-groups` | `NAME.groups` | one message: what every group has committed (`groups.rs`) |
//!
//! A stream for each partition makes its sequence numbers contiguous, gives each its own limit, and spreads the leaders
//! over the servers. Partition 0 is made last: if it is there, all of them were made, and one that is missing was
//! deleted.
//!
//! The log's id is the xxh3-128 of the names and the times of creation of all partitions.

use std::collections::HashMap;

use async_nats::jetstream::{
    ErrorCode,
    stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
};
use log_tracer_transport::{LogId, Offset, Partition, Watermark};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use xxhash_rust::xxh3::xxh3_128;

use crate::{Config, WhenFull, error::Error, link::Life, names::Names};

const META_VERSION: &str = "log-tracer-version";
const META_PARTITIONS: &str = "log-tracer-partitions";
/// The layout of a log on its streams, as this file describes it.
const VERSION: &str = "1";
/// Between two attempts to make a stream while there is no leader that could.
const RETRY_DELAY: std::time::Duration = std::time::Duration::from_millis(200);

/// What a server says of a stream.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Info {
    pub(crate) config: stream::Config,
    /// As the server writes it; nothing but equality is asked of it.
    pub(crate) created: String,
    pub(crate) state: State,
}

/// What is in a stream. The first message has sequence 1.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    #[serde(rename = "first_seq")]
    pub(crate) first_sequence: u64,
    #[serde(rename = "last_seq")]
    pub(crate) last_sequence: u64,
}

impl State {
    /// The first offset that is kept; where nothing is, the end.
    pub(crate) fn start(&self) -> Offset {
        match self.messages {
            0 => self.end(),
            _ => offset_of(self.first_sequence),
        }
    }

    /// The offset that the next envelope gets.
    pub(crate) fn end(&self) -> Offset {
        Offset(self.last_sequence)
    }

    pub(crate) fn watermark(&self, partition: Partition) -> Watermark {
        Watermark {
            partition,
            start: Some(self.start()),
            end: self.end(),
            // The server counts headers and its own bytes, too.
            bytes: None,
            exact: true,
        }
    }
}

/// JetStream counts from 1, offsets count from 0.
pub(crate) fn offset_of(sequence: u64) -> Offset {
    Offset(sequence.saturating_sub(1))
}

/// The other way round.
pub(crate) fn sequence_of(offset: Offset) -> u64 {
    offset.0.saturating_add(1)
}

/// The log as it was found or made.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) log_id: LogId,
    /// When the stream of each partition was made.
    pub(crate) created: Vec<String>,
    pub(crate) states: Vec<State>,
    /// Every stream takes several messages as one: those that a server from 2.12 on has made do.
    pub(crate) atomic_batches: bool,
}

/// Finds the streams of a log, or makes them, until the deadline.
pub(crate) async fn open(
    life: &Life,
    config: &Config,
    names: &Names,
    deadline: Instant,
) -> Result<Opened, Error> {
    let first = find(life, names, Partition(0)).await?;
    if let Some(info) = &first {
        // Before the others are asked for: with another number of partitions, others are there.
        check(info, config, names, Partition(0))?;
    }
    let complete = first.is_some();
    make_groups(life, config, names, deadline).await?;
    // The last one first, so that partition 0 comes after all others.
    let mut found = Vec::new();
    for number in (0..config.partitions.get()).rev() {
        let partition = Partition(number);
        let info = match find(life, names, partition).await? {
            Some(info) => info,
            None if complete => return Err(missing(names, partition)),
            None => {
                make(
                    life,
                    partition_config(config, names, partition),
                    names,
                    deadline,
                )
                .await?
            }
        };
        check(&info, config, names, partition)?;
        found.push(info);
    }
    found.reverse();
    refuse_more_partitions(life, config, names).await?;
    Ok(Opened {
        log_id: log_id(&found),
        atomic_batches: found.iter().all(|info| info.config.allow_atomic_publish),
        states: found.iter().map(|info| info.state).collect(),
        created: found.into_iter().map(|info| info.created).collect(),
    })
}

/// What a server says of the stream of a partition.
pub(crate) async fn info(life: &Life, names: &Names, partition: Partition) -> Result<Info, Error> {
    let stream = names.stream(partition);
    let subject = names.api(&format!("STREAM.INFO.{stream}"));
    life.ask(&format!("asking for stream {stream}"), subject, &json!({}))
        .await
}

/// Forgets what lies before an offset.
pub(crate) async fn purge(
    life: &Life,
    names: &Names,
    partition: Partition,
    floor: Offset,
) -> Result<(), Error> {
    let stream = names.stream(partition);
    let subject = names.api(&format!("STREAM.PURGE.{stream}"));
    let before = json!({ "seq": sequence_of(floor) });
    let _: stream::PurgeResponse = life
        .ask(&format!("making room in stream {stream}"), subject, &before)
        .await?;
    Ok(())
}

async fn find(life: &Life, names: &Names, partition: Partition) -> Result<Option<Info>, Error> {
    match info(life, names, partition).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.code() == Some(ErrorCode::STREAM_NOT_FOUND) => Ok(None),
        Err(error) => Err(explained(error)),
    }
}

async fn make(
    life: &Life,
    wanted: stream::Config,
    names: &Names,
    deadline: Instant,
) -> Result<Info, Error> {
    let doing = format!("making stream {}", wanted.name);
    loop {
        let subject = names.api(&format!("STREAM.CREATE.{}", wanted.name));
        match life.ask(&doing, subject, &wanted).await {
            Ok(info) => return Ok(info),
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                sleep(RETRY_DELAY).await;
            }
            Err(error) => return Err(explained(error)),
        }
    }
}

async fn make_groups(
    life: &Life,
    config: &Config,
    names: &Names,
    deadline: Instant,
) -> Result<(), Error> {
    let stream = names.groups_stream();
    let subject = names.api(&format!("STREAM.INFO.{stream}"));
    let doing = format!("asking for stream {stream}");
    match life.ask::<Info>(&doing, subject, &json!({})).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(ErrorCode::STREAM_NOT_FOUND) => {
            make(life, groups_config(config, names), names, deadline)
                .await
                .map(|_| ())
        }
        Err(error) => Err(explained(error)),
    }
}

/// What JetStream refuses for want of something that an operator can change, with what that is.
fn explained(error: Error) -> Error {
    let hint = match error.code() {
        Some(ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode(10039)) => {
            "start the servers with JetStream: a `jetstream` section with a `store_dir`"
        }
        Some(
            ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode(10005),
        ) => {
            "lower retained_bytes_max, or raise max_file in the servers' `jetstream` section; or lower replicas"
        }
        Some(ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED) => {
            "set replicas = 1, or make the servers a cluster"
        }
        Some(ErrorCode::STREAM_NAME_EXIST | ErrorCode::STREAM_SUBJECT_OVERLAP) => {
            "another stream has the name or the subject: choose another name for the log"
        }
        _ => return error,
    };
    Error::Unusable(format!("{error}; {hint}"))
}

fn missing(names: &Names, partition: Partition) -> Error {
    Error::Unusable(format!(
        "the stream {} is missing while {} is there: restore it, or delete every stream of the log to start anew, with `nats stream rm {}` and so on",
        names.stream(partition),
        names.stream(Partition(0)),
        names.stream(Partition(0)),
    ))
}

/// A log with more partitions than are configured would lose what goes to the others.
async fn refuse_more_partitions(life: &Life, config: &Config, names: &Names) -> Result<(), Error> {
    let beyond = Partition(config.partitions.get());
    match find(life, names, beyond).await? {
        None => Ok(()),
        Some(info) => Err(wrong_partitions(&info, config, names)),
    }
}

fn wrong_partitions(info: &Info, config: &Config, names: &Names) -> Error {
    let has = meta(info, META_PARTITIONS);
    Error::Config(format!(
        "partitions is {}, and the log has {has}: set partitions = {has}; or start anew by deleting its streams, `nats stream rm {}` and so on, with everything in them",
        config.partitions,
        names.stream(Partition(0)),
    ))
}

fn meta<'a>(info: &'a Info, key: &str) -> &'a str {
    info.config.metadata.get(key).map_or("none", String::as_str)
}

fn log_id(partitions: &[Info]) -> LogId {
    let mut text = Vec::new();
    for info in partitions {
        text.extend_from_slice(info.config.name.as_bytes());
        text.push(0);
        text.extend_from_slice(info.created.as_bytes());
        text.push(0);
    }
    LogId(xxh3_128(&text))
}

fn partition_config(config: &Config, names: &Names, partition: Partition) -> stream::Config {
    let metadata = [
        (META_VERSION, VERSION.to_owned()),
        (META_PARTITIONS, config.partitions.to_string()),
    ];
    stream::Config {
        name: names.stream(partition),
        subjects: vec![names.subject(partition)],
        description: Some(format!(
            "log-tracer: partition {} of the log {}",
            partition.0, config.name
        )),
        // No u64 that validation lets pass is beyond it.
        max_bytes: i64::try_from(config.partition_bytes_max()).unwrap_or(i64::MAX),
        discard: match config.when_full {
            WhenFull::Reject => DiscardPolicy::New,
            WhenFull::DropOldest => DiscardPolicy::Old,
        },
        duplicate_window: config.dedupe_window(),
        // So that nobody makes a gap: purging takes only the oldest.
        deny_delete: true,
        // An older server does not know it and leaves it out.
        allow_atomic_publish: true,
        metadata: metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<HashMap<_, _>>(),
        ..common(config)
    }
}

fn groups_config(config: &Config, names: &Names) -> stream::Config {
    stream::Config {
        name: names.groups_stream(),
        subjects: vec![names.groups_subject()],
        description: Some(format!(
            "log-tracer: what the groups of the log {} have committed",
            config.name
        )),
        max_messages: 1,
        discard: DiscardPolicy::Old,
        max_bytes: -1,
        ..common(config)
    }
}

fn common(config: &Config) -> stream::Config {
    stream::Config {
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: config.replicas,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        ..stream::Config::default()
    }
}

/// Refuses a stream that is not what is configured, with what would make it so.
fn check(info: &Info, config: &Config, names: &Names, partition: Partition) -> Result<(), Error> {
    let (found, wanted) = (&info.config, partition_config(config, names, partition));
    let stream = &wanted.name;
    let version = meta(info, META_VERSION);
    if version != VERSION {
        return Err(Error::Unusable(format!(
            "the stream {stream} is no partition of a log that this build knows: its metadata say {META_VERSION} = {version}, expected {VERSION}; choose another name for the log"
        )));
    }
    if meta(info, META_PARTITIONS) != config.partitions.to_string() {
        return Err(wrong_partitions(info, config, names));
    }
    if found.subjects != wanted.subjects
        || found.storage != wanted.storage
        || found.retention != wanted.retention
    {
        return Err(Error::Unusable(format!(
            "the stream {stream} has subjects {:?}, storage {:?} and retention {:?}, expected {:?}, File and Limits: choose another name for the log",
            found.subjects, found.storage, found.retention, wanted.subjects
        )));
    }
    let discard = |policy: DiscardPolicy| match policy {
        DiscardPolicy::New => "new",
        DiscardPolicy::Old => "old",
    };
    let millis = |time: std::time::Duration| format!("{}ms", time.as_millis());
    let none = -1_i64;
    let settings: [(&str, &str, Value, Value); 6] = [
        (
            "retained_bytes_max",
            "--max-bytes",
            json!(found.max_bytes),
            json!(wanted.max_bytes),
        ),
        (
            "replicas",
            "--replicas",
            json!(found.num_replicas),
            json!(wanted.num_replicas),
        ),
        (
            "when_full",
            "--discard",
            json!(discard(found.discard)),
            json!(discard(wanted.discard)),
        ),
        (
            "dedupe_window_ms",
            "--dupe-window",
            json!(millis(found.duplicate_window)),
            json!(millis(wanted.duplicate_window)),
        ),
        (
            "no key",
            "--max-msgs",
            json!(found.max_messages.max(none)),
            json!(none),
        ),
        (
            "no key",
            "--max-age",
            json!(millis(found.max_age)),
            json!(millis(wanted.max_age)),
        ),
    ];
    for (key, flag, found, wanted) in settings {
        if found != wanted {
            let plain = |value: &Value| value.to_string().replace('"', "");
            return Err(Error::Config(format!(
                "{key} asks for {} and the stream {stream} has {}: change the configuration, or run `nats stream edit {stream} {flag}={} --force`",
                plain(&wanted),
                plain(&found),
                plain(&wanted)
            )));
        }
    }
    Ok(())
}
