//! What streams, subjects and messages are called.

use log_tracer_transport::{Envelope, Partition};

/// The names that belong to one log. Exactly here they are made.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    log: String,
    api: String,
}

impl Names {
    /// Of the log of that name, in that JetStream domain or, when it is empty, in that of the server.
    pub(crate) fn new(log: &str, domain: &str) -> Self {
        Self {
            log: log.to_owned(),
            api: match domain {
                "" => "$JS.API".to_owned(),
                domain => format!("$JS.{domain}.API"),
            },
        }
    }

    /// The stream of a partition.
    pub(crate) fn stream(&self, partition: Partition) -> String {
        format!("{}-p{:02}", self.log, partition.0)
    }

    /// The subject of that stream.
    pub(crate) fn subject(&self, partition: Partition) -> String {
        format!("{}.p{:02}", self.log, partition.0)
    }

    /// The stream with the cursors of the groups.
    pub(crate) fn groups_stream(&self) -> String {
        format!("{}-groups", self.log)
    }

    /// The subject of that stream.
    pub(crate) fn groups_subject(&self) -> String {
        format!("{}.groups", self.log)
    }

    /// The subject of a request to JetStream itself.
    pub(crate) fn api(&self, what: &str) -> String {
        format!("{}.{what}", self.api)
    }
}

/// By which the servers recognise an envelope that is published again to the same partition.
pub(crate) fn message_id(envelope: &Envelope) -> String {
    let part = envelope.part;
    format!("{:032x}-{}-{}", envelope.batch.0, part.index, part.count)
}
