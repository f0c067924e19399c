//! The cases, by subject, and the table of them.
//!
//! A case is an `async fn(&Stage) -> Result<(), Seen>`, and its name is the sentence that it checks. One that is not in
//! the table below runs nowhere, so a test of this crate compares the two.

pub mod cancel;
pub mod close;
pub mod commit;
pub mod dedupe;
pub mod history;
pub mod identity;
pub mod limits;
pub mod order;
pub mod read;
pub mod retention;
pub mod room;

use crate::{Case, run::Threads};

/// The table: on how many threads, which subject, which cases. Those on one thread may run by a clock that jumps; those
/// on many are for what only real concurrency shows.
#[doc(hidden)]
#[macro_export]
macro_rules! table {
    ($emit:ident $with:tt) => {
        $crate::$emit! { $with
            One order {
                an_acked_envelope_is_stored,
                acks_carry_the_offsets_that_are_delivered,
                envelopes_arrive_as_they_were_sent,
                a_partition_keeps_the_order_of_its_envelopes,
                partitions_do_not_mix,
            }
            One limits {
                an_envelope_of_the_largest_size_is_carried_and_one_byte_more_is_refused,
                an_empty_payload_is_carried,
                thousands_of_small_envelopes_go_in_one_call,
                an_empty_batch_is_refused,
                an_unknown_partition_is_refused,
                an_impossible_part_is_refused,
                a_refused_call_stores_nothing,
                deliveries_hold_no_more_than_was_asked_for_and_skip_nothing,
            }
            One read {
                a_replay_starts_at_the_earliest_in_the_middle_or_at_the_end,
                a_waiting_reader_wakes_when_an_envelope_arrives,
                readers_do_not_know_of_each_other,
                a_reader_of_several_partitions_gives_each_its_turn,
                a_position_beyond_the_end_is_ahead,
                an_impossible_subscription_is_refused,
            }
            One retention {
                an_evicted_position_is_an_error_and_what_is_kept_can_be_read,
                a_reader_that_is_overtaken_sees_evicted,
                a_log_that_drops_the_oldest_stays_within_its_bytes,
                a_partition_without_a_group_keeps_everything,
                retention_waits_for_the_slowest_group,
            }
            One room {
                a_full_log_refuses_at_the_deadline_and_keeps_what_it_has,
                a_waiting_publish_goes_on_once_there_is_room,
                a_slow_reader_loses_nothing,
                health_says_when_there_is_no_room,
                usage_counts_what_is_kept_and_stays_within_its_limit,
            }
            One commit {
                groups_do_not_know_of_each_other,
                a_commit_is_idempotent_and_never_goes_back,
                reading_and_dropping_commit_nothing,
                an_impossible_commit_is_refused_whole,
                a_commit_does_not_move_a_reader,
            }
            One dedupe {
                an_envelope_that_is_published_again_is_a_duplicate_where_that_is_claimed,
                an_envelope_twice_in_one_call_is_stored_once_where_that_is_claimed,
                parts_and_partitions_of_a_batch_are_not_duplicates_of_each_other,
            }
            One cancel {
                a_publish_can_be_dropped_wherever_it_waits,
                a_publish_that_was_dropped_does_not_hold_up_the_next,
                a_next_can_be_dropped_wherever_it_waits,
            }
            One close {
                close_ends_every_waiting_reader,
                close_answers_every_waiting_publish,
                after_close_everything_is_refused,
                close_can_be_called_again_and_at_the_same_time,
                close_leaves_no_task_behind,
                a_dropped_transport_ends_its_readers,
            }
            One identity {
                a_log_is_what_was_asked_for,
                a_new_log_has_another_id,
                gaps_are_what_the_capabilities_say,
                watermarks_are_right_when_nothing_moves,
                reopening_finds_what_was_acked_and_committed,
            }
            One history {
                producers_and_readers_in_any_order_agree_on_one_history,
            }
            Many history {
                producers_and_readers_on_many_threads_agree_on_one_history,
            }
        }
    };
}

/// One [`Case`] for each row of the table.
#[doc(hidden)]
#[macro_export]
macro_rules! rows {
    (() $($threads:ident $subject:ident { $($case:ident,)+ })+) => {
        &[$($(
            Case {
                name: stringify!($case),
                threads: Threads::$threads,
                check: |stage| Box::pin($subject::$case(stage)),
            },
        )+)+]
    };
}

/// Every case, in the order of the table.
pub const ALL: &[Case] = crate::table!(rows());
