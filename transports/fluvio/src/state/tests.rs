#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn cursor(partition: u16, next: u64) -> Cursor {
    Cursor {
        partition: Partition(partition),
        next: Offset(next),
    }
}

fn group(name: &str) -> Group {
    Group(name.to_owned())
}

fn states() -> impl Strategy<Value = State> {
    let cursors = prop::collection::vec((0..3_u8, 0..4_u16, 0..100_u64), 0..8);
    (1..3_u64, 0..2_u128, cursors).prop_map(|(generation, id, cursors)| {
        let mut state = State {
            generation,
            log_id: Some(LogId(id)),
            ..State::default()
        };
        for (name, partition, next) in cursors {
            state
                .commit(&group(&format!("group {name}")), &[cursor(partition, next)])
                .unwrap();
        }
        state
    })
}

proptest! {
    #[test]
    fn an_entry_is_read_as_it_was_written(state in states()) {
        prop_assert_eq!(State::decode(&state.encode().unwrap()), Ok(state));
    }

    #[test]
    fn foreign_bytes_are_no_entry_and_never_panic_fuzz(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        state in states(),
        place in any::<prop::sample::Index>(),
    ) {
        prop_assert!(State::decode(&bytes).is_err());
        let mut entry = state.encode().unwrap();
        let place = place.index(entry.len());
        if let (Some(byte), Some(other)) = (entry.get_mut(place), bytes.first()) {
            *byte = *other;
        }
        let _ = State::decode(&entry);
    }

    #[test]
    fn taking_an_entry_again_changes_nothing_and_no_cursor_goes_back(
        entries in prop::collection::vec(states(), 1..6),
    ) {
        let mut state = State::default();
        for entry in &entries {
            let before = state.clone();
            state.take(entry.clone());
            let once = state.clone();
            state.take(entry.clone());
            prop_assert_eq!(&state, &once);
            if state.log_id == before.log_id && state.generation == before.generation {
                for (partition, end) in before.reached {
                    prop_assert!(state.reached(partition) >= end);
                }
            }
        }
    }

    #[test]
    fn entries_of_one_log_say_the_same_in_any_order(
        entries in prop::collection::vec(states(), 1..6),
        turn in any::<prop::sample::Index>(),
    ) {
        let of_one_log = entries.into_iter().map(|entry| State {
            generation: 1,
            log_id: Some(LogId(1)),
            ..entry
        });
        let mut entries: Vec<State> = of_one_log.collect();
        let all = |entries: &[State]| {
            let mut state = State::default();
            entries.iter().for_each(|entry| state.take(entry.clone()));
            state
        };
        let expected = all(&entries);
        let turn = turn.index(entries.len());
        entries.rotate_left(turn);
        prop_assert_eq!(all(&entries), expected);
    }
}

#[test]
fn of_two_that_begin_a_generation_the_first_counts() {
    let mut before = State::default().next_generation(LogId(1));
    before.commit(&group("reader"), &[cursor(0, 7)]).unwrap();
    let (mut first, second) = (
        before.next_generation(LogId(2)),
        before.next_generation(LogId(3)),
    );
    first.commit(&group("reader"), &[cursor(0, 1)]).unwrap();

    let mut state = before.clone();
    for entry in [&first, &second, &before] {
        state.take(entry.clone());
    }
    assert_eq!(state, first);
    assert_eq!(state.committed(&group("reader")), [cursor(0, 1)]);
}

#[test]
fn a_group_moves_forward_only_and_there_is_an_end_to_groups() {
    let mut state = State::default().next_generation(LogId(1));
    assert_eq!(state.commit(&group("0"), &[]), Some(false));
    assert_eq!(state.committed(&group("0")), []);
    assert_eq!(state.commit(&group("0"), &[cursor(1, 5)]), Some(true));
    assert_eq!(state.commit(&group("0"), &[cursor(1, 4)]), Some(false));
    assert_eq!(state.commit(&group("0"), &[cursor(0, 0)]), Some(true));
    assert_eq!(state.committed(&group("0")), [cursor(0, 0), cursor(1, 5)]);
    assert!(state.has_reached_anything());
    for number in 1..GROUPS_MAX {
        let name = group(&number.to_string());
        assert_eq!(state.commit(&name, &[cursor(0, 0)]), Some(true));
    }
    assert_eq!(state.commit(&group("one more"), &[cursor(0, 0)]), None);
    assert_eq!(state.commit(&group("0"), &[cursor(1, 6)]), Some(true));
}

#[test]
fn an_entry_of_another_version_is_refused() {
    let entry = br#"{"version":2,"generation":1,"log_id":"1","reached":{},"groups":{}}"#;
    let refused = State::decode(entry).unwrap_err();
    assert_eq!(refused, "an entry of version 2, this build reads version 1");
}
