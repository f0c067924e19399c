//! The reader of one partition: follows a stream of its SPU, and never passes on a gap.
//!
//! A stream sends what is there, in pieces of `read_bytes_max`, each after it was told that the one before has arrived,
//! and then what comes. A piece may end inside a batch, which is then fetched again. Every offset is compared with the
//! one that is expected: if one is missing, the stream is opened anew at it, and if it is missing still, it has left by
//! retention (`Evicted`) or is not there (`Corrupt`).
//!
//! A stream that is silent says nothing of whether it is alive, and one that was opened while something was written may
//! have missed it. So a reader that nothing came to asks where the partition ends, soon at first, then more and more
//! seldom, and opens the stream anew when there is something that did not come.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fluvio_protocol::link::ErrorCode;
use futures_util::StreamExt;
use log_tracer_transport::{LogId, Offset, Partition, Start};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    error::Error,
    link::{Bounds, Connection},
    record::{self, Fetched, RecordBytes},
    writer::Shared,
};

/// What is being done, for reports.
const DOING: &str = "reading";
/// How long a reader waits before it tries again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How long a stream may be silent before it is asked about for the first time.
const FIRST_PROBE: Duration = Duration::from_millis(50);
/// A batch of anybody is smaller: no SPU takes a request of more.
const READ_BYTES_MAX: usize = 64 << 20;

/// Encoded envelopes in the order of their offsets, without a gap.
pub(crate) type Piece = Vec<(Offset, Bytes)>;

/// How a partition is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) read_bytes_max: usize,
    pub(crate) idle_probe: Duration,
}

#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    partition: Partition,
    options: Options,
    /// The offset that comes next.
    next: u64,
    /// Whether there was something to read when the start was looked up.
    behind: bool,
    /// The connection that the start was looked up on.
    connection: Option<Connection>,
    /// How often `next` was expected and did not come.
    missing: u32,
    pieces: mpsc::Sender<Result<Piece, Error>>,
}

/// Why a stream was left.
enum Left {
    /// To be opened anew at once.
    Reopen,
    /// To be opened anew after a while.
    Broken(Error),
    /// Reading ends here.
    Ended(Error),
    /// Nobody reads any more.
    Unwanted,
}

impl Reader {
    /// Looks up where to start.
    pub(crate) async fn start(
        shared: Arc<Shared>,
        partition: Partition,
        start: Start,
        options: Options,
        pieces: mpsc::Sender<Result<Piece, Error>>,
    ) -> Result<Self, Error> {
        let connection = shared.link.connect(&shared.topic, partition.0).await?;
        let bounds = match connection.bounds(shared.isolation).await {
            Ok(bounds) => bounds,
            Err(error) => {
                shared.link.forget_leader(&shared.topic, partition.0);
                return Err(error);
            }
        };
        let next = match start {
            Start::Earliest => bounds.start,
            Start::At(offset) => outside(partition, offset.0, bounds).map_or(Ok(offset.0), Err)?,
        };
        Ok(Self {
            shared,
            partition,
            options,
            next,
            behind: next < bounds.end,
            connection: Some(connection),
            missing: 0,
            pieces,
        })
    }

    /// Whether something is there already.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Reads until nobody wants it any more, or it cannot go on.
    pub(crate) async fn run(mut self) {
        let mut backoff = BACKOFF.0;
        loop {
            let before = self.next;
            let left = match self.connect().await {
                Ok(connection) => self.follow(&connection).await,
                Err(left) => left,
            };
            if self.next > before {
                backoff = BACKOFF.0;
            }
            match left {
                Left::Unwanted => return,
                Left::Reopen => {}
                Left::Ended(error) => {
                    if error.is_final() {
                        self.shared.troubles.fail(&error);
                    }
                    // Whoever does not read any more does not need to know.
                    let _ = self.pieces.send(Err(error)).await;
                    return;
                }
                Left::Broken(error) => {
                    let topic = &self.shared.topic;
                    self.shared.link.forget_leader(topic, self.partition.0);
                    self.shared.troubles.report(DOING, self.partition, &error);
                    tokio::select! {
                        () = sleep(backoff) => {}
                        () = self.pieces.closed() => return,
                    }
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Connection, Left> {
        if let Some(connection) = self.connection.take().filter(|held| !held.is_stale()) {
            return Ok(connection);
        }
        let Shared { link, topic, .. } = &*self.shared;
        let connected = link.connect(topic, self.partition.0).await;
        let connection = connected.map_err(Left::Broken)?;
        let bounds = connection.bounds(self.shared.isolation).await;
        match outside(self.partition, self.next, bounds.map_err(Left::Broken)?) {
            None => Ok(connection),
            Some(gone) => Err(Left::Ended(self.whose(gone).await)),
        }
    }

    /// Says so when a position is beyond the end because it is of another log.
    async fn whose(&self, gone: Error) -> Error {
        let Shared { link, ledger, .. } = &*self.shared;
        if !matches!(gone, Error::Ahead { .. }) {
            return gone;
        }
        match ledger.log_id(link).await {
            Ok(Some(is)) if is != self.shared.log_id => Error::Recreated {
                topic: self.shared.topic.clone(),
                was: self.shared.log_id,
                is: Some(is),
            },
            _ => gone,
        }
    }

    /// Follows one stream for as long as it goes on.
    async fn follow(&mut self, connection: &Connection) -> Left {
        let bytes_max = i32::try_from(self.options.read_bytes_max).unwrap_or(i32::MAX);
        let opened = connection.follow(self.next, bytes_max, self.shared.isolation);
        let mut stream = match opened.await {
            Ok(stream) => stream,
            Err(error) => return Left::Broken(error),
        };
        let mut patience = FIRST_PROBE;
        // A response that is on its way arrives before the answer to a second question, and a large one takes its time.
        let mut asked = false;
        loop {
            let response = tokio::select! {
                response = timeout(patience, stream.next()) => response,
                () = self.pieces.closed() => return Left::Unwanted,
            };
            let response = match response {
                Ok(Some(Ok(response))) => response,
                Ok(Some(Err(error))) => return Left::Broken(connection.broken(&error.to_string())),
                Ok(None) => return Left::Broken(connection.broken("the stream ended")),
                Err(_) => match connection.bounds(self.shared.isolation).await {
                    Ok(bounds) if bounds.end > self.next && asked => return Left::Reopen,
                    Ok(bounds) if bounds.end > self.next => {
                        asked = true;
                        continue;
                    }
                    Ok(_) => {
                        self.shared.troubles.over(DOING, self.partition);
                        patience = (patience * 2).min(self.options.idle_probe);
                        continue;
                    }
                    Err(error) => return Left::Broken(error),
                },
            };
            patience = FIRST_PROBE.min(self.options.idle_probe);
            asked = false;
            let partition = response.partition;
            if partition.error_code != ErrorCode::None {
                return self.refused(connection, partition.error_code).await;
            }
            if let Err(left) = self.take(connection, &partition.records).await {
                return left;
            }
            self.shared.troubles.over(DOING, self.partition);
            if let Err(error) = connection.arrived(response.stream_id, self.next).await {
                return Left::Broken(error);
            }
        }
    }

    /// The SPU says why it cannot go on: because of where the reader is, or for a reason of its own.
    async fn refused(&self, connection: &Connection, code: ErrorCode) -> Left {
        let error = match connection.code(code) {
            Ok(()) => return Left::Reopen,
            Err(error) => error,
        };
        match connection.bounds(self.shared.isolation).await {
            Ok(bounds) => match outside(self.partition, self.next, bounds) {
                Some(gone) => Left::Ended(gone),
                None => Left::Broken(error),
            },
            Err(_) => Left::Broken(error),
        }
    }

    /// Hands on what a response holds.
    async fn take(&mut self, connection: &Connection, records: &RecordBytes) -> Result<(), Left> {
        let mut fetched = Fetched::default();
        let decoded = record::decode(&records.0, &mut fetched);
        let (piece, gap) = self.expected(&fetched)?;
        if !piece.is_empty() {
            let upto = self.next + piece.len() as u64;
            self.missing = 0;
            if self.pieces.send(Ok(piece)).await.is_err() {
                return Err(Left::Unwanted);
            }
            self.next = upto;
        } else if let Err((at, reason)) = decoded {
            return Err(Left::Ended(self.corrupt(at.max(self.next), reason)));
        } else if let Some(cut) = fetched.cut {
            return Err(self.too_small(cut.need_bytes));
        }
        match gap {
            false => Ok(()),
            true => Err(self.missed(connection).await),
        }
    }

    /// What comes next of what was read, up to the first gap, and whether there is one.
    fn expected(&self, fetched: &Fetched) -> Result<(Piece, bool), Left> {
        let mut piece = Vec::with_capacity(fetched.records.len());
        let mut expected = self.next;
        for read in &fetched.records {
            // A batch is sent whole, also if the reader starts in the middle of it.
            if read.offset < expected {
                continue;
            }
            if read.offset > expected {
                return Ok((piece, true));
            }
            if read.key.as_deref() != Some(self.shared.log_id.0.to_be_bytes().as_slice()) {
                if piece.is_empty() {
                    return Err(Left::Ended(self.foreign(read)));
                }
                break;
            }
            piece.push((Offset(read.offset), read.value.clone()));
            expected += 1;
        }
        Ok((piece, false))
    }

    /// A record that was written by something else, or to the log that now has the topic's name.
    fn foreign(&self, read: &record::Read) -> Error {
        let key = read.key.as_deref().and_then(|key| key.try_into().ok());
        match key.map(u128::from_be_bytes) {
            Some(id) => Error::Recreated {
                topic: self.shared.topic.clone(),
                was: self.shared.log_id,
                is: Some(LogId(id)),
            },
            None => self.corrupt(
                read.offset,
                "the record has no log id for its key: something else writes to the topic".into(),
            ),
        }
    }

    /// Not even one batch fitted.
    fn too_small(&mut self, need: Option<usize>) -> Left {
        let have = self.options.read_bytes_max;
        let need = need.unwrap_or(have.saturating_mul(2));
        if need > READ_BYTES_MAX || need <= have {
            let reason = format!("a batch of {need} bytes, and {have} bytes were read");
            return Left::Ended(self.corrupt(self.next, reason));
        }
        self.options.read_bytes_max = need;
        Left::Reopen
    }

    async fn missed(&mut self, connection: &Connection) -> Left {
        self.missing += 1;
        if self.missing == 1 {
            return Left::Reopen;
        }
        match connection.bounds(self.shared.isolation).await {
            Ok(bounds) => match outside(self.partition, self.next, bounds) {
                Some(gone) => Left::Ended(gone),
                None => Left::Ended(self.corrupt(self.next, "it is missing".into())),
            },
            Err(error) => Left::Broken(error),
        }
    }

    fn corrupt(&self, at: u64, reason: String) -> Error {
        Error::Corrupt {
            partition: self.partition,
            at: Offset(at),
            reason,
        }
    }
}

/// The error of a reader that stands where nothing is.
fn outside(partition: Partition, wanted: u64, bounds: Bounds) -> Option<Error> {
    let Bounds { start, end } = bounds;
    if wanted < start {
        return Some(Error::Evicted {
            partition,
            wanted: Offset(wanted),
            first: Offset(start),
        });
    }
    (wanted > end).then_some(Error::Ahead {
        partition,
        wanted: Offset(wanted),
        end: Offset(end),
    })
}
