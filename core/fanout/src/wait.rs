//! Waiting until a write can be read, whichever consumer is asked then.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use log_tracer_proto::v1::{Position, WaitForPositionRequest};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status};

use crate::{
    fan::{Fan, clip, is_refusal},
    peer::why,
    view::{ReplicaSet, View, partitions},
};

/// How long the other replicas may still take once one has passed: a question may go to any of them, and one that is
/// further behind is not the first to be asked.
const GRACE: Duration = Duration::from_millis(250);

/// Waits on every consumer that owns a partition among the positions.
///
/// # Errors
/// As a consumer says it; FAILED_PRECONDITION when no consumer has a partition, UNAVAILABLE when those that have it are
/// away.
pub(crate) async fn wait(
    fan: &Fan,
    positions: Vec<Position>,
    deadline: Instant,
) -> Result<(), Status> {
    let view = fan.view(deadline).await;
    let mut by_set: BTreeMap<usize, Vec<Position>> = BTreeMap::new();
    for position in positions {
        let partition = position.partition;
        let mut sets = view.sets.iter();
        match sets.position(|set| set.partitions.contains(&partition)) {
            Some(set) => by_set.entry(set).or_default().push(position),
            None => return Err(nobody_has(&view, partition)),
        }
    }
    let waits = by_set.into_iter().filter_map(|(set, positions)| {
        let set = view.sets.get(set)?;
        Some(wait_for_set(fan, &view, set, positions, deadline))
    });
    try_join_all(waits).await.map(drop)
}

fn nobody_has(view: &View, partition: u32) -> Status {
    let is_known = view.unowned.as_ref().filter(|_| {
        let mut all = view.seen.iter();
        all.any(|one| one.known.status.is_none())
    });
    match is_known {
        Some(unowned) => Status::unavailable(clip(unowned.clone())),
        None => Status::failed_precondition(format!("no consumer reads partition {partition}")),
    }
}

async fn wait_for_set(
    fan: &Fan,
    view: &View,
    set: &ReplicaSet,
    positions: Vec<Position>,
    deadline: Instant,
) -> Result<(), Status> {
    let is_replaying = |member: &usize| {
        let status = view
            .seen
            .get(*member)
            .and_then(|it| it.known.status.as_ref());
        status.is_some_and(|status| !status.replaying.is_empty())
    };
    // One that replays is asked when there is no other.
    let (replaying, ready): (Vec<usize>, Vec<usize>) =
        set.members.iter().copied().partition(is_replaying);
    let members = if ready.is_empty() { replaying } else { ready };
    let mut waits: FuturesUnordered<_> = members
        .iter()
        .filter_map(|member| Some((*member, fan.peers.get(*member)?)))
        .map(|(member, peer)| {
            let mut request = Request::new(WaitForPositionRequest {
                positions: positions.clone(),
            });
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            let mut client = peer.client();
            async move { (member, client.wait_for_position(request).await) }
        })
        .collect();
    let mut until = deadline + GRACE;
    let mut failed: Vec<(usize, Status)> = Vec::new();
    let mut has_passed = false;
    while let Ok(Some((member, waited))) = timeout_at(until, waits.next()).await {
        match waited {
            Ok(_) => {
                has_passed = true;
                until = until.min(Instant::now() + GRACE);
            }
            Err(status) => {
                if status.code() == Code::Unavailable {
                    fan.note_failure(member, &status);
                }
                failed.push((member, status));
            }
        }
    }
    if has_passed {
        return Ok(());
    }
    // What a consumer says of the position itself says more than that another one is away.
    let says_more = |status: &Status| {
        is_refusal(status) || matches!(status.code(), Code::FailedPrecondition | Code::DataLoss)
    };
    let best = failed.iter().position(|(_, status)| says_more(status));
    let best = best.or_else(|| {
        let is_late = |(_, status): &(usize, Status)| status.code() == Code::DeadlineExceeded;
        failed.iter().position(is_late)
    });
    match best {
        Some(best) => Err(failed.swap_remove(best).1),
        None if failed.is_empty() && !members.is_empty() => {
            let of = partitions(&set.partitions);
            let text = format!("{of}: no answer before the deadline");
            Err(Status::deadline_exceeded(text))
        }
        None => {
            let reasons: Vec<(usize, String)> = failed
                .iter()
                .map(|(member, status)| (*member, why(status)))
                .collect();
            Err(Status::unavailable(clip(view.gap(set, &reasons))))
        }
    }
}
