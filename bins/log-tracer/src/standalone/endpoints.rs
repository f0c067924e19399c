//! Where a process listens, as its clients write it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The addresses of a running [`Standalone`](super::Standalone), with the ports that were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) dashboard: SocketAddr,
    pub(super) query: Option<SocketAddr>,
}

impl Endpoints {
    /// OTLP over gRPC and LogService: `http://127.0.0.1:4317`.
    #[must_use]
    pub fn otlp_grpc(&self) -> String {
        url(self.grpc)
    }

    /// OTLP over HTTP: `http://127.0.0.1:4318`.
    #[must_use]
    pub fn otlp_http(&self) -> String {
        url(self.http)
    }

    /// The web pages: `http://127.0.0.1:8080`.
    #[must_use]
    pub fn dashboard(&self) -> String {
        url(self.dashboard)
    }

    /// QueryService: `http://127.0.0.1:4319`; `None` when it has no socket.
    #[must_use]
    pub fn query_grpc(&self) -> Option<String> {
        self.query.map(url)
    }
}

/// A process that listens on every address of the machine is reached from the machine itself by loopback.
fn url(address: SocketAddr) -> String {
    let reachable = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(reachable, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_interfaces_is_shown_as_one_that_can_be_called() {
        for (address, expected) in [
            ("127.0.0.1:4317", "http://127.0.0.1:4317"),
            ("0.0.0.0:4317", "http://127.0.0.1:4317"),
            ("[::]:4317", "http://[::1]:4317"),
            ("10.1.2.3:4317", "http://10.1.2.3:4317"),
        ] {
            assert_eq!(url(address.parse().unwrap()), expected);
        }
    }
}
