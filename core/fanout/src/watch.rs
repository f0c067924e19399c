//! Keeps the view fresh: each consumer is asked how it is, again and again, and at once when a question to it failed.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use slog::{info, warn};
use tokio::time::{Instant, timeout_at};

use crate::{
    fan::Fan,
    peer::{Peer, Reach},
    view::{Seen, View},
};

/// The least time between two rounds, however many questions fail.
const ROUND_MIN: Duration = Duration::from_millis(100);

/// Asks all consumers how they are until the future is dropped.
pub(crate) async fn run(fan: Arc<Fan>) {
    loop {
        refresh(&fan).await;
        let next = Instant::now() + fan.config.refresh();
        tokio::time::sleep(ROUND_MIN).await;
        // Either the time is up, or a question failed.
        let _ = timeout_at(next, fan.wake.notified()).await;
    }
}

/// Asks all consumers once. Each answer counts as soon as it is there.
pub(crate) async fn refresh(fan: &Fan) {
    let timeout = fan.config.status_timeout();
    let mut answers: FuturesUnordered<_> = fan
        .peers
        .iter()
        .map(|peer| async move {
            let before = peer.known().reach;
            peer.refresh(timeout).await;
            note_change(fan, peer, &before);
        })
        .collect();
    while let Some(()) = answers.next().await {
        publish(fan);
    }
}

fn note_change(fan: &Fan, peer: &Peer, before: &Reach) {
    match (before, peer.known().reach) {
        (Reach::Up | Reach::Unknown, Reach::Away(why)) => {
            warn!(fan.log, "a consumer is away"; "address" => &peer.address, "reason" => why);
        }
        (Reach::Away(_), Reach::Up) => {
            info!(fan.log, "a consumer is back"; "address" => &peer.address);
        }
        _ => {}
    }
}

/// Puts the view together anew.
pub(crate) fn publish(fan: &Fan) {
    let seen = fan.peers.iter().map(|peer| Seen {
        address: peer.address.clone(),
        known: peer.known(),
        latency_us: u64::try_from(peer.median_latency().as_micros()).unwrap_or(u64::MAX),
    });
    let view = View::new(seen.collect());
    let faults = fan.view.borrow().faults.clone();
    for fault in view.faults.iter().filter(|fault| !faults.contains(fault)) {
        warn!(fan.log, "the consumers do not fit together"; "fault" => fault);
    }
    fan.view.send_replace(Arc::new(view));
}
