//! NATS JetStream, or in a build without it how to get one with it.

#[cfg(feature = "nats")]
mod built {
    use std::sync::Arc;

    use log_tracer_transport::{OpenError, Transport};
    use log_tracer_transport_nats::NatsTransport;

    pub use log_tracer_transport_nats::Config;

    pub(crate) async fn open(config: &Config) -> Result<Arc<dyn Transport>, OpenError> {
        Ok(Arc::new(NatsTransport::open(config).await?))
    }
}

#[cfg(not(feature = "nats"))]
mod built {
    use std::sync::Arc;

    use log_tracer_transport::{OpenError, Transport};
    use serde::{Deserialize, Serialize};

    /// Takes any keys, so that what is said is that the transport is missing and not that its keys are unknown.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
    pub struct Config {}

    impl Config {
        pub(crate) fn validate(&self) -> Result<(), String> {
            Err("kind is \"nats\", which this program was built without: build it with `--features nats`".into())
        }
    }

    pub(crate) async fn open(config: &Config) -> Result<Arc<dyn Transport>, OpenError> {
        config.validate().map_err(OpenError::Invalid)?;
        Err(OpenError::Invalid("kind is \"nats\"".into()))
    }
}

pub use built::Config;
pub(crate) use built::open;
