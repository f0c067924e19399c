//! Opens a transport by its configuration: the one place that names the backends.

mod patient;

use std::{path::Path, sync::Arc};

use log_tracer_transport::{OpenError, Transport};
use log_tracer_transport_channel::{self as channel, ChannelTransport};
use log_tracer_transport_disk::{self as disk, DiskTransport};
use serde::{Deserialize, Serialize};

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
        Self::default()
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
        }
    }

    /// Takes a relative directory from below `base`.
    pub fn move_below(&mut self, base: &Path) {
        match self {
            Self::Channel(_) => {}
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
    }
}

/// Reads the whole log that `config` describes, which nobody may have open, and changes nothing. Tells `progress` how
/// many of how many bytes are done. `None` for a transport that leaves nothing behind.
///
/// # Errors
///
/// There is no log, or it is in use, or it cannot be read. What is wrong in the log is no error: it stands in the report.
pub fn check(
    config: &TransportConfig,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<CheckReport>, CheckError> {
    match config {
        TransportConfig::Channel(_) => Ok(None),
        TransportConfig::Disk(config) => disk::check(&config.directory, progress).map(Some),
    }
}
