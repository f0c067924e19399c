//! From where a request comes, as far as it is told: no address, only what kind of place it is.
//!
//! It is known where a connection is accepted and needed where a request is refused, far below; so it goes along with the
//! task that answers.

use std::{
    future::Future,
    net::{IpAddr, Ipv6Addr},
};

use log_tracer_proto::v1::ClientClass;
use tokio::task_local;

task_local! {
    static FROM: Whence;
}

/// From where a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whence {
    pub(crate) class: ClientClass,
    /// "grpc" or "http"; empty when it is not known.
    pub(crate) port: &'static str,
}

impl Whence {
    pub(crate) fn new(address: IpAddr, port: &'static str) -> Self {
        Self {
            class: class(address),
            port,
        }
    }

    /// Of the request that is being answered.
    pub(crate) fn current() -> Self {
        let unknown = Self {
            class: ClientClass::Unspecified,
            port: "",
        };
        FROM.try_with(|from| *from).unwrap_or(unknown)
    }

    /// Goes along with a future.
    pub(crate) fn over<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        FROM.scope(self, future)
    }

    /// Goes along with a call.
    pub(crate) fn during<T>(self, call: impl FnOnce() -> T) -> T {
        FROM.sync_scope(self, call)
    }
}

/// Addresses by RFC 1918, RFC 3927, RFC 4193, RFC 4291 and RFC 6598.
fn class(address: IpAddr) -> ClientClass {
    let address = address.to_canonical();
    let is_private = match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            v4.is_private() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => is_private_v6(v6),
    };
    match (address.is_loopback(), is_private) {
        (true, _) => ClientClass::ThisMachine,
        (false, true) => ClientClass::PrivateNetwork,
        (false, false) => ClientClass::Elsewhere,
    }
}

fn is_private_v6(v6: Ipv6Addr) -> bool {
    v6.is_unique_local() || v6.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_by_the_kind_of_place_only() {
        for (address, want) in [
            ("127.0.0.1", ClientClass::ThisMachine),
            ("::1", ClientClass::ThisMachine),
            ("::ffff:127.0.0.1", ClientClass::ThisMachine),
            ("10.1.2.3", ClientClass::PrivateNetwork),
            ("172.31.0.1", ClientClass::PrivateNetwork),
            ("100.64.0.1", ClientClass::PrivateNetwork),
            ("169.254.1.1", ClientClass::PrivateNetwork),
            ("fd00::1", ClientClass::PrivateNetwork),
            ("fe80::1", ClientClass::PrivateNetwork),
            ("172.32.0.1", ClientClass::Elsewhere),
            ("100.128.0.1", ClientClass::Elsewhere),
            ("2001:db8::1", ClientClass::Elsewhere),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(class(address), want, "{address}");
        }
    }

    #[tokio::test]
    async fn it_goes_along_and_is_unknown_elsewhere() {
        let from = Whence::new(IpAddr::from([10, 0, 0, 1]), "grpc");
        assert_eq!(from.over(async { Whence::current() }).await, from);
        assert_eq!(from.during(Whence::current), from);
        assert_eq!(Whence::current().class, ClientClass::Unspecified);
    }
}
