use std::sync::Arc;

use log_tracer_proto::v1::{PartitionStatus, TransportStatus};

use super::*;

/// A consumer that answers, and the partitions of a log of four that it owns.
fn up(name: &str, partitions: &[u32]) -> Seen {
    let status = StatusResponse {
        name: name.to_owned(),
        health: READY.to_owned(),
        // Each is a process of its own.
        started_unix_nano: partitions.iter().map(|one| 1 << one).sum(),
        transport: Some(TransportStatus {
            log_id: "log".to_owned(),
            partitions: 4,
            ..TransportStatus::default()
        }),
        partitions: partitions
            .iter()
            .map(|partition| PartitionStatus {
                partition: *partition,
                ..PartitionStatus::default()
            })
            .collect(),
        ..StatusResponse::default()
    };
    Seen {
        address: format!("http://{name}"),
        known: Known {
            reach: Reach::Up,
            status: Some(Arc::new(status)),
            status_unix_nano: 1,
        },
        latency_us: 0,
    }
}

fn with(mut seen: Seen, change: impl FnOnce(&mut StatusResponse)) -> Seen {
    let mut status = StatusResponse::clone(seen.status().unwrap());
    change(&mut status);
    seen.known.status = Some(Arc::new(status));
    seen
}

fn away(mut seen: Seen) -> Seen {
    seen.known.reach = Reach::Away("connection refused".to_owned());
    seen
}

fn never(name: &str) -> Seen {
    let mut seen = away(up(name, &[]));
    seen.known.status = None;
    seen
}

/// Each set: its partitions, who is asked in order, who is away.
fn sets(view: &View) -> Vec<(Vec<u32>, Vec<usize>, Vec<usize>)> {
    let set = |set: &ReplicaSet| {
        (
            set.partitions.clone(),
            set.members.clone(),
            set.away.clone(),
        )
    };
    view.sets.iter().map(set).collect()
}

#[test]
fn consumers_with_the_same_partitions_are_replicas_of_each_other() {
    let view = View::new(vec![
        up("a", &[0, 1]),
        up("b", &[2, 3]),
        with(up("c", &[1, 0]), |status| status.started_unix_nano = 9),
    ]);
    assert_eq!(
        sets(&view),
        [
            (vec![0, 1], vec![0, 2], vec![]),
            (vec![2, 3], vec![1], vec![])
        ]
    );
    assert!(view.faults.is_empty() && view.unowned.is_none());
}

#[test]
fn the_best_replica_is_asked_first() {
    let worse: [fn(&mut StatusResponse); 6] = [
        |status| status.health = "failed: all of it".to_owned(),
        |status| status.replaying = "the log is being replayed".to_owned(),
        |status| status.health = "degraded: partition 0".to_owned(),
        |status| status.partitions[0].first_applied = Some(1),
        |status| status.partitions[0].lost_offsets = 1,
        |status| status.partitions[0].log_end = 100,
    ];
    for change in worse {
        let bad = with(up("a", &[0]), |status| {
            change(status);
            status.started_unix_nano = 77;
        });
        let view = View::new(vec![bad, up("b", &[0])]);
        assert_eq!(view.sets[0].members, [1, 0]);
    }
    let slow = Seen {
        latency_us: 60_000,
        ..with(up("a", &[0]), |status| status.started_unix_nano = 77)
    };
    let view = View::new(vec![slow, up("b", &[0])]);
    assert_eq!(view.sets[0].members, [1, 0]);
}

#[test]
fn what_is_away_is_a_gap_that_is_named_with_its_partitions() {
    let view = View::new(vec![up("a", &[0, 1]), away(up("b", &[2, 3]))]);
    let gap = view.gap(&view.sets[1], &[]);
    assert_eq!(
        gap,
        "partitions 2, 3 are missing: consumer b at http://b: connection refused"
    );
    assert!(view.faults.is_empty() && view.unowned.is_none());
}

#[test]
fn sets_that_overlap_are_not_both_asked_and_are_named() {
    let view = View::new(vec![up("a", &[0, 1, 2, 3]), up("b", &[3])]);
    assert_eq!(sets(&view), [(vec![0, 1, 2, 3], vec![0], vec![])]);
    assert_eq!(view.faults.len(), 1);
    assert!(view.faults[0].starts_with("consumer b at http://b (partition 3) is not asked"));
    // When the larger one is away, the smaller ones are asked, and there is no fault.
    let view = View::new(vec![
        away(up("a", &[0, 1, 2, 3])),
        up("b", &[3]),
        up("c", &[0, 1, 2]),
    ]);
    assert_eq!(
        sets(&view),
        [(vec![0, 1, 2], vec![2], vec![]), (vec![3], vec![1], vec![])]
    );
    assert!(view.faults.is_empty());
}

#[test]
fn partitions_that_nobody_has_are_named_and_so_is_who_may_have_them() {
    let view = View::new(vec![up("a", &[0, 2])]);
    assert_eq!(
        view.unowned.as_deref(),
        Some("no consumer has partitions 1, 3")
    );
    let view = View::new(vec![up("a", &[0, 2]), never("b")]);
    let unowned = view.unowned.unwrap();
    assert!(
        unowned.contains("partitions 1, 3 may be") && unowned.contains("http://b"),
        "{unowned}"
    );
    // Whoever was never reached is not missed when all partitions are answered.
    let view = View::new(vec![up("a", &[0, 1, 2, 3]), never("b")]);
    assert_eq!(view.unowned, None);
    // When nothing is known at all, that is said.
    let view = View::new(vec![never("a"), never("b")]);
    assert!(view.unowned.unwrap().contains("http://a"));
}

#[test]
fn another_log_and_another_count_of_partitions_are_left_out_and_named() {
    let other_log = with(up("b", &[0]), |status| {
        status.transport.as_mut().unwrap().log_id = "other".to_owned();
    });
    let view = View::new(vec![other_log, up("a", &[0, 1, 2, 3])]);
    assert_eq!(sets(&view), [(vec![0, 1, 2, 3], vec![1], vec![])]);
    assert!(view.faults[0].contains("reads the log other, the others log"));

    let other_count = with(up("b", &[0]), |status| {
        status.transport.as_mut().unwrap().partitions = 8;
    });
    let view = View::new(vec![up("a", &[0, 1, 2, 3]), other_count]);
    assert_eq!(view.sets.len(), 1);
    assert!(view.faults[0].contains("the log has 8 partitions, the others 4"));
}

#[test]
fn two_consumers_of_one_name_are_a_fault_and_one_by_two_addresses_is_not() {
    let view = View::new(vec![up("a", &[0, 1]), up("a", &[2, 3])]);
    assert_eq!(view.sets.len(), 2);
    assert!(view.faults[0].starts_with("2 consumers have the name a"));
    let view = View::new(vec![up("a", &[0, 1, 2, 3]), up("a", &[0, 1, 2, 3])]);
    assert_eq!(sets(&view), [(vec![0, 1, 2, 3], vec![0], vec![])]);
    assert!(view.faults.is_empty());
}

#[test]
fn records_of_a_partition_that_moved_are_named() {
    let moved = with(up("a", &[0, 1]), |status| {
        status.former_partitions = vec![2]
    });
    let view = View::new(vec![moved, up("b", &[2, 3])]);
    assert!(
        view.faults[0].starts_with("consumer a at http://a still holds records of partition 2"),
        "{:?}",
        view.faults
    );
}

#[test]
fn partitions_are_written_as_ranges() {
    assert_eq!(partitions(&[3]), "partition 3");
    assert_eq!(
        partitions(&[0, 1, 2, 5, 7, 8]),
        "partitions 0 to 2, 5, 7, 8"
    );
}
