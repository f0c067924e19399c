//! The producers that the dashboard knows, asked how they are: nothing of a consumer or of the log tells what was refused.

use std::time::Duration;

use log_tracer_proto::v1::{
    ProducerStatusRequest, ProducerStatusResponse, producer_service_client::ProducerServiceClient,
};
use tokio::time::timeout;
use tonic::{Code, Request, Status, transport::Channel};

use crate::units::clip;

/// How long a producer may take to answer: the page does not wait for one that is away as long as for a query.
const DEADLINE: Duration = Duration::from_secs(2);

/// The largest answer, in bytes: some hundreds of refusals with a message of a kilobyte each.
const ANSWER_BYTES_MAX: usize = 2 << 20;

/// One producer.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) address: String,
    client: ProducerServiceClient<Channel>,
}

impl Link {
    pub(crate) fn new(address: String, channel: Channel) -> Self {
        Self {
            address,
            client: ProducerServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX),
        }
    }

    /// What it took in and what it refused; else why it does not say, in words for a person.
    pub(crate) async fn status(&self) -> Result<ProducerStatusResponse, String> {
        let mut client = self.client.clone();
        let mut request = Request::new(ProducerStatusRequest {});
        request.set_timeout(DEADLINE);
        match timeout(DEADLINE, client.producer_status(request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(why(&status)),
            Err(_elapsed) => Err(SLOW.to_owned()),
        }
    }
}

const SLOW: &str = "it does not answer in time";

fn why(status: &Status) -> String {
    match status.code() {
        // The transport's own words are about sockets.
        Code::Unavailable => "it cannot be reached".to_owned(),
        Code::DeadlineExceeded | Code::Cancelled => SLOW.to_owned(),
        Code::Unimplemented => {
            "what is at this address does not say: it is no producer, or an older one".to_owned()
        }
        _ => clip(status.message(), 200),
    }
}
