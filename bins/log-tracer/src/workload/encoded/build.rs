//! From traces to templates: requests are made with the generated types, encoded, and then searched for what is patched.

use std::{collections::HashMap, ops::Range};

use bytes::Bytes;
use log_tracer_proto::otlp::{
    common::{KeyValue, any_value::Value},
    resource::Resource,
};
use memchr::memmem;
use prost::Message;

use super::{
    Corpus, Patch, Piece, RUN_ATTRIBUTE, Shape, Signal, Template, What, offset, run_of, wire,
};
use crate::workload::{Service, Shop, Traffic, attribute};

/// Traces in the pool at least: their shapes come back every so many traces.
const TRACES_MIN: usize = 1_024;

/// When the traces of the pool start, in nanoseconds. Not 0: protobuf leaves a field of 0 out, and there would be no
/// place for another time.
const POOL_START: u64 = 1;

/// Why there are no templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CorpusError {
    /// A request is over 4 GiB.
    #[error("a request of so many records is too large: choose a smaller --batch")]
    TooLarge,
    /// The encoded request does not hold what was put into it.
    #[error("a request does not hold what was put into it: a fault of the load generator")]
    Torn,
}

/// A trace of the pool.
struct Trace {
    traffic: Traffic,
    order: Option<Word>,
    session: Option<Word>,
    numbers: HashMap<Bytes, u32>,
}

/// A text that stands in a trace, and where its digits begin.
struct Word(String);

impl Trace {
    fn new(traffic: Traffic) -> Self {
        let value_of = |key: &str| {
            let spans = traffic.spans.iter();
            let mut attributes = spans.flat_map(|(_, span)| &span.attributes);
            attributes.find_map(|attribute| text_of(attribute, key))
        };
        let (order, session) = (value_of("app.order.id"), value_of("session.id"));
        let numbers = (0..)
            .zip(&traffic.spans)
            .map(|(number, (_, span))| (span.span_id.clone(), number));
        Self {
            order,
            session,
            numbers: numbers.collect(),
            traffic,
        }
    }
}

fn text_of(attribute: &KeyValue, key: &str) -> Option<Word> {
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) if attribute.key == key => Some(Word(text.clone())),
        _ => None,
    }
}

impl Corpus {
    /// Makes the pool and cuts it into requests.
    ///
    /// # Errors
    /// When a request would be too large.
    pub(crate) fn new(shape: Shape) -> Result<Self, CorpusError> {
        let pool = pool(shape);
        let mut templates = Vec::new();
        for signal in Signal::ALL {
            let is_wanted = match signal {
                Signal::Spans => shape.spans,
                Signal::Logs => shape.logs,
            };
            if is_wanted {
                templates.extend(templates_of(&pool, signal, shape)?);
            }
        }
        // Spans and logs side by side, as the traces follow each other.
        templates.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Ok(Self {
            seed: shape.seed,
            traces: pool
                .iter()
                .map(|trace| trace.traffic.end_unix_nano().saturating_sub(POOL_START))
                .collect(),
            templates: templates
                .into_iter()
                .map(|(_, template)| template)
                .collect(),
        })
    }
}

/// Enough traces for two requests of each kind.
fn pool(shape: Shape) -> Vec<Trace> {
    let mut shop = Shop::new(shape.seed);
    let mut pool = Vec::new();
    let (mut spans, mut logs) = (0, 0);
    let enough = shape.batch.saturating_mul(2);
    while pool.len() < TRACES_MIN
        || (shape.spans && spans < enough)
        || (shape.logs && logs < enough)
    {
        let trace = Trace::new(shop.next_trace(POOL_START));
        spans += trace.traffic.spans.len();
        logs += trace.traffic.logs.len();
        pool.push(trace);
    }
    pool
}

/// A record that goes into a request.
#[derive(Clone, Copy)]
struct Item {
    service: Service,
    trace: usize,
    record: usize,
}

/// The requests of one kind, each with its place among all, from 0 to 1.
fn templates_of(
    pool: &[Trace],
    signal: Signal,
    shape: Shape,
) -> Result<Vec<(f64, Template)>, CorpusError> {
    let mut items = Vec::new();
    for (trace, made) in pool.iter().enumerate() {
        let services: Vec<Service> = match signal {
            Signal::Spans => made.traffic.spans.iter().map(|span| span.0).collect(),
            Signal::Logs => made.traffic.logs.iter().map(|log| log.0).collect(),
        };
        items.extend(
            services
                .into_iter()
                .enumerate()
                .map(|(record, service)| Item {
                    service,
                    trace,
                    record,
                }),
        );
    }
    let requests = items.chunks(shape.batch.max(1));
    let count = requests.len() as f64;
    requests
        .enumerate()
        .map(|(index, items)| {
            let template = template(pool, signal, shape.seed, items)?;
            Ok(((index as f64 + 0.5) / count, template))
        })
        .collect()
}

fn template(
    pool: &[Trace],
    signal: Signal,
    seed: u64,
    items: &[Item],
) -> Result<Template, CorpusError> {
    let mut items = items.to_vec();
    let mut pieces: Vec<Piece> = Vec::new();
    for item in &items {
        match pieces.last_mut() {
            Some(piece) if piece.trace == item.trace => piece.records += 1,
            _ => pieces.push(Piece {
                trace: item.trace,
                records: 1,
                is_first: item.record == 0,
                order_records: 0,
            }),
        }
    }
    // The order in which `Traffic::into_requests` puts them.
    items.sort_by_key(|item| item.service);
    let bytes = encoded(pool, signal, seed, &items);
    let records = records_of(&bytes);
    if records.len() != items.len() {
        return Err(CorpusError::Torn);
    }
    let mut patches = Vec::new();
    let mut services: Vec<(Service, u64)> = Vec::new();
    for (item, record) in items.iter().zip(records) {
        let piece = pieces.partition_point(|piece| piece.trace < item.trace);
        let trace = pool.get(item.trace).ok_or(CorpusError::Torn)?;
        let mut found = Found {
            bytes: &bytes,
            trace,
            piece: u32::try_from(piece).map_err(|_| CorpusError::TooLarge)?,
            patches: &mut patches,
        };
        let names_order = found.words(&record)?;
        match signal {
            Signal::Spans => found.span(&record)?,
            Signal::Logs => found.log(&record)?,
        }
        if let Some(piece) = pieces.get_mut(piece) {
            piece.order_records += u64::from(names_order);
        }
        match services.last_mut() {
            Some((service, count)) if *service == item.service => *count += 1,
            _ => services.push((item.service, 1)),
        }
    }
    patches.sort_by_key(|patch| patch.at);
    Ok(Template {
        signal,
        records: items.len() as u64,
        pieces,
        services,
        bytes,
        patches,
    })
}

fn encoded(pool: &[Trace], signal: Signal, seed: u64, items: &[Item]) -> Vec<u8> {
    let mut traffic = Traffic::default();
    for item in items {
        let Some(trace) = pool.get(item.trace) else {
            continue;
        };
        match signal {
            Signal::Spans => traffic
                .spans
                .extend(trace.traffic.spans.get(item.record).cloned()),
            Signal::Logs => traffic
                .logs
                .extend(trace.traffic.logs.get(item.record).cloned()),
        }
    }
    let run = attribute(RUN_ATTRIBUTE, run_of(seed));
    let name = |resource: &mut Option<Resource>| {
        if let Some(resource) = resource {
            resource.attributes.push(run.clone());
        }
    };
    let (mut spans, mut logs) = traffic.into_requests();
    for group in &mut spans.resource_spans {
        name(&mut group.resource);
    }
    for group in &mut logs.resource_logs {
        name(&mut group.resource);
    }
    match signal {
        Signal::Spans => spans.encode_to_vec(),
        Signal::Logs => logs.encode_to_vec(),
    }
}

/// Where the records of an export request lie: both kinds are field 2 of a scope's group, field 2 of a resource's
/// group, field 1 of the request.
fn records_of(bytes: &[u8]) -> Vec<Range<usize>> {
    wire::all(bytes, 0..bytes.len(), 1)
        .flat_map(|resource| wire::all(bytes, resource, 2))
        .flat_map(|scope| wire::all(bytes, scope, 2))
        .collect()
}

/// Collects the patches of a record.
struct Found<'a> {
    bytes: &'a [u8],
    trace: &'a Trace,
    piece: u32,
    patches: &'a mut Vec<Patch>,
}

impl Found<'_> {
    fn push(&mut self, at: u32, what: What) {
        self.patches.push(Patch {
            at,
            piece: self.piece,
            what,
        });
    }

    /// Field numbers of `opentelemetry.proto.trace.v1.Span`; events are 11, and their time is 1.
    fn span(&mut self, record: &Range<usize>) -> Result<(), CorpusError> {
        for field in wire::fields(self.bytes, record.clone()) {
            match field.number {
                1 => self.push(offset(&field.value)?, What::TraceId),
                2 | 4 if !field.value.is_empty() => self.id(&field.value)?,
                7 | 8 => self.time(&field.value)?,
                11 => {
                    for event in wire::all(self.bytes, field.value.clone(), 1) {
                        self.time(&event)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Field numbers of `opentelemetry.proto.logs.v1.LogRecord`.
    fn log(&mut self, record: &Range<usize>) -> Result<(), CorpusError> {
        for field in wire::fields(self.bytes, record.clone()) {
            match field.number {
                1 | 11 => self.time(&field.value)?,
                9 => self.push(offset(&field.value)?, What::TraceId),
                10 => self.id(&field.value)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn id(&mut self, value: &Range<usize>) -> Result<(), CorpusError> {
        let id = self.bytes.get(value.clone()).ok_or(CorpusError::Torn)?;
        let number = self.trace.numbers.get(id).ok_or(CorpusError::Torn)?;
        self.push(offset(value)?, What::SpanId(*number));
        Ok(())
    }

    fn time(&mut self, value: &Range<usize>) -> Result<(), CorpusError> {
        let time = self.bytes.get(value.clone()).and_then(<[u8]>::first_chunk);
        let time = u64::from_le_bytes(*time.ok_or(CorpusError::Torn)?);
        let after = time.checked_sub(POOL_START).ok_or(CorpusError::Torn)?;
        self.push(offset(value)?, What::Time(after));
        Ok(())
    }

    /// Finds the order and the session in the texts of a record; says whether the order is there.
    fn words(&mut self, record: &Range<usize>) -> Result<bool, CorpusError> {
        let bytes = self.bytes.get(record.clone()).ok_or(CorpusError::Torn)?;
        let mut names_order = false;
        for (word, what) in [
            (&self.trace.order, What::Order),
            (&self.trace.session, What::Session),
        ] {
            let Some(Word(word)) = word else { continue };
            for at in memmem::find_iter(bytes, word.as_bytes()) {
                // The two characters before the digits stay.
                let digits = record.start + at + 2;
                self.patches.push(Patch {
                    at: offset(&(digits..digits))?,
                    piece: self.piece,
                    what,
                });
                names_order |= matches!(what, What::Order);
            }
        }
        Ok(names_order)
    }
}
