//! A channel to a server in the same process.

use std::io;

use hyper_util::rt::TokioIo;
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// What a pipe holds in each direction before its writer has to wait.
const PIPE_BYTES: usize = 64 << 10;
/// What may be under way on one call, and on all calls of a channel. Larger than HTTP/2's 64 KiB, so that a large
/// trace does not wait for a window update after each frame.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Connections that wait to be accepted.
const PIPES_MAX: usize = 16;

/// Where pipes are handed in, and where they come out.
pub(crate) fn pipes() -> (mpsc::Sender<DuplexStream>, mpsc::Receiver<DuplexStream>) {
    mpsc::channel(PIPES_MAX)
}

/// A channel whose connections are pipes that are handed to `pipes`, to be served.
pub(crate) fn connect(pipes: mpsc::Sender<DuplexStream>) -> Channel {
    let connector = service_fn(move |_: Uri| {
        let pipes = pipes.clone();
        async move {
            let (client, server) = duplex(PIPE_BYTES);
            pipes.send(server).await.map_err(|_| {
                io::Error::new(io::ErrorKind::NotConnected, "the fan-out has stopped")
            })?;
            Ok::<_, io::Error>(TokioIo::new(client))
        }
    });
    // The name is never resolved: it stands in the `:authority` header only.
    Endpoint::from_static("http://fanout.in-process")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect_with_connector_lazy(connector)
}
