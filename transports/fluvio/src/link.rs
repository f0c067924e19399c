//! Connections to a cluster, each call with a deadline of its own.
//!
//! The controller is asked through the `fluvio` crate. With the SPUs we speak their protocol ourselves, by the crates
//! that `fluvio` is made of: its producer keeps an error until it is cleared and reconnects for ever, and its consumer
//! skips records (see the module's page). A connection that anything went wrong on is dropped, never repaired.

use std::{
    collections::HashMap,
    fmt::{self, Debug, Display},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fluvio::{
    Fluvio, FluvioAdmin, FluvioClusterConfig,
    config::{TlsConfig, TlsPaths, TlsPolicy},
    metadata::{partition::PartitionSpec, spu::SpuSpec},
};
use fluvio_future::net::DomainConnector;
use fluvio_protocol::{
    api::{Request, RequestMessage},
    link::ErrorCode,
    record::ReplicaKey,
};
use fluvio_socket::{AsyncResponse, ClientConfig, MultiplexerSocket, Versions};
use fluvio_spu_schema::{
    Isolation,
    fetch::{FetchPartition, FetchRequest, FetchableTopic},
    produce::{PartitionProduceData, ProduceRequest, TopicProduceData},
    server::{
        fetch_offset::FetchOffsetsRequest,
        stream_fetch::StreamFetchRequest,
        update_offset::{OffsetUpdate, UpdateOffsetsRequest},
    },
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    Config,
    error::Error,
    record::{self, Fetched, RecordBytes},
    wire,
};

/// What a client calls itself, for the logs of the cluster.
const CLIENT_ID: &str = "log-tracer";
/// Bytes of a request that looks where a partition ends: the header of a batch is enough.
const LOOK_BYTES: i32 = 64 << 10;
/// Responses of a stream that wait in memory: it sends the next one only when it was told to.
const STREAM_RESPONSES_MAX: usize = 2;

/// A stream of responses to one fetch.
pub(crate) type Stream = AsyncResponse<StreamFetchRequest<RecordBytes>>;
/// An answer to a produce request that has not come yet.
pub(crate) type Produced = AsyncResponse<ProduceRequest<RecordBytes>>;

/// How a cluster is reached.
pub(crate) struct Link {
    address: String,
    tls: TlsPolicy,
    timeout: Duration,
    /// The connection to the controller; made anew after an error.
    controller: tokio::sync::Mutex<Option<Arc<Fluvio>>>,
    /// Where the leaders were found last.
    leaders: Mutex<HashMap<(String, u16), Leader>>,
}

#[derive(Clone, Debug)]
struct Leader {
    address: String,
    /// Its key in the cluster, which its certificate is for.
    name: String,
}

/// Where a partition begins and ends, in the numbers of its SPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(config: &Config) -> Self {
        let tls = match &config.tls {
            None => TlsPolicy::Disabled,
            Some(tls) => TlsPolicy::Verified(TlsConfig::Files(TlsPaths {
                domain: tls.domain.clone(),
                key: tls.key.clone(),
                cert: tls.certificate.clone(),
                ca_cert: tls.ca_certificate.clone(),
            })),
        };
        Self {
            address: config.address.clone(),
            tls,
            timeout: config.request_timeout(),
            controller: tokio::sync::Mutex::default(),
            leaders: Mutex::default(),
        }
    }

    /// Asks the controller.
    pub(crate) async fn ask<T, F>(&self, request: impl FnOnce(FluvioAdmin) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let what = format!("the controller at {}", self.address);
        let asked = timeout(self.timeout, async {
            let fluvio = self.controller().await?;
            let admin = fluvio.admin().await;
            request(admin).await.map_err(|Refusal(reason)| Error::Io {
                what: what.clone(),
                reason,
            })
        });
        let answer = asked.await.unwrap_or_else(|_| {
            Err(Error::Timeout {
                what: what.clone(),
                after: self.timeout,
            })
        });
        if answer.is_err() {
            *self.controller.lock().await = None;
        }
        answer
    }

    async fn controller(&self) -> Result<Arc<Fluvio>, Error> {
        let mut held = self.controller.lock().await;
        if let Some(fluvio) = &*held {
            return Ok(Arc::clone(fluvio));
        }
        let mut cluster = FluvioClusterConfig::new(&self.address).with_tls(self.tls.clone());
        cluster.client_id = Some(CLIENT_ID.into());
        let failed = |Refusal(reason)| Error::Connect {
            what: format!("the controller at {}", self.address),
            reason,
        };
        let connector = self.connector().map_err(failed)?;
        let fluvio = Fluvio::connect_with_connector(connector, &cluster).await;
        let fluvio = fluvio.map_err(Refusal::from).map_err(failed)?;
        let fluvio = Arc::new(fluvio);
        *held = Some(Arc::clone(&fluvio));
        Ok(fluvio)
    }

    /// What makes connections; the certificates are read anew for each.
    fn connector(&self) -> Result<DomainConnector, Refusal> {
        match &self.tls {
            TlsPolicy::Disabled => Ok(Box::new(wire::Plain)),
            tls => Ok(tls.clone().try_into()?),
        }
    }

    /// A connection to the SPU that leads a partition.
    pub(crate) async fn connect(&self, topic: &str, partition: u16) -> Result<Connection, Error> {
        let leader = self.leader(topic, partition).await?;
        let connected = self.connect_to(&leader, topic, partition).await;
        if connected.is_err() {
            self.forget_leader(topic, partition);
        }
        connected
    }

    /// Called when an SPU says that it does not lead a partition.
    pub(crate) fn forget_leader(&self, topic: &str, partition: u16) {
        self.leaders().remove(&(topic.to_owned(), partition));
    }

    /// Lets go of the connection to the controller.
    pub(crate) async fn close(&self) {
        *self.controller.lock().await = None;
    }

    async fn connect_to(
        &self,
        leader: &Leader,
        topic: &str,
        partition: u16,
    ) -> Result<Connection, Error> {
        let what = format!("{} at {}", leader.name, leader.address);
        let failed = |reason: String| Error::Connect {
            what: what.clone(),
            reason,
        };
        let connector = self.connector();
        let connector = connector.map_err(|Refusal(reason)| failed(reason))?;
        let mut client = ClientConfig::new("", connector, false);
        if let TlsPolicy::Verified(_) = self.tls {
            client = client.with_prefix_sni_domain(&leader.name);
        }
        client.set_addr(leader.address.clone());
        client.set_client_id(CLIENT_ID);
        let socket = timeout(self.timeout, client.connect())
            .await
            .map_err(|_| Error::Timeout {
                what: what.clone(),
                after: self.timeout,
            })?
            .map_err(|error| failed(error.to_string()))?;
        let (socket, _, versions) = socket.split();
        Ok(Connection {
            socket: MultiplexerSocket::new(socket),
            versions,
            what,
            topic: topic.to_owned(),
            partition,
            timeout: self.timeout,
        })
    }

    async fn leader(&self, topic: &str, partition: u16) -> Result<Leader, Error> {
        let key = (topic.to_owned(), partition);
        if let Some(leader) = self.leaders().get(&key) {
            return Ok(leader.clone());
        }
        let (partitions, spus) = self
            .ask(|admin| async move {
                let partitions = admin.all::<PartitionSpec>().await?;
                Ok((partitions, admin.all::<SpuSpec>().await?))
            })
            .await?;
        let wanted = ReplicaKey::new(topic, u32::from(partition)).to_string();
        let no_leader = || Error::NoLeader {
            topic: topic.to_owned(),
            partition,
        };
        let partition = partitions.iter().find(|known| known.name == wanted);
        let id = partition.ok_or_else(no_leader)?.spec.leader;
        let spu = spus.iter().find(|spu| spu.spec.id == id);
        let spu = spu.ok_or_else(no_leader)?;
        let leader = Leader {
            address: spu.spec.public_endpoint.addr(),
            name: spu.name.clone(),
        };
        self.leaders().insert(key, leader.clone());
        Ok(leader)
    }

    /// A panic of another thread leaves nothing half-done in here.
    fn leaders(&self) -> std::sync::MutexGuard<'_, HashMap<(String, u16), Leader>> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the controller answered, or why it did not: in words, as the errors of the `fluvio` crate are of yet another crate.
#[derive(Debug)]
pub(crate) struct Refusal(String);

impl<E: Display> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(format!("{error:#}"))
    }
}

/// A connection to the SPU of one partition.
pub(crate) struct Connection {
    socket: MultiplexerSocket,
    versions: Versions,
    /// Who it is to, for errors.
    pub(crate) what: String,
    topic: String,
    partition: u16,
    timeout: Duration,
}

impl Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("what", &self.what)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Whether the other side has hung up.
    pub(crate) fn is_stale(&self) -> bool {
        self.socket.is_stale()
    }

    /// Sends a batch; the answer comes later.
    pub(crate) async fn produce(
        &self,
        batch: RecordBytes,
        isolation: Isolation,
    ) -> Result<Produced, Error> {
        let request = ProduceRequest {
            isolation,
            timeout: self.timeout,
            topics: vec![TopicProduceData {
                name: self.topic.clone(),
                partitions: vec![PartitionProduceData {
                    partition_index: u32::from(self.partition),
                    records: batch,
                }],
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        };
        self.send(request, 1).await
    }

    /// The offset of the first record of a batch that was sent.
    pub(crate) async fn produced(
        &self,
        answer: &mut Produced,
        deadline: Instant,
    ) -> Result<u64, Error> {
        let answer = timeout_at(deadline, answer)
            .await
            .map_err(|_| self.timed_out())?;
        let answer = self.io(answer)?;
        let partition = answer.find_partition_response(&self.topic, u32::from(self.partition));
        let Some(partition) = partition else {
            return Err(self.broken("it answers for another partition"));
        };
        self.code(partition.error_code.clone())?;
        u64::try_from(partition.base_offset).map_err(|_| {
            self.broken(&format!(
                "it stored a batch at the offset {}",
                partition.base_offset
            ))
        })
    }

    /// Opens a stream of what is there from an offset on, and then of what comes.
    pub(crate) async fn follow(
        &self,
        offset: u64,
        bytes_max: i32,
        isolation: Isolation,
    ) -> Result<Stream, Error> {
        let mut request = StreamFetchRequest::default();
        request.topic.clone_from(&self.topic);
        request.partition = u32::from(self.partition);
        request.fetch_offset = self.offset(offset)?;
        request.max_bytes = bytes_max;
        request.isolation = isolation;
        self.send(request, STREAM_RESPONSES_MAX).await
    }

    /// Tells a stream that everything before an offset has arrived, so that it sends what follows.
    pub(crate) async fn arrived(&self, stream_id: u32, upto: u64) -> Result<(), Error> {
        let update = UpdateOffsetsRequest::new(vec![OffsetUpdate {
            offset: self.offset(upto)?,
            session_id: stream_id,
        }]);
        let answer = self.call(update).await?;
        let status = answer.status.into_iter().map(|status| status.error);
        match status.into_iter().find(|error| *error != ErrorCode::None) {
            Some(error) => self.code(error),
            None => Ok(()),
        }
    }

    /// What is stored from an offset on, as far as it fits.
    pub(crate) async fn fetch(
        &self,
        offset: u64,
        bytes_max: i32,
        isolation: Isolation,
    ) -> Result<Fetched, Error> {
        let request = FetchRequest::<RecordBytes> {
            max_bytes: bytes_max,
            isolation_level: isolation,
            topics: vec![FetchableTopic {
                name: self.topic.clone(),
                fetch_partitions: vec![FetchPartition {
                    partition_index: u32::from(self.partition),
                    fetch_offset: self.offset(offset)?,
                    max_bytes: bytes_max,
                    ..FetchPartition::default()
                }],
            }],
            ..FetchRequest::default()
        };
        let answer = self.call(request).await?;
        let partition = answer.find_partition(&self.topic, u32::from(self.partition));
        let Some(partition) = partition else {
            return Err(self.broken("it answers for another partition"));
        };
        self.code(partition.error_code)?;
        let mut fetched = Fetched::default();
        record::decode(&partition.records.0, &mut fetched)
            .map_err(|(at, reason)| self.broken(&format!("offset {at}: {reason}")))?;
        Ok(fetched)
    }

    /// Where the partition begins and ends.
    ///
    /// The SPU says how far the partition is committed, but writes that down late: after it was killed, it says less
    /// than what it has until something is written. Where nothing waits for copies, everything that it has is committed,
    /// and so the rest is looked at.
    pub(crate) async fn bounds(&self, isolation: Isolation) -> Result<Bounds, Error> {
        let request = FetchOffsetsRequest::new(self.topic.clone(), u32::from(self.partition));
        let answer = self.call(request).await?;
        let key = ReplicaKey::new(self.topic.clone(), u32::from(self.partition));
        let Some(partition) = answer.find_partition(&key) else {
            return Err(self.broken("it answers for another partition"));
        };
        self.code(partition.error_code)?;
        let numbers = (
            u64::try_from(partition.start_offset),
            u64::try_from(partition.last_stable_offset),
        );
        let (Ok(start), Ok(committed)) = numbers else {
            return Err(self.broken("it gives a negative offset"));
        };
        let end = committed.max(start);
        match isolation {
            Isolation::ReadCommitted => Ok(Bounds { start, end }),
            Isolation::ReadUncommitted => Ok(Bounds {
                start,
                end: self.look_beyond(end).await?,
            }),
        }
    }

    /// Where what is stored ends, from an offset on.
    async fn look_beyond(&self, mut end: u64) -> Result<u64, Error> {
        loop {
            let rest = self
                .fetch(end, LOOK_BYTES, Isolation::ReadUncommitted)
                .await?;
            let last = rest.records.last().map(|last| last.offset + 1);
            match rest.cut.and_then(|cut| cut.end).or(last) {
                Some(further) if further > end => end = further,
                _ => return Ok(end),
            }
        }
    }

    async fn call<R: Request + Send + Sync>(&self, request: R) -> Result<R::Response, Error> {
        let mut answer = self.send(request, 1).await?;
        let answer = self.within(&mut answer).await?;
        self.io(answer)
    }

    async fn send<R: Request + Send + Sync>(
        &self,
        request: R,
        responses_max: usize,
    ) -> Result<AsyncResponse<R>, Error> {
        let version = self.versions.lookup_version::<R>();
        let version = version.ok_or_else(|| Error::Version {
            what: self.what.clone(),
            request: std::any::type_name::<R>(),
        })?;
        if self.is_stale() {
            return Err(self.broken("the connection was closed"));
        }
        let mut message = RequestMessage::new_request(request);
        message.get_mut_header().set_client_id(CLIENT_ID);
        message.get_mut_header().set_api_version(version);
        let sent = self
            .within(self.socket.create_stream(message, responses_max))
            .await?;
        self.io(sent)
    }

    async fn within<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        timeout(self.timeout, future)
            .await
            .map_err(|_| self.timed_out())
    }

    /// When a request that is sent now is given up.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    fn timed_out(&self) -> Error {
        Error::Timeout {
            what: self.what.clone(),
            after: self.timeout,
        }
    }

    fn io<T, E: Display>(&self, result: Result<T, E>) -> Result<T, Error> {
        result.map_err(|error| self.broken(&error.to_string()))
    }

    /// An answer other than what was asked for.
    pub(crate) fn code(&self, code: ErrorCode) -> Result<(), Error> {
        match code {
            ErrorCode::None => Ok(()),
            code => Err(Error::Answer {
                what: self.what.clone(),
                code,
            }),
        }
    }

    pub(crate) fn broken(&self, reason: &str) -> Error {
        Error::Io {
            what: self.what.clone(),
            reason: reason.to_owned(),
        }
    }

    fn offset(&self, offset: u64) -> Result<i64, Error> {
        i64::try_from(offset).map_err(|_| {
            Error::Invalid(format!(
                "offset {offset} is beyond what Fluvio has, {}",
                i64::MAX
            ))
        })
    }
}
