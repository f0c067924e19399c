//! The topic beside the topic: which log it is, and how far its groups are.
//!
//! Fluvio gives a topic no identity of its own, and its consumer offsets cannot be set to a given number. So a second
//! topic of one partition, which leaves by size only, keeps both ([`crate::state`]). It is read to its end before every
//! entry that is appended, so that an entry is the whole state.
//!
//! **Which log it is.** The log id is drawn when the ledger is empty. Whenever something is acked in a partition for
//! the first time, and with every commit, the ledger learns how far the partition had come. A topic that is empty
//! although it had come somewhere was deleted and made anew, and gets the next generation, with another id. Every
//! record carries the id in its key, so that a reader sees at the first record that it is in another log.

use log_tracer_transport::{Cursor, Group, LogId, Offset, Partition};
use tokio::sync::Mutex;

use fluvio_spu_schema::Isolation;

use crate::{
    clock,
    error::Error,
    link::{Connection, Link},
    record::{self, RecordBytes},
    state::{GROUPS_MAX, State},
};

/// Bytes of a fetch; an entry of `GROUPS_MAX` groups in a thousand partitions is smaller.
const FETCH_BYTES: i32 = 32 << 20;

/// The ledger of a log.
#[derive(Debug)]
pub(crate) struct Ledger {
    topic: String,
    isolation: Isolation,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    connection: Option<Connection>,
    state: State,
    /// The first offset of the ledger that was not read yet.
    next: u64,
}

impl Ledger {
    pub(crate) fn new(topic: String, isolation: Isolation) -> Self {
        Self {
            topic,
            isolation,
            inner: Mutex::default(),
        }
    }

    /// The id of the log, once the ledger has one for what is in the topic: `empty` says whether that is nothing, and
    /// `found` is the id that its records have, for a ledger that was lost.
    pub(crate) async fn identify(
        &self,
        link: &Link,
        empty: bool,
        found: Option<LogId>,
    ) -> Result<LogId, Error> {
        let mut inner = self.inner.lock().await;
        self.read(link, &mut inner).await?;
        let known = inner.state.log_id();
        if let Some(id) = known
            && !(empty && inner.state.has_reached_anything())
        {
            return Ok(id);
        }
        let id = found.unwrap_or_else(|| LogId(rand::random()));
        let begun = inner.state.next_generation(id);
        // What counts is which entry of the generation stands first.
        self.append(link, &mut inner, &begun).await?;
        inner.state.log_id().ok_or_else(|| Error::Ledger {
            topic: self.topic.clone(),
            at: inner.next,
            reason: "what was appended is not there".into(),
        })
    }

    /// The id that the ledger has now.
    pub(crate) async fn log_id(&self, link: &Link) -> Result<Option<LogId>, Error> {
        let mut inner = self.inner.lock().await;
        self.read(link, &mut inner).await?;
        Ok(inner.state.log_id())
    }

    /// Notes that a partition has come this far, if it had come nowhere before.
    pub(crate) async fn reach_first(
        &self,
        link: &Link,
        log_id: LogId,
        partition: Partition,
        end: Offset,
    ) -> Result<(), Error> {
        let mut inner = self.inner.lock().await;
        if inner.state.reached(partition) > Offset(0) {
            return Ok(());
        }
        self.read(link, &mut inner).await?;
        self.check(&inner, log_id)?;
        let mut state = inner.state.clone();
        state.reach(partition, end);
        self.append(link, &mut inner, &state).await
    }

    pub(crate) async fn commit(
        &self,
        link: &Link,
        log_id: LogId,
        group: &Group,
        upto: &[Cursor],
    ) -> Result<(), Error> {
        let mut inner = self.inner.lock().await;
        self.read(link, &mut inner).await?;
        self.check(&inner, log_id)?;
        let mut state = inner.state.clone();
        match state.commit(group, upto) {
            None => Err(Error::Invalid(format!(
                "there are {GROUPS_MAX} groups already"
            ))),
            Some(false) => Ok(()),
            Some(true) => self.append(link, &mut inner, &state).await,
        }
    }

    pub(crate) async fn committed(
        &self,
        link: &Link,
        log_id: LogId,
        group: &Group,
    ) -> Result<Vec<Cursor>, Error> {
        let mut inner = self.inner.lock().await;
        self.read(link, &mut inner).await?;
        self.check(&inner, log_id)?;
        Ok(inner.state.committed(group))
    }

    /// Lets go of the connection.
    pub(crate) async fn close(&self) {
        self.inner.lock().await.connection = None;
    }

    fn check(&self, inner: &Inner, log_id: LogId) -> Result<(), Error> {
        match inner.state.log_id() {
            Some(id) if id == log_id => Ok(()),
            is => Err(Error::Recreated {
                topic: self.topic.clone(),
                was: log_id,
                is,
            }),
        }
    }

    async fn append(&self, link: &Link, inner: &mut Inner, state: &State) -> Result<(), Error> {
        let entry = state.encode().map_err(|error| Error::Ledger {
            topic: self.topic.clone(),
            at: inner.next,
            reason: error.to_string(),
        })?;
        let batch = RecordBytes(record::encode_plain(clock::unix_ms(), &entry));
        // Held by nobody meanwhile: a call that is dropped half-way leaves a connection that nobody uses again.
        let connection = match inner.connection.take() {
            Some(connection) => connection,
            None => link.connect(&self.topic, 0).await?,
        };
        let appended = async {
            let mut answer = connection.produce(batch, self.isolation).await?;
            connection
                .produced(&mut answer, connection.deadline())
                .await
        };
        match appended.await {
            Ok(_) => inner.connection = Some(connection),
            Err(error) => {
                link.forget_leader(&self.topic, 0);
                return Err(error);
            }
        }
        self.read(link, inner).await
    }

    /// Reads what was appended since.
    async fn read(&self, link: &Link, inner: &mut Inner) -> Result<(), Error> {
        let connection = match inner.connection.take() {
            Some(connection) if !connection.is_stale() => connection,
            _ => link.connect(&self.topic, 0).await?,
        };
        match self.read_on(&connection, inner).await {
            Ok(()) => {
                inner.connection = Some(connection);
                Ok(())
            }
            Err(error) => {
                link.forget_leader(&self.topic, 0);
                Err(error)
            }
        }
    }

    async fn read_on(&self, connection: &Connection, inner: &mut Inner) -> Result<(), Error> {
        let bounds = connection.bounds(self.isolation).await?;
        if bounds.end < inner.next {
            // The ledger was made anew as well: what is known is of a log that is gone.
            *inner = Inner::default();
        }
        // Old entries leave, and the newest say all that they said.
        inner.next = inner.next.max(bounds.start);
        while inner.next < bounds.end {
            let fetched = connection
                .fetch(inner.next, FETCH_BYTES, self.isolation)
                .await?;
            let before = inner.next;
            for read in fetched.records {
                if read.offset < inner.next {
                    continue;
                }
                let entry = State::decode(&read.value).map_err(|reason| Error::Ledger {
                    topic: self.topic.clone(),
                    at: read.offset,
                    reason,
                })?;
                inner.state.take(entry);
                inner.next = read.offset + 1;
            }
            if inner.next == before {
                return Err(connection.broken("it gives nothing of what it has"));
            }
        }
        Ok(())
    }
}
