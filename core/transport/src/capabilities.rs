//! What a transport promises, as facts that callers can act on and pages can show.

use std::time::Duration;

/// Facts about one instance as it is configured. A fact that is not known is given as the weakest value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The name of the backend: "channel", "disk", "fluvio", "nats".
    pub kind: &'static str,
    /// An acked envelope is still there after `kill -9` of the process (ours or the broker's).
    pub survives_process_crash: bool,
    /// An acked envelope is still there after the machine lost power.
    pub survives_os_crash: bool,
    /// An acked envelope is still there after one machine is gone for good.
    pub survives_node_loss: bool,
    /// What is stored when a publish fails half-way.
    pub publish_atomicity: Atomicity,
    /// Which repeated batches the log recognises itself.
    pub dedupe: Dedupe,
    /// Offsets of a partition go up by one, so that a reader can see a gap.
    pub contiguous_offsets: bool,
    /// Retention leaves what a group has not committed yet (until a hard cap, if there is one).
    pub retention_waits_for_groups: bool,
    /// What happens when there is no more room.
    pub when_full: FullPolicy,
    /// The largest encoded envelope in bytes. A producer splits what is larger at record boundaries.
    pub envelope_bytes_max: usize,
}

/// What a failed publish may have stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// Any of the envelopes, each whole.
    PerEnvelope,
    /// All of them or none.
    PerCall,
}

/// Whether a batch that is published again is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedupe {
    /// Never: the reader has to.
    None,
    /// Within this time.
    Window(Duration),
    /// The last so many batches of a partition, also after a restart if the log itself survives one.
    Persistent {
        /// Batches remembered in each partition.
        batches_per_partition: usize,
    },
}

/// What happens to a publish when there is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullPolicy {
    /// It waits until its deadline and is refused; what is there stays.
    Reject,
    /// The oldest envelopes leave; a reader that still wanted them sees `Evicted`.
    DropOldest,
}

/// Whether a transport works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// It does, with this reservation.
    Degraded(String),
    /// It refuses publishes for lack of room; reading works.
    Full,
    /// It is broken for good and has to be opened again.
    Failed(String),
}
