//! From the bytes of a request to the envelopes that a transport stores. No sockets, no waiting, no transport: the same
//! bytes always give the same envelopes.
//!
//! 1. Decompress, up to the limit.
//! 2. Walk once over the protobuf where it lies ([`Request::check`](log_tracer_record::wire::Request::check)): is it well
//!    formed, how many records are there, which spans are invalid, do all records go to one partition, and how large would
//!    it be if it were decoded. What is not in protobuf is first turned into it; protobuf that is not in the plain form
//!    that encoders write is decoded and written again. What cannot be decoded is refused whole.
//! 3. Identify the batch, see [`batch_id`].
//! 4. A request that goes to one partition in one piece keeps the client's own bytes. Any other is cut into one part for
//!    each partition, and into more where an envelope would become too large, by copying ranges of bytes. The spans that
//!    OTLP calls invalid are left out, and so is a record that is too large alone; log records with invalid ids are kept,
//!    without a trace.

mod export;
mod footprint;
mod json_footprint;

use std::{collections::BTreeMap, fmt::Display, num::NonZeroU16};

use bytes::Bytes;
use log_tracer_proto::{
    json::{self, JsonError},
    v1::SubmitRequest,
};
use log_tracer_record::{
    Rejected,
    otlp::collector_logs::ExportLogsServiceRequest,
    split::{self, Split},
    submit,
    wire::{Logs, Request as Checked, Spans},
};
use log_tracer_transport::{BatchId, Capabilities, Envelope, Kind, Part, Partition};
use prost::Message;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

use crate::{Encoding, Memory, NoRoom, Reason, Refusal};
use export::{Export, Routes, partition_of};
use footprint::Footprint;

/// What a request carries, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// An OTLP export of spans in protobuf.
    Traces,
    /// An OTLP export of spans in JSON.
    TracesJson,
    /// An OTLP export of log records in protobuf.
    Logs,
    /// An OTLP export of log records in JSON.
    LogsJson,
    /// A LogService request.
    Submit,
}

impl Content {
    /// Whether it carries spans; otherwise log records.
    #[must_use]
    pub fn is_trace(self) -> bool {
        matches!(self, Self::Traces | Self::TracesJson)
    }
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it carries.
    pub content: Content,
    /// How its bytes are compressed.
    pub encoding: Encoding,
    /// Its bytes.
    pub bytes: Bytes,
    /// What the client calls this request, so that a retry of it is recognised.
    pub idempotency_key: Option<Bytes>,
    /// When it came, nanoseconds since 1970-01-01T00:00:00Z.
    pub received_unix_nano: u64,
}

/// What does not change from request to request.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Partitions of the transport.
    pub partitions: NonZeroU16,
    /// The largest payload of an envelope in bytes.
    pub payload_bytes_max: usize,
    /// The largest request in bytes, also after decompression.
    pub request_bytes_max: usize,
}

impl Rules {
    /// The rules for a transport.
    #[must_use]
    pub fn new(
        partitions: NonZeroU16,
        capabilities: &Capabilities,
        request_bytes_max: usize,
    ) -> Self {
        let envelope = capabilities.envelope_bytes_max;
        Self {
            partitions,
            payload_bytes_max: envelope.saturating_sub(Envelope::HEADER_BYTES),
            request_bytes_max,
        }
    }
}

/// What is to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// In the order of their partitions; none when there is nothing to store.
    pub envelopes: Vec<Envelope>,
    /// Records in the envelopes.
    pub accepted: u64,
    /// Records that were left out.
    pub rejected: Rejected,
    /// How many of them are larger than an envelope.
    pub too_large: u64,
    /// Bytes of the request after decompression.
    pub decompressed_bytes: usize,
}

impl Prepared {
    fn payload_bytes(&self) -> usize {
        let payloads = self.envelopes.iter().map(|envelope| envelope.payload.len());
        payloads.sum()
    }
}

/// How much memory [`prepare`] will probably ask for. Less is found out on the way; for more, there may be room or not.
#[must_use]
pub fn expected_memory_bytes(request: &Request, rules: &Rules) -> usize {
    /// What an ordinary request becomes, in multiples of its bytes: protobuf is copied at most, and everything else is
    /// structs before it is protobuf.
    const COPY: usize = 2;
    const STRUCTS: usize = 7;
    let growth = match request.content {
        Content::Traces | Content::Logs => COPY,
        Content::TracesJson | Content::LogsJson | Content::Submit => STRUCTS,
    };
    let len = request
        .encoding
        .expected_len(&request.bytes, rules.request_bytes_max);
    let decompressed = match request.encoding {
        Encoding::Identity => 0,
        _ => len,
    };
    decompressed.saturating_add(len.saturating_mul(growth))
}

/// Turns a request into envelopes. `memory` pays for everything but the request's own bytes, and in the end for what
/// the result holds.
///
/// # Errors
/// When nothing of the request can be stored: it is too large, cannot be decoded, or there is no memory for it.
pub fn prepare(
    request: &Request,
    rules: &Rules,
    memory: &mut dyn Memory,
) -> Result<Prepared, Refusal> {
    let bytes = match request.encoding {
        Encoding::Identity => request.bytes.clone(),
        encoding => encoding
            .decompress(&request.bytes, rules.request_bytes_max, memory)?
            .into(),
    };
    if bytes.len() > rules.request_bytes_max {
        return Err(too_large(rules.request_bytes_max));
    }
    let step = Step {
        request,
        rules,
        bytes: &bytes,
    };
    let prepared = match request.content {
        Content::Traces => step.protobuf::<Spans>(memory),
        Content::Logs => step.protobuf::<Logs>(memory),
        Content::TracesJson => step.json::<Spans>(memory, json::decode_traces),
        Content::LogsJson => step.json::<Logs>(memory, json::decode_logs),
        Content::Submit => step.submit(memory),
    }?;
    // Everything but the payloads is gone.
    memory.resize(prepared.payload_bytes())?;
    Ok(prepared)
}

/// Identifies the batch of a request.
///
/// With an idempotency key: the hash of its bytes, seeded with the key, so that the same key with the same content is
/// one batch, and a key that is used twice by mistake loses nothing. Without one, if every record carries a time of its
/// own: the hash of its bytes, since no two events are then the same. Otherwise a random number: two equal requests are
/// two.
#[must_use]
pub fn batch_id(bytes: &[u8], idempotency_key: Option<&[u8]>, is_timed: bool) -> BatchId {
    BatchId(match idempotency_key {
        Some(key) if !key.is_empty() => xxh3_128_with_seed(bytes, xxh3_64(key)),
        _ if is_timed => xxh3_128(bytes),
        _ => rand::random(),
    })
}

pub(crate) fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(
        Reason::TooLarge,
        format!("the request is larger than {bytes_max} bytes, the limit"),
    )
}

/// A request whose bytes are decompressed.
struct Step<'a> {
    request: &'a Request,
    rules: &'a Rules,
    bytes: &'a Bytes,
}

impl Step<'_> {
    fn protobuf<S: Export>(&self, memory: &mut dyn Memory) -> Result<Prepared, Refusal> {
        let batch = |is_timed| self.batch_id(None, is_timed);
        if let Some(prepared) = self.envelopes::<S>(self.bytes, 0, memory, batch)? {
            return Ok(prepared);
        }
        // Not plain: prost refuses it and says why, or reads it, and what it writes is plain.
        let footprint = self.footprint_of::<S>(self.bytes);
        self.pay(memory, footprint.total())?;
        let message = S::Message::decode(self.bytes.clone()).map_err(malformed)?;
        self.message::<S>(message, footprint.structs, memory, batch)
    }

    fn json<S: Export>(
        &self,
        memory: &mut dyn Memory,
        decode: impl FnOnce(&[u8]) -> Result<S::Message, JsonError>,
    ) -> Result<Prepared, Refusal> {
        let decoded = json_footprint::of_json(self.bytes);
        self.pay(memory, decoded)?;
        let message = decode(self.bytes).map_err(|error| malformed(&error).at(error.path))?;
        let batch = |is_timed| self.batch_id(None, is_timed);
        self.message::<S>(message, decoded, memory, batch)
    }

    fn submit(&self, memory: &mut dyn Memory) -> Result<Prepared, Refusal> {
        let decoded = footprint::of_submit(self.bytes);
        self.pay(memory, decoded)?;
        let submitted = SubmitRequest::decode(self.bytes.clone()).map_err(malformed)?;
        let key = submitted.idempotency_key.as_bytes();
        let batch = self.batch_id(Some(key), submit::every_entry_has_a_time(&submitted));
        let resource_logs =
            submit::resource_logs(submitted.entries, self.request.received_unix_nano).map_err(
                |error| {
                    let field = format!("entries[{}].{}", error.entry, error.field);
                    Refusal::new(Reason::Malformed, error.to_string()).at(field)
                },
            )?;
        let message = ExportLogsServiceRequest { resource_logs };
        let prepared = self.message::<Logs>(message, decoded, memory, |_| batch)?;
        // All of the entries or none.
        if !prepared.rejected.is_empty() {
            let message = prepared.rejected.to_string();
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        Ok(prepared)
    }

    /// Goes on with a request that was decoded, whose structs take `decoded` bytes: writes it in protobuf.
    fn message<S: Export>(
        &self,
        message: S::Message,
        decoded: usize,
        memory: &mut dyn Memory,
        batch: impl FnOnce(bool) -> BatchId,
    ) -> Result<Prepared, Refusal> {
        let len = message.encoded_len();
        self.pay(memory, decoded.saturating_add(len))?;
        let bytes = Bytes::from(message.encode_to_vec());
        drop(message);
        let prepared = self.envelopes::<S>(&bytes, len, memory, batch)?;
        prepared.ok_or_else(|| {
            // Protobuf that prost wrote is plain unless it is nested too deeply for prost to read it again.
            malformed("values are nested too deeply: at most 100 messages in each other are read")
        })
    }

    fn footprint_of<S: Export>(&self, protobuf: &[u8]) -> Footprint {
        footprint::of_export(
            protobuf,
            S::KIND == Kind::Traces,
            usize::from(self.rules.partitions.get()),
            self.rules.payload_bytes_max,
        )
    }

    /// Takes memory for what the request becomes, besides its decompressed bytes.
    fn pay(&self, memory: &mut dyn Memory, bytes: usize) -> Result<(), Refusal> {
        Ok(memory.resize(self.decompressed_bytes().saturating_add(bytes))?)
    }

    fn decompressed_bytes(&self) -> usize {
        match self.request.encoding {
            Encoding::Identity => 0,
            _ => self.bytes.len(),
        }
    }

    fn batch_id(&self, own_key: Option<&[u8]>, is_timed: bool) -> BatchId {
        let own_key = own_key.filter(|key| !key.is_empty());
        let key = own_key.or(self.request.idempotency_key.as_deref());
        batch_id(self.bytes, key, is_timed)
    }

    /// The envelopes of a request in protobuf, as the client wrote it or as we did, with `held` bytes that were paid for;
    /// `None` when it is not plain.
    fn envelopes<S: Export>(
        &self,
        bytes: &Bytes,
        held: usize,
        memory: &mut dyn Memory,
        batch: impl FnOnce(bool) -> BatchId,
    ) -> Result<Option<Prepared>, Refusal> {
        let mut routes = Routes::new(self.rules.partitions);
        let Ok(request) = Checked::<S>::check_with(bytes, |key| routes.see(key)) else {
            return Ok(None);
        };
        self.admit(&request, memory)?;
        let split = self.split(&request, &routes, bytes, held, memory)?;
        let too_large = split.rejected.count;
        let mut rejected = request.rejected().clone();
        rejected.merge(split.rejected);

        let batch = batch(request.every_record_has_a_time());
        let mut numbers = PartNumbers::new(split.parts.iter().map(|part| part.partition))?;
        let mut accepted = 0;
        let envelopes = split.parts.into_iter().map(|part| {
            accepted += u64::from(part.records);
            Envelope {
                partition: Partition(part.partition),
                kind: S::KIND,
                batch,
                part: numbers.next(part.partition),
                records: part.records,
                received_unix_nano: self.request.received_unix_nano,
                payload: part.payload,
                is_checked: true,
            }
        });
        Ok(Some(Prepared {
            envelopes: envelopes.collect(),
            accepted,
            rejected,
            too_large,
            decompressed_bytes: self.bytes.len(),
        }))
    }

    /// Refuses what could never be decoded within the memory for requests. It is not decoded here, but by those who read
    /// records whole: what a producer takes in must not be too large for them.
    fn admit<S: Export>(
        &self,
        request: &Checked<'_, S>,
        memory: &dyn Memory,
    ) -> Result<(), Refusal> {
        let bytes = self
            .decompressed_bytes()
            .saturating_add(request.decoded_bytes())
            .saturating_add(request.bytes().len());
        let max = memory.bytes_max();
        if bytes > max {
            return Err(NoRoom::Never { bytes, max }.into());
        }
        Ok(())
    }

    /// The parts of a request: itself where one partition takes all of it, or ranges of it copied together.
    fn split<S: Export>(
        &self,
        request: &Checked<'_, S>,
        routes: &Routes,
        bytes: &Bytes,
        held: usize,
        memory: &mut dyn Memory,
    ) -> Result<Split, Refusal> {
        let Rules {
            partitions,
            payload_bytes_max,
            ..
        } = *self.rules;
        let is_whole = request.rejected().is_empty() && bytes.len() <= payload_bytes_max;
        if let Some(partition) = routes.only().filter(|_| is_whole) {
            let part = split::Part {
                partition,
                records: u32::try_from(request.records()).unwrap_or(u32::MAX),
                payload: bytes.clone(),
            };
            return Ok(Split {
                parts: vec![part],
                rejected: Rejected::default(),
            });
        }
        let lists = split::CUT_BYTES_PER_RECORD.saturating_mul(request.records());
        let cut = self.footprint_of::<S>(bytes).split().saturating_add(lists);
        self.pay(memory, held.saturating_add(cut))?;
        Ok(split::cut(request, payload_bytes_max, |key| {
            partition_of(key, partitions)
        }))
    }
}

fn malformed(error: impl Display) -> Refusal {
    Refusal::new(Reason::Malformed, error.to_string())
}

/// Numbers the parts of a batch within their partition, since what goes to one partition is a batch.
struct PartNumbers(BTreeMap<u16, Part>);

impl PartNumbers {
    fn new(partitions: impl Iterator<Item = u16>) -> Result<Self, Refusal> {
        let mut numbers: BTreeMap<u16, Part> = BTreeMap::new();
        for partition in partitions {
            let part = numbers
                .entry(partition)
                .or_insert(Part { index: 0, count: 0 });
            part.count = part.count.checked_add(1).ok_or_else(|| {
                Refusal::new(
                    Reason::TooLarge,
                    format!(
                        "the request makes more than {} envelopes in one partition: send it in parts",
                        u16::MAX
                    ),
                )
            })?;
        }
        Ok(Self(numbers))
    }

    fn next(&mut self, partition: u16) -> Part {
        match self.0.get_mut(&partition) {
            Some(next) => {
                let part = *next;
                next.index = next.index.saturating_add(1);
                part
            }
            None => Part::WHOLE,
        }
    }
}
