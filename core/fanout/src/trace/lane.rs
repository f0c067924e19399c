//! What one set of replicas answers of a trace, piece by piece; another member goes on where one broke off.

use std::{collections::HashMap, time::Duration};

use log_tracer_proto::v1::{GetTraceRequest, GetTraceResponse};
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status, Streaming};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    fan::{Client, Fan},
    merge::covering::Covering,
    peer::{Kind, why},
    view::View,
};

/// Whether a consumer has something of a trace.
#[derive(Debug)]
pub(super) enum Found {
    Yes(Box<Opened>),
    /// As it said it.
    No(String),
}

/// An answer of which the first piece is there.
#[derive(Debug)]
pub(super) struct Opened {
    first: Option<GetTraceResponse>,
    rest: Streaming<GetTraceResponse>,
}

/// The question to one consumer.
pub(super) fn find_at(
    request: &GetTraceRequest,
) -> impl Fn(Client, Duration) -> std::pin::Pin<Box<dyn Future<Output = Result<Found, Status>> + Send>>
+ use<> {
    let message = request.clone();
    move |mut client, timeout| {
        let mut request = Request::new(message.clone());
        request.set_timeout(timeout);
        Box::pin(async move {
            let opened = match client.get_trace(request).await {
                Ok(answer) => {
                    let mut rest = answer.into_inner();
                    rest.message().await.map(|first| Opened { first, rest })
                }
                Err(status) => Err(status),
            };
            match opened {
                Ok(opened) if opened.first.is_none() => Err(Status::data_loss(
                    "its answer broke off before its first piece",
                )),
                Ok(opened) => Ok(Found::Yes(Box::new(opened))),
                Err(status) if status.code() == Code::NotFound => {
                    Ok(Found::No(status.message().to_owned()))
                }
                Err(status) => Err(status),
            }
        })
    }
}

/// The pieces of one set.
#[derive(Debug)]
pub(super) struct Lane {
    member: usize,
    label: String,
    /// Replicas that were not asked yet.
    others: Vec<usize>,
    opened: Opened,
    /// How often each record was passed on, when a replica may have to go on; by a hash of all of it.
    passed: HashMap<u128, u32>,
    /// How often the replica that goes on has sent each record.
    again: Option<HashMap<u128, u32>>,
}

/// The next of a lane.
#[derive(Debug)]
pub(super) enum Step {
    Piece(GetTraceResponse),
    /// With its coverage, which is accounted for.
    Last(GetTraceResponse),
    /// It broke off, and nobody goes on; that is accounted for.
    Lost,
}

/// What all lanes of an answer need.
pub(super) struct Asking<'a> {
    pub(super) fan: &'a Fan,
    pub(super) view: &'a View,
    pub(super) request: &'a GetTraceRequest,
    pub(super) deadline: Instant,
}

impl Lane {
    pub(super) fn new(member: usize, label: String, others: Vec<usize>, opened: Opened) -> Self {
        Self {
            member,
            label,
            others,
            opened,
            passed: HashMap::new(),
            again: None,
        }
    }

    pub(super) async fn step(&mut self, asking: &Asking<'_>, covering: &mut Covering) -> Step {
        loop {
            let read = match self.opened.first.take() {
                Some(first) => Ok(Some(first)),
                None => timeout_at(asking.deadline, self.opened.rest.message())
                    .await
                    .unwrap_or_else(|_| {
                        Err(Status::deadline_exceeded("no answer before the deadline"))
                    }),
            };
            let broken = match read {
                Ok(Some(mut piece)) => {
                    self.filter(&mut piece);
                    let Some(coverage) = piece.coverage.take() else {
                        return Step::Piece(piece);
                    };
                    covering.add(&self.label, Some(coverage));
                    return Step::Last(piece);
                }
                Ok(None) => Status::unavailable("its answer broke off before its end"),
                Err(status) => status,
            };
            asking.fan.note_failure(self.member, &broken);
            if !self.go_on(asking).await {
                covering.miss(format!("{}: {}", self.label, why(&broken)));
                return Step::Lost;
            }
        }
    }

    /// Asks the replicas. False when none of them goes on.
    async fn go_on(&mut self, asking: &Asking<'_>) -> bool {
        let ask = find_at(asking.request);
        let answered = asking
            .fan
            .ask(asking.view, &self.others, Kind::Trace, asking.deadline, ask)
            .await;
        let Ok(answer) = answered else {
            return false;
        };
        let Found::Yes(opened) = answer.body else {
            return false;
        };
        self.others.retain(|one| *one != answer.member);
        (self.member, self.label) = (answer.member, answer.label);
        self.opened = *opened;
        self.again = Some(HashMap::new());
        true
    }

    /// Takes out of a piece what was passed on already, and notes the rest.
    fn filter(&mut self, piece: &mut GetTraceResponse) {
        // Without a replica nothing has to be remembered.
        if self.others.is_empty() && self.again.is_none() {
            return;
        }
        let (passed, again) = (&mut self.passed, &mut self.again);
        let mut is_new = |hash: u128| {
            let before = passed.entry(hash).or_default();
            if let Some(again) = again {
                let count = again.entry(hash).or_default();
                *count += 1;
                if *count <= *before {
                    return false;
                }
            }
            *before += 1;
            true
        };
        for resource in &mut piece.resource_spans {
            let of = resource.resource.as_ref().map(Message::encode_to_vec);
            for scope in &mut resource.scope_spans {
                scope.spans.retain(|span| is_new(hash(of.as_deref(), span)));
            }
            resource.scope_spans.retain(|scope| !scope.spans.is_empty());
        }
        piece.resource_spans.retain(|it| !it.scope_spans.is_empty());
        for resource in &mut piece.resource_logs {
            let of = resource.resource.as_ref().map(Message::encode_to_vec);
            for scope in &mut resource.scope_logs {
                let records = &mut scope.log_records;
                records.retain(|record| is_new(hash(of.as_deref(), record)));
            }
            resource.scope_logs.retain(|it| !it.log_records.is_empty());
        }
        piece.resource_logs.retain(|it| !it.scope_logs.is_empty());
    }
}

/// A record with its resource.
pub(super) fn hash(resource: Option<&[u8]>, record: &impl Message) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(resource.unwrap_or_default());
    hasher.update(&record.encode_to_vec());
    hasher.digest128()
}
