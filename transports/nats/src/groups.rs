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
//!
//! A group that is gone for good holds back what may be forgotten. `nats stream purge NAME-groups` forgets all groups, and
//! those that are there commit again within seconds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

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
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{
    error::Error,
    link::{Life, Link, understand},
    names::Names,
};

const VERSION: u32 = 1;
const GROUPS_MAX: usize = 64;
/// Before a commit that another was faster than is made again.
const RETRY_DELAY: Duration = Duration::from_millis(5);
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
                "there are {GROUPS_MAX} groups already: purge the stream of the groups to forget those that are gone"
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

/// The document on the servers. Nothing of it is kept here: what an operator takes away must not come back.
#[derive(Debug)]
pub(crate) struct Groups {
    names: Names,
    /// Keeps the commits of this process in turn, so that they do not overtake each other at the server.
    turn: Mutex<()>,
}

impl Groups {
    pub(crate) fn new(names: Names) -> Self {
        Self {
            names,
            turn: Mutex::new(()),
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
        let _turn = self.turn.lock().await;
        loop {
            let life = link.life(deadline).await?;
            let error = match self.try_commit(&life, group, upto).await {
                Ok(document) => return Ok(document),
                Err(error) => error,
            };
            // Another was faster; or it seems so, when the last attempt got through without its answer.
            let again =
                error.is_transient() || error.code() == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE);
            if !again || Instant::now() >= deadline {
                return Err(error);
            }
            log::debug!("committing again: {error}");
            sleep(RETRY_DELAY).await;
        }
    }

    /// What is committed now.
    pub(crate) async fn document(&self, life: &Life) -> Result<Document, Error> {
        Ok(self.read(life).await?.document)
    }

    async fn try_commit(
        &self,
        life: &Life,
        group: &Group,
        upto: &[Cursor],
    ) -> Result<Document, Error> {
        let mut read = self.read(life).await?;
        if read.document.merge(group, upto)? {
            self.write(life, &read).await?;
        }
        Ok(read.document)
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
                "the last message of stream {stream} is no list of groups: {reason}; purge the stream, and the groups commit anew"
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

    async fn write(&self, life: &Life, next: &Read) -> Result<(), Error> {
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
        understand::<PublishAck>(&doing, &answer.payload).map(|_| ())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursors(of: &[(u16, u64)]) -> Vec<Cursor> {
        let cursors = of.iter().map(|(partition, next)| Cursor {
            partition: Partition(*partition),
            next: Offset(*next),
        });
        cursors.collect()
    }

    #[test]
    fn a_document_is_what_its_layout_says() {
        let text = br#"{"version":1,"groups":{"search":{"0":1200,"1":1187}}}"#;
        let document = Document::decode(text).unwrap();
        let group = Group("search".into());
        assert_eq!(document.committed(&group), cursors(&[(0, 1200), (1, 1187)]));
        assert_eq!(document.encode().unwrap(), &text[..]);
        let newer = Document::decode(br#"{"version":2,"groups":{}}"#);
        assert!(newer.unwrap_err().contains("version 2"));
    }

    #[test]
    fn there_are_only_so_many_groups() {
        let mut document = Document::default();
        for number in 0..GROUPS_MAX {
            let group = Group(format!("g{number}"));
            assert!(document.merge(&group, &cursors(&[(0, 1)])).unwrap());
        }
        let known = Group("g0".into());
        assert!(document.merge(&known, &cursors(&[(0, 2)])).unwrap());
        let refused = document.merge(&Group("one more".into()), &cursors(&[(0, 1)]));
        assert!(matches!(refused, Err(Error::BadCommit(_))), "{refused:?}");
    }

    proptest! {
        #[test]
        fn fuzz_any_bytes_are_a_document_or_refused(bytes: Vec<u8>) {
            let _ = Document::decode(&bytes);
        }

        #[test]
        fn fuzz_merged_in_any_order_the_highest_stays_and_the_least_is_the_floor(
            commits in prop::collection::vec((0_usize..4, 0_u16..3, any::<u64>()), 1..30),
        ) {
            let merged = |commits: &mut dyn Iterator<Item = &(usize, u16, u64)>| {
                let mut document = Document::default();
                for (group, partition, next) in commits {
                    let group = Group(format!("g{group}"));
                    document.merge(&group, &cursors(&[(*partition, *next)])).unwrap();
                }
                document
            };
            let document = merged(&mut commits.iter());
            prop_assert_eq!(&document, &merged(&mut commits.iter().rev()));
            prop_assert_eq!(&Document::decode(&document.encode().unwrap()).unwrap(), &document);
            for partition in 0..3 {
                let highest = (0..4).filter_map(|group| {
                    let of = commits.iter().filter(|one| one.0 == group && one.1 == partition);
                    of.map(|one| one.2).max()
                });
                prop_assert_eq!(document.floor(Partition(partition)), highest.min().map(Offset));
            }
        }
    }
}
