//! Asks a process of ours whether it serves, as `healthcheck` does: a container that holds nothing but the program has no
//! other way to be asked.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// No head of an answer is longer.
const HEAD_BYTES_MAX: usize = 64;

/// Asks the health service of a gRPC server that listens on `address`.
///
/// # Errors
/// It does not answer in time, or says that it does not serve; in words.
pub async fn grpc(address: SocketAddr) -> Result<(), String> {
    let asked = async {
        let endpoint = Endpoint::from_shared(format!("http://{}", reachable(address)))
            .map_err(|error| error.to_string())?;
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| error.to_string())?;
        let answer = HealthClient::new(channel)
            .check(HealthCheckRequest::default())
            .await
            .map_err(|status| status.to_string())?;
        match answer.get_ref().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(format!("it says {}", other.as_str_name())),
        }
    };
    within(address, asked).await
}

/// Asks for `path` over HTTP on `address`, and expects 200.
///
/// # Errors
/// It does not answer in time, or with another status; in words.
pub async fn http(address: SocketAddr, path: &str) -> Result<(), String> {
    let asked = async {
        let mut stream = TcpStream::connect(reachable(address)).await?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut start = stream.take(HEAD_BYTES_MAX as u64);
        start.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        match answer.split(' ').nth(1) {
            Some("200") => Ok(()),
            _ => Err(std::io::Error::other(format!(
                "it answers `{}`",
                answer.lines().next().unwrap_or_default()
            ))),
        }
    };
    within(address, async {
        asked.await.map_err(|error| error.to_string())
    })
    .await
}

async fn within(
    address: SocketAddr,
    asked: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    match timeout(PATIENCE, asked).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(format!("{address}: {why}")),
        Err(_) => Err(format!("{address}: no answer within {PATIENCE:?}")),
    }
}

/// Who listens on every address of a machine is reached from the machine itself by loopback.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_for_all_interfaces_is_asked_on_loopback() {
        for (address, expected) in [
            ("127.0.0.1:4317", "127.0.0.1:4317"),
            ("0.0.0.0:4317", "127.0.0.1:4317"),
            ("[::]:4317", "[::1]:4317"),
            ("10.1.2.3:4317", "10.1.2.3:4317"),
        ] {
            assert_eq!(
                reachable(address.parse().unwrap()),
                expected.parse().unwrap()
            );
        }
    }

    #[tokio::test]
    async fn only_the_status_200_is_a_sign_of_life() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 503 No\r\n\r\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        http(address, "/healthz").await.unwrap();
        let why = http(address, "/healthz").await.unwrap_err();
        assert!(why.contains("503"), "{why}");
        let why = grpc(address).await.unwrap_err();
        assert!(why.starts_with("127.0.0.1:"), "{why}");
    }
}
