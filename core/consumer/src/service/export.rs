//! What is in quarantine: in a few lines for the status, whole for whoever wants to look at it.

use log_tracer_proto::v1::{self, ExportQuarantineResponse, QuarantinedEnvelope};
use log_tracer_transport::{Kind, LogId};

use super::pieces::{Gone, Sink};
use crate::quarantine::Quarantined;

/// Sends every envelope with its payload, in pieces of at most so many bytes.
pub(crate) fn send(
    envelopes: &[Quarantined],
    log_id: LogId,
    piece_bytes_max: usize,
    sink: &Sink<ExportQuarantineResponse>,
) -> Result<(), Gone> {
    for one in envelopes {
        let mut rest = one.payload.clone().unwrap_or_default();
        let first = rest.split_to(rest.len().min(piece_bytes_max));
        sink.send(ExportQuarantineResponse {
            envelope: Some(message(one, log_id)),
            data: first,
        })?;
        while !rest.is_empty() {
            sink.send(ExportQuarantineResponse {
                envelope: None,
                data: rest.split_to(rest.len().min(piece_bytes_max)),
            })?;
        }
    }
    Ok(())
}

pub(crate) fn message(one: &Quarantined, log_id: LogId) -> QuarantinedEnvelope {
    let signal = match one.kind {
        Kind::Traces => v1::Signal::Spans,
        Kind::Logs => v1::Signal::Logs,
    };
    QuarantinedEnvelope {
        position: Some(v1::Position {
            log_id: log_id.to_string(),
            partition: u32::from(one.partition.0),
            offset: one.offset.0,
        }),
        reason: one.reason.clone(),
        bytes: one.payload_bytes as u64,
        signal: i32::from(signal),
        batch_id: format!("{:032x}", one.batch.0),
        part_index: u32::from(one.part.index),
        part_count: u32::from(one.part.count),
        records: one.records,
        received_unix_nano: one.received_unix_nano,
        kept: one.payload.is_some(),
    }
}
