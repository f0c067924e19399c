//! Transports that are broken on purpose, and the cases that catch them.
//!
//! A suite is worth what it catches. Each row below is one mistake and the cases that must fail for it; and every case
//! of the suite stands in some row, so that none of them passes whatever it is given.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod fault;
mod harness;
mod subscription;
mod transport;

use std::collections::BTreeSet;

use fault::Fault;
use harness::BrokenHarness;
use log_tracer_conformance::{cases, run};

/// Turns the rows into one test each, and into a list of the cases that occur.
macro_rules! rows {
    ($($test:ident: $fault:ident is caught by $($case:ident),+;)+) => {
        $(
            #[test]
            fn $test() {
                $(expect_caught(Fault::$fault, stringify!($case));)+
            }
        )+

        const CATCHING: &[&str] = &[$($(stringify!($case),)+)+];
    };
}

rows! {
    an_ack_before_storing: AcksBeforeStoring is caught by an_acked_envelope_is_stored;
    acks_in_the_wrong_order: ReversesTheAcks is caught by acks_carry_the_offsets_that_are_delivered;
    a_call_stored_backwards: ReversesACall is caught by
        a_partition_keeps_the_order_of_its_envelopes,
        producers_and_readers_in_any_order_agree_on_one_history,
        producers_and_readers_on_many_threads_agree_on_one_history;
    a_limit_that_is_off_by_one: RefusesTheLargest is caught by
        an_envelope_of_the_largest_size_is_carried_and_one_byte_more_is_refused;
    a_large_call_that_is_cut: TakesAThousand is caught by thousands_of_small_envelopes_go_in_one_call;
    arguments_that_are_not_checked: ChecksNothing is caught by
        an_empty_batch_is_refused,
        an_unknown_partition_is_refused,
        an_impossible_part_is_refused,
        an_impossible_subscription_is_refused;
    a_refused_call_that_is_half_stored: StoresOneByOne is caught by a_refused_call_stores_nothing;
    a_call_in_two_steps: StoresInTwoSteps is caught by a_publish_can_be_dropped_wherever_it_waits;
    a_drop_when_full: DropsWhenFull is caught by a_full_log_refuses_at_the_deadline_and_keeps_what_it_has;
    a_deadline_that_is_ignored: IgnoresTheDeadline is caught by
        a_full_log_refuses_at_the_deadline_and_keeps_what_it_has;
    a_refusal_without_waiting: RefusesAtOnce is caught by
        a_full_log_refuses_at_the_deadline_and_keeps_what_it_has,
        a_waiting_publish_goes_on_once_there_is_room;
    a_retry_that_is_stored_twice: RemembersNothing is caught by
        an_envelope_that_is_published_again_is_a_duplicate_where_that_is_claimed,
        an_envelope_twice_in_one_call_is_stored_once_where_that_is_claimed;
    a_retry_behind_the_scenes: RetriesBehindTheScenes is caught by
        an_acked_envelope_is_stored,
        producers_and_readers_in_any_order_agree_on_one_history;
    parts_that_are_taken_for_one: ForgetsParts is caught by
        parts_and_partitions_of_a_batch_are_not_duplicates_of_each_other;
    a_lock_that_a_dropped_call_keeps: KeepsThePlaceOfADroppedCall is caught by
        a_publish_that_was_dropped_does_not_hold_up_the_next;
    memory_without_bound: GrowsWithoutBound is caught by
        a_full_log_refuses_at_the_deadline_and_keeps_what_it_has,
        a_log_that_drops_the_oldest_stays_within_its_bytes;
    a_log_that_evicts_what_somebody_needs: DropsTheOldestInstead is caught by
        a_partition_without_a_group_keeps_everything,
        retention_waits_for_the_slowest_group,
        a_slow_reader_loses_nothing;
    health_that_is_made_up: AlwaysReady is caught by health_says_when_there_is_no_room;
    usage_that_is_made_up: ClaimsToTakeNothing is caught by
        usage_counts_what_is_kept_and_stays_within_its_limit;
    a_skip_after_a_full_delivery: SkipsAfterAFullDelivery is caught by
        deliveries_hold_no_more_than_was_asked_for_and_skip_nothing,
        producers_and_readers_in_any_order_agree_on_one_history;
    deliveries_that_are_too_large: IgnoresReadLimits is caught by
        deliveries_hold_no_more_than_was_asked_for_and_skip_nothing;
    a_flipped_bit: FlipsABit is caught by
        envelopes_arrive_as_they_were_sent,
        producers_and_readers_in_any_order_agree_on_one_history;
    an_empty_payload_that_is_lost: LosesEmptyPayloads is caught by an_empty_payload_is_carried;
    partitions_that_mix: ReadsEveryPartition is caught by partitions_do_not_mix;
    a_replay_that_starts_late: StartsOneLate is caught by
        a_replay_starts_at_the_earliest_in_the_middle_or_at_the_end;
    a_reader_that_is_not_woken: NeverWakes is caught by a_waiting_reader_wakes_when_an_envelope_arrives;
    readers_that_share_a_position: SharesOnePosition is caught by readers_do_not_know_of_each_other;
    a_partition_that_starves: StarvesPartitions is caught by a_reader_of_several_partitions_gives_each_its_turn;
    a_position_that_is_clamped: ClampsToTheEnd is caught by a_position_beyond_the_end_is_ahead;
    a_silent_jump: JumpsOverWhatLeft is caught by
        an_evicted_position_is_an_error_and_what_is_kept_can_be_read,
        a_reader_that_is_overtaken_sees_evicted;
    a_delivery_lost_with_its_future: LosesADroppedDelivery is caught by
        a_next_can_be_dropped_wherever_it_waits;
    a_commit_on_poll: CommitsWhatIsRead is caught by reading_and_dropping_commit_nothing;
    a_commit_that_goes_back: CommitsGoBack is caught by a_commit_is_idempotent_and_never_goes_back;
    groups_that_share_a_cursor: SharesCursors is caught by
        groups_do_not_know_of_each_other,
        retention_waits_for_the_slowest_group;
    a_commit_that_is_half_taken: CommitsOneByOne is caught by an_impossible_commit_is_refused_whole;
    a_reader_that_a_commit_moves: StartsAtTheCommit is caught by a_commit_does_not_move_a_reader;
    a_close_that_does_nothing: ClosesNothing is caught by
        close_ends_every_waiting_reader,
        close_answers_every_waiting_publish,
        after_close_everything_is_refused;
    a_second_close_that_fails: ClosesOnce is caught by close_can_be_called_again_and_at_the_same_time;
    a_task_that_is_left: LeavesATask is caught by close_leaves_no_task_behind;
    a_transport_that_outlives_its_owner: OutlivesItsOwner is caught by a_dropped_transport_ends_its_readers;
    another_log_than_was_asked_for: HasOnePartition is caught by a_log_is_what_was_asked_for;
    a_log_id_for_all: KeepsOneLogId is caught by a_new_log_has_another_id;
    a_claim_to_survive: ClaimsADisk is caught by
        gaps_are_what_the_capabilities_say,
        reopening_finds_what_was_acked_and_committed;
    watermarks_of_the_past: ShowsOldWatermarks is caught by watermarks_are_right_when_nothing_moves;
}

#[test]
fn every_case_catches_something() {
    let catching: BTreeSet<&str> = CATCHING.iter().copied().collect();
    let idle: Vec<&str> = cases::ALL
        .iter()
        .map(|case| case.name)
        .filter(|name| !catching.contains(name))
        .collect();
    assert!(idle.is_empty(), "no broken transport fails {idle:?}");
}

#[test]
fn the_wrapper_alone_breaks_nothing() {
    for case in cases::ALL {
        if let Err(failure) = run(case.name, &BrokenHarness(Fault::Nothing)) {
            panic!("{failure}");
        }
    }
}

#[test]
fn a_case_that_does_not_exist_fails() {
    let failure = run("no_such_case", &BrokenHarness(Fault::Nothing)).unwrap_err();
    assert_eq!(failure.to_string(), "no_such_case: there is no such case");
}

fn expect_caught(fault: Fault, case: &str) {
    assert!(cases::ALL.iter().any(|known| known.name == case), "{case}");
    match run(case, &BrokenHarness(fault)) {
        Ok(()) => panic!("{case} passes although the transport {fault:?}"),
        // Shown with --nocapture, to see that it was caught for the right reason.
        Err(failure) => println!("{fault:?}: {failure}"),
    }
}
