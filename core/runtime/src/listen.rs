//! Listening sockets. Every address comes from a key of the configuration, and an address that cannot be had is reported
//! with that key.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

use crate::exit::{Code, Exit};

/// Binds `address`, which `key` asked for. Port 0 takes a free port; ask the listener which.
///
/// # Errors
/// [`BindError`] when the address is in use, not of this machine, or not allowed.
pub async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BindError {
            key: key.to_owned(),
            address,
            source,
        })
}

/// An address that could not be bound. Its message is one line that names the address, the key, and what to do.
#[derive(Debug)]
pub struct BindError {
    /// The key of the configuration that holds the address.
    pub key: String,
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            key,
            address,
            source,
        } = self;
        match source.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "{address} ({key}) is in use: stop the program that listens there, or choose another address with --set {key}={}:0 (a free port)",
                host(address)
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "{address} ({key}) is not an address of this machine: choose one that is, such as --set {key}=127.0.0.1:{}",
                address.port()
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "{address} ({key}) may not be listened on by this user: choose a port above 1023 with --set {key}={}:PORT",
                host(address)
            ),
            _ => write!(f, "{address} ({key}) cannot be listened on: {source}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Exit for BindError {
    /// [`Code::Config`] where another address helps, [`Code::Transient`] where waiting may (no file descriptor left).
    fn exit_code(&self) -> Code {
        match self.source.kind() {
            io::ErrorKind::AddrInUse
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Unsupported => Code::Config,
            _ => Code::Transient,
        }
    }
}

fn host(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_one_line_with_the_address_the_key_and_what_to_do() {
        let taken = bind("producer.grpc_listen", "127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind("dashboard.listen", address).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{address} (dashboard.listen) is in use: stop the program that listens there, or choose another address with --set dashboard.listen=127.0.0.1:0 (a free port)"
            )
        );
        assert_eq!(error.exit_code(), Code::Config);
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused_with_advice() {
        // A documentation address (RFC 5737) is no machine's own.
        let error = bind("dashboard.listen", "192.0.2.1:8080".parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "192.0.2.1:8080 (dashboard.listen) is not an address of this machine: choose one that is, such as --set dashboard.listen=127.0.0.1:8080"
        );
        assert_eq!(error.exit_code(), Code::Config);
    }
}
