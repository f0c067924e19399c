//! Streamed answers: a blocking thread makes pieces and waits for the client to take them, but not for ever.

use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt, stream};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::service::gate::Turn;

/// Pieces that are ready before the client takes one.
const READY_MAX: usize = 1;

/// Where the pieces of one answer go.
#[derive(Debug)]
pub(crate) struct Sink<T> {
    sender: mpsc::Sender<Result<T, Status>>,
    cut: Arc<OnceLock<Status>>,
    deadline: Instant,
    runtime: Handle,
}

/// Nobody takes pieces any more.
#[derive(Debug)]
pub(crate) struct Gone;

impl<T> Sink<T> {
    /// Hands a piece over. Must be called on a blocking thread.
    ///
    /// # Errors
    /// The client has gone away, or did not take the piece before the deadline.
    pub(crate) fn send(&self, piece: T) -> Result<(), Gone> {
        let sent = self
            .runtime
            .block_on(timeout_at(self.deadline, self.sender.send(Ok(piece))));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(Gone),
            Err(_elapsed) => {
                // An answer that ends early must not look whole.
                let cut = Status::deadline_exceeded("the answer was not read before its deadline");
                self.cut.get_or_init(|| cut);
                Err(Gone)
            }
        }
    }
}

/// Makes an answer on a blocking thread while its pieces are read. The turn ends with the last piece.
pub(crate) fn stream<T: Send + 'static>(
    turn: Turn,
    make: impl FnOnce(&Sink<T>) -> Result<(), Gone> + Send + 'static,
) -> impl Stream<Item = Result<T, Status>> + Send {
    let (sender, receiver) = mpsc::channel(READY_MAX);
    let cut = Arc::new(OnceLock::new());
    let sink = Sink {
        sender,
        cut: Arc::clone(&cut),
        deadline: turn.deadline,
        runtime: Handle::current(),
    };
    tokio::task::spawn_blocking(move || {
        // Either way there is nobody left to tell: the stream's end says it.
        let _made = make(&sink);
        drop(turn);
    });
    let end = stream::once(async move { cut.get().cloned().map(Err) });
    ReceiverStream::new(receiver).chain(end.filter_map(|end| async { end }))
}
