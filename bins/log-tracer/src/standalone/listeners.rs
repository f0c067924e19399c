//! The sockets of all parts, bound before any of them starts: a port in use is found out while nothing runs yet.

use std::io;

use log_tracer_runtime::listen::{self, BindError};
use tokio::net::TcpListener;

use super::Endpoints;
use crate::Config;

/// The sockets of all parts.
#[derive(Debug)]
pub struct Listeners {
    pub(super) producer: log_tracer_producer::Listeners,
    pub(super) dashboard: TcpListener,
    pub(super) query: Option<TcpListener>,
}

impl Listeners {
    /// Binds every address of the configuration. Port 0 takes a free port.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        let producer = log_tracer_producer::Listeners {
            grpc: listen::bind("producer.grpc_listen", config.producer.grpc_listen).await?,
            http: listen::bind("producer.http_listen", config.producer.http_listen).await?,
        };
        let dashboard = listen::bind("dashboard.listen", config.dashboard.listen).await?;
        let query = match config.consumer.query_listen {
            Some(address) => Some(listen::bind("consumer.query_listen", address).await?),
            None => None,
        };
        Ok(Self {
            producer,
            dashboard,
            query,
        })
    }

    pub(super) fn endpoints(&self) -> io::Result<Endpoints> {
        Ok(Endpoints {
            grpc: self.producer.grpc.local_addr()?,
            http: self.producer.http.local_addr()?,
            dashboard: self.dashboard.local_addr()?,
            query: self
                .query
                .as_ref()
                .map(TcpListener::local_addr)
                .transpose()?,
        })
    }
}
