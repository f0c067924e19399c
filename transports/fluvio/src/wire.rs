//! TCP to a cluster, with acknowledgements that do not wait.
//!
//! An SPU writes a response to a fetch in two pieces, the second from a file, and lets the second wait until the first
//! is acknowledged (Nagle's algorithm). A client that delays its acknowledgements, as every one does by default, then
//! waits 40 ms for every response to a fetch. Measured on one machine, with an SPU that had nothing else to do: an
//! envelope reached a waiting reader 44 ms after it was published, and within 2 ms with this.
//!
//! Not for TLS, whose connections the `fluvio` crate makes by itself.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use fluvio_future::net::{
    AsConnectionFd, BoxReadConnection, BoxWriteConnection, ConnectionFd, DomainConnector,
    TcpDomainConnector, TcpStream, tcp_stream,
};
use futures_util::io::AsyncRead;

/// The first piece of a response: its length, the names of topic and partition, a few numbers.
const FIRST_PIECE_BYTES: usize = 1 << 10;

/// Connects without TLS.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plain;

#[async_trait]
impl TcpDomainConnector for Plain {
    async fn connect(
        &self,
        address: &str,
    ) -> Result<(BoxWriteConnection, BoxReadConnection, ConnectionFd), io::Error> {
        let stream = tcp_stream::stream(address).await?;
        stream.set_nodelay(true)?;
        let fd = stream.as_connection_fd();
        Ok((Box::new(stream.clone()), Box::new(Prompt(stream)), fd))
    }

    fn new_domain(&self, _: String) -> DomainConnector {
        Box::new(*self)
    }

    fn domain(&self) -> &str {
        "localhost"
    }

    fn clone_box(&self) -> DomainConnector {
        Box::new(*self)
    }
}

/// A stream that acknowledges at once what it has read.
#[derive(Debug)]
struct Prompt(TcpStream);

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.0).poll_read(context, buffer))?;
        // The first piece is small. Saying so for every piece of what follows would cost far more than it saves.
        if read <= FIRST_PIECE_BYTES {
            acknowledge(&self.0);
        }
        Poll::Ready(Ok(read))
    }
}

#[cfg(target_os = "linux")]
fn acknowledge(stream: &TcpStream) {
    // It is a hint: where it cannot be given, responses are late.
    if let Err(error) = rustix::net::sockopt::set_tcp_quickack(stream, true) {
        log::debug!("acknowledgements are delayed: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn acknowledge(_: &TcpStream) {}
