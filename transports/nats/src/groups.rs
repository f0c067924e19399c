//! What the groups have committed: one small document, changed by comparing and setting.
//!
//! # Layout
//!
//! The last message of the stream `NAME-groups` is JSON, at most 64 groups in it:
//!
//! ```json
//! {"version": 1, "groups": {"search": {"0": 1200, "1": 1187}}}
//! ```
//!
//! The numbers are partition and next offset. All groups stand in one message, so that a commit is taken as a whole, and
//! so that everything that decides what may be forgotten is read at once. A writer names the sequence of the document
//! that it changed; when another was faster, it reads again and merges again, and the higher cursor stays.

use std::{collections::BTreeMap, sync::Arc};

use async_nats::{
    HeaderMap,
    client::Request,
    header::NATS_EXPECTED_LAST_SEQUENCE,
    jetstream::{ErrorCode, publish::PublishAck},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use log_tracer_transport::{Cursor, Group, Offset, Partition};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use crate::{
    error::Error,
    link::{Life, Link, understand},
    names::Names,
};

const VERSION: u32 = 1;
const GROUPS_MAX: usize = 64;
/// No message with this number of a JetStream error: the stream is empty.
const NO_MESSAGE_FOUND: ErrorCode = ErrorCode(10037);

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Document {
    version: u32,
    groups: BTreeMap<String, BTreeMap<u16, u64>>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            version: VERSION,
            groups: BTreeMap::new(),
        }
    }
}

impl Document {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match document.version {
            VERSION => Ok(document),
            version => Err(format!(
                "version {version}, this build reads version {VERSION}"
            )),
        }
    }

    fn encode(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }

    pub(crate) fn committed(&self, group: &Group) -> Vec<Cursor> {
        let cursors = self.groups.get(&group.0).into_iter().flatten();
        cursors
            .map(|(partition, next)| Cursor {
                partition: Partition(*partition),
                next: Offset(*next),
            })
            .collect()
    }

    /// What every group that has committed in a partition is past; `None` while none has.
    pub(crate) fn floor(&self, partition: Partition) -> Option<Offset> {
        let cursors = self.groups.values();
        cursors
            .filter_map(|cursors| cursors.get(&partition.0).copied())
            .min()
            .map(Offset)
    }

    /// Takes cursors in, the higher of two each; says whether anything changed.
    pub(crate) fn merge(&mut self, group: &Group, upto: &[Cursor]) -> Result<bool, Error> {
        if upto.is_empty() {
            return Ok(false);
        }
        if !self.groups.contains_key(&group.0) && self.groups.len() >= GROUPS_MAX {
            return Err(Error::BadCommit(format!(
                "there are {GROUPS_MAX} groups already: delete the stream of the groups to forget those that are gone"
            )));
        }
        let cursors = self.groups.entry(group.0.clone()).or_default();
        let mut changed = false;
        for cursor in upto {
            let kept = cursors.get(&cursor.partition.0).copied();
            if kept.is_none_or(|kept| kept < cursor.next.0) {
                cursors.insert(cursor.partition.0, cursor.next.0);
                changed = true;
            }
        }
        Ok(changed)
    }
}

/// A document and the sequence that it was read at.
#[derive(Clone, Debug, Default)]
struct Read {
    document: Document,
    sequence: u64,
}

/// The document as this process knows it.
#[derive(Debug)]
pub(crate) struct Groups {
    names: Names,
    /// Also keeps the commits of this process in turn, so that they do not overtake each other at the server.
    known: Mutex<Option<Read>>,
}

impl Groups {
    pub(crate) fn new(names: Names) -> Self {
        Self {
            names,
            known: Mutex::new(None),
        }
    }

    /// Takes cursors in.
    pub(crate) async fn commit(
        &self,
        link: &Link,
        group: &Group,
        upto: &[Cursor],
        deadline: Instant,
    ) -> Result<Document, Error> {
        let mut known = self.known.lock().await;
        loop {
            let life = link.life(deadline).await?;
            let read = match known.take() {
                Some(read) => read,
                None => self.read(&life).await?,
            };
            let mut next = read.clone();
            if !next.document.merge(group, upto)? {
                *known = Some(read.clone());
                return Ok(read.document);
            }
            match self.write(&life, &next).await {
                Ok(sequence) => {
                    next.sequence = sequence;
                    *known = Some(next.clone());
                    return Ok(next.document);
                }
                // Another was faster, or so it seems: the last attempt may have got through without its answer.
                Err(error) if error.code() == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE) => {}
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    log::debug!("committing again: {error}");
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                return Err(Error::Unanswered {
                    doing: format!("committing to stream {}", self.names.groups_stream()),
                    source: Arc::new(Error::NoRoom),
                });
            }
        }
    }

    /// What is committed now.
    pub(crate) async fn document(&self, life: &Life) -> Result<Document, Error> {
        let read = self.read(life).await?;
        let document = read.document.clone();
        // One that is committing knows better.
        if let Ok(mut known) = self.known.try_lock() {
            remember(&mut known, read);
        }
        Ok(document)
    }

    async fn read(&self, life: &Life) -> Result<Read, Error> {
        let stream = self.names.groups_stream();
        let subject = self.names.api(&format!("STREAM.MSG.GET.{stream}"));
        let doing = format!("reading stream {stream}");
        let last = json!({ "last_by_subj": self.names.groups_subject() });
        let answer: Answer = match life.ask(&doing, subject, &last).await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some(NO_MESSAGE_FOUND) => return Ok(Read::default()),
            Err(error) => return Err(error),
        };
        let unreadable = |reason: String| {
            Error::Failed(format!(
                "the last message of stream {stream} is no list of groups: {reason}; delete the stream, and the groups commit anew"
            ))
        };
        let bytes = BASE64_STANDARD
            .decode(&answer.message.data)
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(Read {
            document: Document::decode(&bytes).map_err(unreadable)?,
            sequence: answer.message.seq,
        })
    }

    async fn write(&self, life: &Life, next: &Read) -> Result<u64, Error> {
        let doing = format!("committing to stream {}", self.names.groups_stream());
        let payload = next.document.encode().map_err(|source| Error::Nonsense {
            doing: doing.clone(),
            source: Arc::new(source),
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, next.sequence.to_string());
        let request = Request::new().headers(headers).payload(payload);
        let sent = life
            .client
            .send_request(self.names.groups_subject(), request);
        let answer = tokio::select! {
            () = life.lost.cancelled() => return Err(Error::Lost { doing }),
            answer = sent => answer.map_err(|source| Error::unanswered(doing.clone(), source))?,
        };
        let ack: PublishAck = understand(&doing, &answer.payload)?;
        Ok(ack.sequence)
    }
}

fn remember(known: &mut MutexGuard<'_, Option<Read>>, read: Read) {
    let newer = known
        .as_ref()
        .is_none_or(|known| known.sequence < read.sequence);
    if newer {
        **known = Some(read);
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    message: Message,
}

#[derive(Debug, Deserialize)]
struct Message {
    seq: u64,
    #[serde(default)]
    data: String,
}
