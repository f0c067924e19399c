//! Connections: a channel to a consumer in the same process, and connections that can be cut.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::mpsc,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::{Channel, Endpoint, Uri, server::Connected};
use tower::service_fn;

/// What a pipe holds in each direction before its writer has to wait.
const PIPE_BYTES: usize = 64 << 10;
/// What may be under way on one call, and on all calls of a channel. Larger than HTTP/2's 64 KiB, so that a large
/// trace does not wait for a window update after each frame.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// A channel whose connections are pipes that are handed to `pipes`, to be served.
pub(crate) fn connect(pipes: mpsc::Sender<DuplexStream>) -> Channel {
    let connector = service_fn(move |_: Uri| {
        let pipes = pipes.clone();
        async move {
            let (client, server) = duplex(PIPE_BYTES);
            pipes.send(server).await.map_err(|_| {
                io::Error::new(io::ErrorKind::NotConnected, "the consumer has stopped")
            })?;
            Ok::<_, io::Error>(TokioIo::new(client))
        }
    });
    // The name is never resolved: it stands in the `:authority` header only.
    Endpoint::from_static("http://consumer.in-process")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect_with_connector_lazy(connector)
}

/// A connection that fails once a token is cancelled: a server that must end by a deadline cuts its calls with it.
pub(crate) struct Cuttable<IO> {
    io: IO,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<IO> Cuttable<IO> {
    pub(crate) fn new(io: IO, cut: CancellationToken) -> Self {
        Self {
            io,
            cut: Box::pin(cut.cancelled_owned()),
        }
    }

    /// Every operation looks here first, so that whichever is waiting is woken by the cut.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server has shut down",
            )),
            Poll::Pending => Ok(()),
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Cuttable<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Cuttable<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<IO: Connected> Connected for Cuttable<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.connect_info()
    }
}
