//! Opens a transport by its configuration: the one place that names the backends.

use std::sync::Arc;

use log_tracer_transport::{OpenError, Transport};
use log_tracer_transport_channel::{self as channel, ChannelTransport};
use log_tracer_transport_disk::{self as disk, DiskTransport};
use serde::{Deserialize, Serialize};

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
        Self::Channel(channel::Config::default())
    }
}

impl TransportConfig {
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
