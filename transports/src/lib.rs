//! Opens a transport by its configuration: the one place that names the backends.
//!
//! An engine that runs apart has a cargo feature of its name, on by default: `fluvio`, `nats`. Without it, a configuration
//! of that kind is read and then refused with what to build.

#[cfg(not(all(feature = "fluvio", feature = "nats")))]
mod absent;
mod patient;

use std::{path::Path, sync::Arc};

use log_tracer_transport::{OpenError, Transport};
use log_tracer_transport_channel::{self as channel, ChannelTransport};
use log_tracer_transport_disk::{self as disk, DiskTransport};
#[cfg(feature = "fluvio")]
use log_tracer_transport_fluvio::{self as fluvio, FluvioTransport};
#[cfg(feature = "nats")]
use log_tracer_transport_nats::{self as nats, NatsTransport};
use serde::{Deserialize, Serialize};

#[cfg(not(all(feature = "fluvio", feature = "nats")))]
pub use absent::Absent;
#[cfg(feature = "fluvio-cluster")]
pub use log_tracer_transport_fluvio::cluster as fluvio_cluster;
pub use patient::open_patiently;

pub use log_tracer_transport_disk::{CheckError, CheckReport, PartitionReport};

/// Which transport, and how it is configured. In TOML: `kind = "channel"` and the keys of that transport beside it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TransportConfig {
    /// In the memory of this process.
    Channel(channel::Config),
    /// In a directory of this machine.
    Disk(disk::Config),
    /// On a Fluvio cluster.
    #[cfg(feature = "fluvio")]
    Fluvio(fluvio::Config),
    /// On a Fluvio cluster, which this build knows nothing of.
    #[cfg(not(feature = "fluvio"))]
    Fluvio(Absent),
    /// On NATS JetStream.
    #[cfg(feature = "nats")]
    Nats(Box<nats::Config>),
    /// On NATS JetStream, which this build knows nothing of.
    #[cfg(not(feature = "nats"))]
    Nats(Absent),
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self::Disk(disk::Config::default())
    }
}

impl TransportConfig {
    /// A log that leaves nothing behind.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::Channel(channel::Config::default())
    }

    /// The default of a role that runs apart: a log that several processes can open.
    #[must_use]
    pub fn shared() -> Self {
        Self::Nats(Default::default())
    }

    /// [`validate`](Self::validate), and that several processes can open it.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and what was expected.
    pub fn validate_shared(&self) -> Result<(), String> {
        if !self.is_shared() {
            return Err(
                "kind: roles that run apart need an engine that all of them can reach, `nats` or `fluvio`; to run on this machine's disk or memory, run all roles in one process with `log-tracer run`".to_owned(),
            );
        }
        self.validate()
    }

    /// Whether processes that open it with the same configuration get the same log.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Channel(_) | Self::Disk(_) => false,
            Self::Fluvio(_) | Self::Nats(_) => true,
        }
    }

    /// Takes a relative directory from below `base`.
    pub fn move_below(&mut self, base: &Path) {
        match self {
            Self::Channel(_) | Self::Fluvio(_) | Self::Nats(_) => {}
            Self::Disk(config) => config.directory = base.join(&config.directory),
        }
    }

    /// Checks the configuration without opening anything.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and what was expected.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Self::Channel(config) => config.validate(),
            Self::Disk(config) => config.validate(),
            #[cfg(feature = "fluvio")]
            Self::Fluvio(config) => config.validate(),
            #[cfg(not(feature = "fluvio"))]
            Self::Fluvio(_) => Err(absent::refusal("fluvio")),
            #[cfg(feature = "nats")]
            Self::Nats(config) => config.validate(),
            #[cfg(not(feature = "nats"))]
            Self::Nats(_) => Err(absent::refusal("nats")),
        }
    }
}

/// Opens the log that `config` describes.
///
/// # Errors
///
/// [`OpenError::Invalid`] when [`TransportConfig::validate`] finds a fault; the others as the transport says.
pub async fn open(config: &TransportConfig) -> Result<Arc<dyn Transport>, OpenError> {
    match config {
        TransportConfig::Channel(config) => Ok(Arc::new(ChannelTransport::open(config)?)),
        TransportConfig::Disk(config) => Ok(Arc::new(DiskTransport::open(config).await?)),
        #[cfg(feature = "fluvio")]
        TransportConfig::Fluvio(config) => Ok(Arc::new(FluvioTransport::open(config).await?)),
        #[cfg(not(feature = "fluvio"))]
        TransportConfig::Fluvio(_) => Err(OpenError::Invalid(absent::refusal("fluvio"))),
        #[cfg(feature = "nats")]
        TransportConfig::Nats(config) => Ok(Arc::new(NatsTransport::open(config).await?)),
        #[cfg(not(feature = "nats"))]
        TransportConfig::Nats(_) => Err(OpenError::Invalid(absent::refusal("nats"))),
    }
}

/// Reads the whole log that `config` describes, which nobody may have open, and changes nothing. Tells `progress` how
/// many of how many bytes are done. `None` for a transport that has nothing on this machine.
///
/// # Errors
///
/// There is no log, or it is in use, or it cannot be read. What is wrong in the log is no error: it stands in the report.
pub fn check(
    config: &TransportConfig,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<CheckReport>, CheckError> {
    match config {
        TransportConfig::Channel(_) | TransportConfig::Fluvio(_) | TransportConfig::Nats(_) => {
            Ok(None)
        }
        TransportConfig::Disk(config) => disk::check(&config.directory, progress).map(Some),
    }
}
