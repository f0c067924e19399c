//! Looks at the streams now and then, so that health and usage are there when they are asked for.

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    error::Error,
    shared::{Shared, lock},
};

/// A stream that is not found may be one whose servers are just electing who answers for it; after so many looks it is
/// gone.
const LOOKS_UNTIL_GONE: u32 = 3;

/// Looks until the log is closed.
pub(crate) async fn keep_looking(shared: &Shared) {
    let mut not_found = 0;
    loop {
        tokio::select! {
            () = shared.closed.cancelled() => return,
            () = sleep(shared.config.look_interval()) => {}
        }
        let look = tokio::select! {
            () = shared.closed.cancelled() => return,
            look = look_at_all(shared) => look,
        };
        not_found = match &look {
            Err(error)
                if error.code() == Some(async_nats::jetstream::ErrorCode::STREAM_NOT_FOUND) =>
            {
                not_found + 1
            }
            _ => 0,
        };
        if let (Err(error), LOOKS_UNTIL_GONE..) = (&look, not_found) {
            shared.fail(format!("a stream of the log was deleted: {error}"));
        }
        // Without a connection it is the connection that is in trouble.
        *lock(&shared.trouble) = match look {
            Err(Error::NotConnected(_) | Error::Lost { .. }) | Ok(()) => None,
            Err(error) => Some(error.to_string()),
        };
    }
}

async fn look_at_all(shared: &Shared) -> Result<(), Error> {
    let deadline = Instant::now() + shared.config.look_interval();
    let life = shared.link.life(deadline).await?;
    let looks = shared.partitions().map(|one| shared.look(&life, one));
    let looks = join_all(looks).await;
    looks.into_iter().try_for_each(|look| look.map(|_| ()))
}
