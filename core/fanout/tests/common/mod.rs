//! What the tests share: consumers on one log, asked as one; and consumers that do what a test says.

#![allow(dead_code, unreachable_pub)]

pub mod fake;
#[path = "../../../consumer/tests/common/mod.rs"]
pub mod records;

use std::{sync::Arc, time::Duration};

use log_tracer_consumer::{Config as ConsumerConfig, Consumer};
use log_tracer_fanout::{Config, Endpoint, Fanout};
use log_tracer_proto::v1::{self, query_service_client::QueryServiceClient};
use log_tracer_transport::{Envelope, Transport};
use log_tracer_transport_channel::ChannelTransport;
use tonic::{Request, transport::Channel};

use records::{channel, log, soon};

pub type Client = QueryServiceClient<Channel>;

/// Consumers on one log, a fan-out over them, and one consumer that has everything.
pub struct Cluster {
    pub transport: Arc<ChannelTransport>,
    pub consumers: Vec<Consumer>,
    pub one: Consumer,
    pub fanout: Fanout,
    /// Asks all consumers as one.
    pub merged: Client,
    /// Asks the one that has everything.
    pub whole: Client,
}

pub fn consumer_config(name: &str, partitions: &[u16]) -> ConsumerConfig {
    ConsumerConfig {
        name: name.to_owned(),
        partitions: partitions.to_vec(),
        ..ConsumerConfig::default()
    }
}

pub fn endpoint(address: &str, channel: Channel) -> Endpoint {
    Endpoint {
        address: address.to_owned(),
        channel,
    }
}

/// A fan-out over consumers; it lives as long as its client is used.
pub fn asked_as_one(fakes: &[&fake::Fake], config: Config) -> (Fanout, Client) {
    let endpoints = fakes.iter().enumerate();
    let endpoints =
        endpoints.map(|(number, fake)| endpoint(&format!("http://f{number}"), fake.channel()));
    let fanout = Fanout::new(endpoints.collect(), config, log());
    let client = Client::new(fanout.connect());
    (fanout, client)
}

impl Cluster {
    /// Consumers with the partitions of each, of a log of so many.
    pub async fn start(partitions: u16, owned: &[&[u16]], config: Config) -> Self {
        let transport = channel(partitions);
        let mut consumers = Vec::new();
        for (number, owned) in owned.iter().enumerate() {
            let config = consumer_config(&format!("c{number}"), owned);
            let consumer = Consumer::start(config, Arc::clone(&transport) as _, log()).await;
            consumers.push(consumer.unwrap());
        }
        let config_of_one = consumer_config("one", &[]);
        let one = Consumer::start(config_of_one, Arc::clone(&transport) as _, log())
            .await
            .unwrap();
        let endpoints = consumers.iter().enumerate();
        let endpoints = endpoints.map(|(number, consumer)| {
            endpoint(&format!("http://c{number}"), consumer.connect_in_process())
        });
        let fanout = Fanout::new(endpoints.collect(), config, log());
        Self {
            merged: QueryServiceClient::new(fanout.connect()),
            whole: QueryServiceClient::new(one.connect_in_process()),
            transport,
            consumers,
            one,
            fanout,
        }
    }

    /// Publishes, and waits until all of it can be found everywhere.
    pub async fn write(&mut self, envelopes: Vec<Envelope>) {
        let acks = self.transport.publish(envelopes, soon()).await.unwrap();
        let positions: Vec<v1::Position> = acks
            .iter()
            .map(|ack| v1::Position {
                log_id: self.transport.log_id().to_string(),
                partition: u32::from(ack.partition.0),
                offset: ack.offset.0,
            })
            .collect();
        for client in [&mut self.merged, &mut self.whole] {
            let mut request = Request::new(v1::WaitForPositionRequest {
                positions: positions.clone(),
            });
            request.set_timeout(Duration::from_secs(10));
            client.wait_for_position(request).await.unwrap();
        }
    }
}

pub fn is_whole(coverage: Option<&v1::Coverage>) -> bool {
    coverage.is_some_and(|coverage| !coverage.partial && coverage.reasons.is_empty())
}

/// The spans and logs of an outline with their texts, sorted where they share a time; none when it is not found.
pub async fn outline(client: &mut Client, trace: u8) -> Option<Vec<String>> {
    let request = v1::GetTraceOutlineRequest {
        trace_id: records::trace_id(trace),
        span_query: "status:error".to_owned(),
        log_query: "severity:error".to_owned(),
        span_field: "db.system".to_owned(),
        ..v1::GetTraceOutlineRequest::default()
    };
    let mut pieces = match client.get_trace_outline(request).await {
        Ok(pieces) => pieces.into_inner(),
        Err(status) => {
            assert_eq!(status.code(), tonic::Code::NotFound, "{status}");
            return None;
        }
    };
    let (mut resources, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        resources.extend(piece.resources.into_iter().map(|it| it.service));
        names.extend(piece.names);
        values.extend(piece.values);
        let spans = piece.spans.unwrap_or_default();
        for at in 0..spans.names.len() {
            let value = spans.values[at]
                .checked_sub(1)
                .map(|it| &values[it as usize]);
            rows.push(format!(
                "{} span {:?} {:?} {} {} {} {:?} {} {} {}",
                spans.start_unix_nano[at],
                &spans.span_ids[8 * at..][..8],
                &spans.parent_span_ids[8 * at..][..8],
                spans.end_unix_nano[at],
                names[spans.names[at] as usize],
                resources[spans.resources[at] as usize],
                value,
                spans.kinds[at],
                spans.statuses[at],
                spans.matches[at],
            ));
        }
        let logs = piece.logs.unwrap_or_default();
        for at in 0..logs.resources.len() {
            rows.push(format!(
                "{} log {:?} {} {} {}",
                logs.time_unix_nano[at],
                &logs.span_ids[8 * at..][..8],
                resources[logs.resources[at] as usize],
                logs.severities[at],
                logs.matches[at],
            ));
        }
        if piece.coverage.is_some() {
            assert!(is_whole(piece.coverage.as_ref()));
            rows.sort();
            return Some(rows);
        }
    }
    panic!("the answer broke off");
}
