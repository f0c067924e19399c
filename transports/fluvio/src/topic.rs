//! The topics of a log: made when they are missing, and checked when they are there.

use fluvio::metadata::topic::{
    CleanupPolicy, CompressionAlgorithm, ReplicaSpec, SegmentBasedPolicy, TopicSpec,
    TopicStorageConfig,
};

use crate::{Config, error::Error, link::Link};

/// Bytes of the ledger: its entries are whole, so that a few of them would do.
const LEDGER_BYTES_MAX: u64 = 64 << 20;
const LEDGER_SEGMENT_BYTES: u32 = 8 << 20;
/// The longest time that Fluvio can be told, 136 years: the ledger leaves by size only.
const LEDGER_RETENTION_SECONDS: u32 = u32::MAX;

/// What a topic is to be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    name: String,
    partitions: u32,
    replication: u32,
    retention_seconds: u32,
    partition_bytes_max: u64,
    segment_bytes: u32,
}

impl Wanted {
    pub(crate) fn log(config: &Config) -> Self {
        Self {
            name: config.topic.clone(),
            partitions: u32::from(config.partitions.get()),
            replication: u32::from(config.replication.get()),
            retention_seconds: config.retention_seconds,
            partition_bytes_max: config.partition_bytes_max,
            segment_bytes: config.segment_bytes.get(),
        }
    }

    pub(crate) fn ledger(config: &Config) -> Self {
        Self {
            name: config.ledger_topic(),
            partitions: 1,
            replication: u32::from(config.replication.get()),
            retention_seconds: LEDGER_RETENTION_SECONDS,
            partition_bytes_max: LEDGER_BYTES_MAX,
            segment_bytes: LEDGER_SEGMENT_BYTES,
        }
    }

    fn spec(&self) -> TopicSpec {
        let mut spec = TopicSpec::new_computed(self.partitions, self.replication, None);
        spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy {
            time_in_seconds: self.retention_seconds,
        }));
        spec.set_storage(TopicStorageConfig {
            segment_size: Some(self.segment_bytes),
            max_partition_size: Some(self.partition_bytes_max),
        });
        spec
    }

    /// The command that makes it as it is to be.
    fn create_command(&self) -> String {
        format!(
            "fluvio topic create {} --partitions {} --replication {} --retention-time {}s --segment-size {} --max-partition-size {}",
            self.name,
            self.partitions,
            self.replication,
            self.retention_seconds,
            self.segment_bytes,
            self.partition_bytes_max
        )
    }

    /// Compares it with what is there.
    ///
    /// # Errors
    ///
    /// Every difference that there is, and what mends it. Fluvio cannot change a topic that it has.
    fn check(&self, found: &TopicSpec) -> Result<(), String> {
        let storage = found.get_storage();
        let numbers = [
            (
                "partitions",
                u64::from(self.partitions),
                Some(u64::from(found.partitions())),
            ),
            (
                "replication",
                u64::from(self.replication),
                found.replication_factor().map(u64::from),
            ),
            (
                "retention_seconds",
                u64::from(self.retention_seconds),
                Some(u64::from(found.retention_secs())),
            ),
            (
                "segment_bytes",
                u64::from(self.segment_bytes),
                storage.and_then(|s| s.segment_size).map(u64::from),
            ),
            (
                "partition_bytes_max",
                self.partition_bytes_max,
                storage.and_then(|s| s.max_partition_size),
            ),
        ];
        let mut faults: Vec<String> = numbers
            .into_iter()
            .filter(|(_, wanted, found)| *found != Some(*wanted))
            .map(|(key, wanted, found)| match found {
                Some(found) => format!("{key} is {wanted} and the topic has {found}"),
                None => format!("{key} is {wanted} and the topic leaves it to the cluster"),
            })
            .collect();
        if let ReplicaSpec::Mirror(_) = found.replicas() {
            faults.push("the topic is a mirror".into());
        }
        if found.get_deduplication().is_some() {
            faults.push("the topic drops what it takes for repeats".into());
        }
        let compression = found.get_compression_type();
        if !matches!(
            compression,
            CompressionAlgorithm::Any | CompressionAlgorithm::None
        ) {
            faults.push(format!("the topic takes only {compression}"));
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(format!(
            "topic {}: {}. Set the keys to what the topic has, name another topic, or make it anew, which loses what is in it: fluvio topic delete {} && {}",
            self.name,
            faults.join("; "),
            self.name,
            self.create_command()
        ))
    }
}

/// Sees to it that a topic is there and is what it is to be.
pub(crate) async fn ensure(link: &Link, wanted: &Wanted, create: bool) -> Result<(), Error> {
    if let Some(found) = find(link, &wanted.name).await? {
        return wanted.check(&found).map_err(Error::Topic);
    }
    if !create {
        return Err(Error::MissingTopic {
            topic: wanted.name.clone(),
            command: wanted.create_command(),
        });
    }
    let (name, spec) = (wanted.name.clone(), wanted.spec());
    let created = link
        .ask(|admin| async move { Ok(admin.create(name, false, spec).await?) })
        .await;
    // Somebody else may have been faster, and what it is then is what counts.
    match find(link, &wanted.name).await? {
        Some(found) => wanted.check(&found).map_err(Error::Topic),
        None => Err(created.err().unwrap_or_else(|| Error::MissingTopic {
            topic: wanted.name.clone(),
            command: wanted.create_command(),
        })),
    }
}

async fn find(link: &Link, name: &str) -> Result<Option<TopicSpec>, Error> {
    let topics = link
        .ask(|admin| async move { Ok(admin.all::<TopicSpec>().await?) })
        .await?;
    let found = topics.into_iter().find(|topic| topic.name == name);
    Ok(found.map(|topic| topic.spec))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_topic_that_was_made_as_wanted_is_as_wanted() {
        for wanted in [
            Wanted::log(&Config::default()),
            Wanted::ledger(&Config::default()),
        ] {
            assert_eq!(wanted.check(&wanted.spec()), Ok(()));
            assert_eq!(wanted.spec().validate_config(), None);
        }
    }

    #[test]
    fn every_difference_is_named_with_the_command_that_mends_it() {
        let wanted = Wanted::log(&Config::default());
        let mut found = TopicSpec::new_computed(3, 2, None);
        found.set_compression_type(CompressionAlgorithm::Gzip);
        let refused = wanted.check(&found).unwrap_err();
        for part in [
            "topic log-tracer: partitions is 4 and the topic has 3; ",
            "replication is 1 and the topic has 2; ",
            "segment_bytes is 268435456 and the topic leaves it to the cluster; ",
            "the topic takes only gzip. ",
            "fluvio topic delete log-tracer && fluvio topic create log-tracer --partitions 4 --replication 1 --retention-time 604800s --segment-size 268435456 --max-partition-size 8589934592",
        ] {
            assert!(refused.contains(part), "{part:?} in {refused}");
        }
    }
}
