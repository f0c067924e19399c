//! Waiting until a write can be read.

use log_tracer_proto::v1;
use log_tracer_transport::{LogId, Offset, Partition};
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::request::invalid;
use crate::{
    progress::{Progress, Reading},
    shared::Shared,
};

/// Positions in one request at most; a producer answers with one for each partition.
const POSITIONS_MAX: usize = 1 << 16;

/// Returns once every position has been passed.
///
/// # Errors
/// INVALID_ARGUMENT when a position is none. FAILED_PRECONDITION when it is of another log, or of a partition that this
/// consumer does not read (any more). DATA_LOSS when its envelope left the log before it was applied, or could not be
/// decoded. DEADLINE_EXCEEDED with how far it is.
pub(crate) async fn wait(
    shared: &Shared,
    positions: &[v1::Position],
    deadline: Instant,
) -> Result<(), Status> {
    if positions.len() > POSITIONS_MAX {
        return Err(invalid(
            "positions",
            format!("expected at most {POSITIONS_MAX}"),
        ));
    }
    let mut wanted = Vec::with_capacity(positions.len());
    for position in positions {
        wanted.push(parse(shared, position)?);
    }
    let mut progress = shared.progress.subscribe();
    let settled = progress.wait_for(|progress| {
        wanted
            .iter()
            .all(|(partition, offset)| is_settled(progress, *partition, *offset))
    });
    // The sender lives as long as `shared`, so waiting ends by the condition or the deadline alone.
    let is_late = timeout_at(deadline, settled).await.is_err();
    for (partition, offset) in wanted {
        check(
            shared,
            &shared.progress.borrow(),
            partition,
            offset,
            is_late,
        )?;
    }
    Ok(())
}

/// Returns once waiting for an offset any longer changes nothing.
pub(crate) async fn passed(shared: &Shared, partition: Partition, offset: Offset) {
    if is_settled(&shared.progress.borrow(), partition, offset) {
        return;
    }
    let mut progress = shared.progress.subscribe();
    // The sender lives as long as `shared`.
    let _ = progress
        .wait_for(|progress| is_settled(progress, partition, offset))
        .await;
}

fn parse(shared: &Shared, position: &v1::Position) -> Result<(Partition, Offset), Status> {
    let log_id: LogId = Some(&position.log_id)
        .filter(|text| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid("positions.log_id", "expected 32 hexadecimal digits"))?;
    if log_id != shared.log_id {
        return Err(Status::failed_precondition(format!(
            "the position is of the log {log_id}, this consumer reads {}",
            shared.log_id
        )));
    }
    let partition = u16::try_from(position.partition).map(Partition);
    let is_read = |partition: &Partition| shared.progress.borrow().get(*partition).is_some();
    match partition.ok().filter(is_read) {
        Some(partition) => Ok((partition, Offset(position.offset))),
        None => Err(Status::failed_precondition(format!(
            "this consumer does not read partition {}",
            position.partition
        ))),
    }
}

/// Whether waiting any longer changes nothing.
fn is_settled(progress: &Progress, partition: Partition, offset: Offset) -> bool {
    progress.has_passed(partition, offset)
        || progress
            .get(partition)
            .is_none_or(|one| matches!(one.reading, Reading::Failed(_) | Reading::Closed))
}

fn check(
    shared: &Shared,
    progress: &Progress,
    partition: Partition,
    offset: Offset,
    is_late: bool,
) -> Result<(), Status> {
    let (number, offset_number) = (partition.0, offset.0);
    let Some(one) = progress.get(partition) else {
        return Ok(());
    };
    if progress.has_passed(partition, offset) {
        if one.has_lost(offset) {
            return Err(Status::data_loss(format!(
                "partition {number}: the envelope at offset {offset_number} left the log before it was applied"
            )));
        }
        if let Some(held) = shared.quarantine().holds(partition, offset) {
            return Err(Status::data_loss(format!(
                "partition {number}: the envelope at offset {offset_number} is in quarantine: {}",
                held.reason
            )));
        }
        return Ok(());
    }
    if is_late {
        let next = one.next.map_or(0, |next| next.0);
        return Err(Status::deadline_exceeded(format!(
            "partition {number}: offset {offset_number} is not applied yet, the next one is {next}"
        )));
    }
    Err(Status::failed_precondition(format!(
        "partition {number}: offset {offset_number} will not be applied: {}",
        one.reading.text()
    )))
}
