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
