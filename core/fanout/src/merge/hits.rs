//! Records by their key: each answer is in order, and so is what is made of them.
//!
//! An answer that has a `next` ends there: what its consumer holds beyond is not known. So the merged answer ends at the
//! nearest of these places at the latest, and a page of it is exactly the page of one consumer with all records.

use std::{cmp::Reverse, collections::BinaryHeap};

use log_tracer_proto::v1::{
    LogHit, RecordKey, ResourceEntry, ScopeEntry, SearchLogsResponse, SpanHit,
};
use prost::Message;

use super::{
    covering::Covering,
    room::{Room, framed_bytes},
    tables::{Given, Tables},
};
use crate::fan::Round;

/// A place that grows along the answer.
pub(crate) type Place = (u64, u32, u64, u32);

/// Where a record stands, newest first unless asked otherwise.
pub(crate) fn place(key: &RecordKey, oldest_first: bool) -> Place {
    let RecordKey {
        time_unix_nano,
        partition,
        offset,
        index,
    } = *key;
    match oldest_first {
        true => (time_unix_nano, partition, offset, index),
        false => (!time_unix_nano, !partition, !offset, !index),
    }
}

/// A record of either kind with its key.
pub(crate) trait Hit: Message + Default {
    fn key(&self) -> RecordKey;
    /// The indexes of its resource and its scope.
    fn indexes(&mut self) -> (&mut u32, &mut u32);
}

impl Hit for LogHit {
    fn key(&self) -> RecordKey {
        self.key.unwrap_or_default()
    }

    fn indexes(&mut self) -> (&mut u32, &mut u32) {
        (&mut self.resource, &mut self.scope)
    }
}

impl Hit for SpanHit {
    fn key(&self) -> RecordKey {
        self.key.unwrap_or_default()
    }

    fn indexes(&mut self) -> (&mut u32, &mut u32) {
        (&mut self.resource, &mut self.scope)
    }
}

/// The hits of one answer, in order.
#[derive(Debug)]
pub(crate) struct Lane<H> {
    hits: std::vec::IntoIter<H>,
    tables: Given,
    /// The last place that is known; none when that is all.
    end: Option<RecordKey>,
}

impl<H> Lane<H> {
    pub(crate) fn new(hits: Vec<H>, tables: Given, end: Option<RecordKey>) -> Self {
        Self {
            hits: hits.into_iter(),
            tables,
            end,
        }
    }

    /// What is left of it, with its own tables.
    pub(crate) fn into_parts(self) -> (Vec<H>, Vec<ResourceEntry>, Vec<ScopeEntry>) {
        let (resources, scopes) = self.tables.into_entries();
        (self.hits.collect(), resources, scopes)
    }
}

/// Hits in order with the tables that they point into.
#[derive(Debug)]
pub(crate) struct Merged<H> {
    pub(crate) hits: Vec<H>,
    pub(crate) tables: Tables,
    /// Where to go on.
    pub(crate) next: Option<RecordKey>,
    /// Records that no message can carry.
    pub(crate) left_out: usize,
}

/// How hits are merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) oldest_first: bool,
    pub(crate) limit: usize,
    pub(crate) bytes_max: usize,
}

/// Merges hits.
pub(crate) fn merge<H: Hit>(mut lanes: Vec<Lane<H>>, order: Order) -> Merged<H> {
    let place_of = |key: &RecordKey| place(key, order.oldest_first);
    let ends = lanes.iter().filter_map(|lane| lane.end);
    let end = ends.min_by_key(place_of);
    let mut merged = Merged {
        hits: Vec::new(),
        tables: Tables::default(),
        next: end,
        left_out: 0,
    };
    let mut room = Room::in_answer(order.bytes_max);
    let mut heads: BinaryHeap<Reverse<(Place, usize)>> = BinaryHeap::new();
    let mut waiting: Vec<Option<H>> = Vec::with_capacity(lanes.len());
    for (number, lane) in lanes.iter_mut().enumerate() {
        let head = lane.hits.next();
        heads.extend(
            head.iter()
                .map(|hit| Reverse((place_of(&hit.key()), number))),
        );
        waiting.push(head);
    }
    let mut last: Option<RecordKey> = None;
    while let Some(Reverse((at, number))) = heads.pop() {
        if end.is_some_and(|end| at > place_of(&end)) {
            break;
        }
        if merged.hits.len() >= order.limit {
            merged.next = last;
            break;
        }
        let Some((lane, waits)) = lanes.get_mut(number).zip(waiting.get_mut(number)) else {
            break;
        };
        let head = std::mem::replace(waits, lane.hits.next());
        heads.extend(
            waits
                .iter()
                .map(|hit| Reverse((place_of(&hit.key()), number))),
        );
        let Some(mut hit) = head else {
            continue;
        };
        // The same record from two consumers: a partition that moved.
        if last.is_some_and(|last| place_of(&last) == at) {
            continue;
        }
        let bytes = take(&mut hit, &mut lane.tables, &mut merged.tables);
        if !room.take_bytes(bytes) {
            if !merged.hits.is_empty() {
                merged.next = last;
                break;
            }
            merged.left_out += 1;
        } else {
            last = Some(hit.key());
            merged.hits.push(hit);
        }
    }
    merged
}

/// The first hits of a list, as many as make a message of about so many bytes, and the rest.
pub(crate) fn piece<H: Hit>(mut lane: Lane<H>, bytes: usize) -> (Merged<H>, Option<Lane<H>>) {
    let mut merged = Merged {
        hits: Vec::new(),
        tables: Tables::default(),
        next: None,
        left_out: 0,
    };
    // Each piece has tables of its own.
    lane.tables.forget_places();
    let mut taken = 0;
    while taken < bytes
        && let Some(mut hit) = lane.hits.next()
    {
        taken += take(&mut hit, &mut lane.tables, &mut merged.tables);
        merged.hits.push(hit);
    }
    let has_more = !lane.hits.as_slice().is_empty();
    (merged, has_more.then_some(lane))
}

/// Points a hit into the merged tables; answers the bytes that it takes with what it adds to them.
fn take<H: Hit>(hit: &mut H, given: &mut Given, tables: &mut Tables) -> usize {
    let (resource, scope) = hit.indexes();
    let (resource_place, resource_bytes) = given.resources.place(*resource, &mut tables.resources);
    let (scope_place, scope_bytes) = given.scopes.place(*scope, &mut tables.scopes);
    (*resource, *scope) = (resource_place, scope_place);
    framed_bytes(hit) + resource_bytes + scope_bytes
}

/// The answer to `SearchLogs`.
pub(crate) fn logs(
    round: Round<SearchLogsResponse>,
    mut covering: Covering,
    order: Order,
) -> SearchLogsResponse {
    let answers = round.answers;
    let lanes = answers.into_iter().map(|answer| {
        let body = answer.body;
        Lane::new(
            body.hits,
            Given::new(body.resources, body.scopes),
            body.next,
        )
    });
    let merged = merge(lanes.collect(), order);
    covering.leave_out(merged.left_out, "log records");
    SearchLogsResponse {
        hits: merged.hits,
        resources: merged.tables.resources.entries,
        scopes: merged.tables.scopes.entries,
        next: merged.next,
        coverage: Some(covering.into_message()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn hit(time: u64, partition: u32, resource: u32) -> LogHit {
        LogHit {
            key: Some(RecordKey {
                time_unix_nano: time,
                partition,
                ..RecordKey::default()
            }),
            resource,
            ..LogHit::default()
        }
    }

    fn lane(hits: Vec<LogHit>, services: &[&str], has_more: bool) -> Lane<LogHit> {
        let entry = |service: &&str| ResourceEntry {
            service: (*service).to_owned(),
            ..ResourceEntry::default()
        };
        let end = hits.last().map(Hit::key).filter(|_| has_more);
        let tables = Given::new(
            services.iter().map(entry).collect(),
            vec![ScopeEntry::default()],
        );
        Lane::new(hits, tables, end)
    }

    const ORDER: Order = Order {
        oldest_first: false,
        limit: 10,
        bytes_max: 1 << 20,
    };

    /// Times with the service of each, and the time of the next page.
    fn shown(merged: &Merged<LogHit>) -> (Vec<(u64, &str)>, Option<u64>) {
        let hits = merged.hits.iter().map(|hit| {
            let resource = &merged.tables.resources.entries[hit.resource as usize];
            (hit.key().time_unix_nano, resource.service.as_str())
        });
        (hits.collect(), merged.next.map(|next| next.time_unix_nano))
    }

    #[test]
    fn hits_are_merged_in_order_and_point_into_one_table() {
        let a = lane(vec![hit(9, 0, 1), hit(5, 0, 0)], &["x", "y"], false);
        let b = lane(vec![hit(7, 1, 0), hit(1, 1, 1)], &["y", "z"], false);
        let merged = merge(vec![a, b], ORDER);
        let hits = vec![(9, "y"), (7, "y"), (5, "x"), (1, "z")];
        assert_eq!(shown(&merged), (hits, None));
        assert_eq!(merged.tables.resources.entries.len(), 3);
    }

    #[test]
    fn nothing_beyond_what_one_of_them_knows_is_answered() {
        let a = lane(vec![hit(9, 0, 0), hit(8, 0, 0)], &["x"], true);
        let b = lane(vec![hit(9, 1, 0), hit(3, 1, 0)], &["x"], false);
        let merged = merge(vec![a, b], ORDER);
        assert_eq!(
            shown(&merged),
            (vec![(9, "x"), (9, "x"), (8, "x")], Some(8))
        );
    }

    #[test]
    fn a_full_page_goes_on_after_its_last_record() {
        let lanes = || {
            vec![
                lane(vec![hit(9, 0, 0), hit(8, 0, 0)], &["x"], false),
                lane(vec![hit(7, 1, 0)], &["x"], false),
            ]
        };
        let merged = merge(lanes(), Order { limit: 2, ..ORDER });
        assert_eq!(shown(&merged), (vec![(9, "x"), (8, "x")], Some(8)));
        let all = merge(lanes(), Order { limit: 3, ..ORDER });
        assert_eq!(all.next, None);
        // Room for one hit, beside what is kept for the rest.
        let small = Order {
            bytes_max: (16 << 10) + 35,
            ..ORDER
        };
        let merged = merge(lanes(), small);
        assert_eq!(shown(&merged), (vec![(9, "x")], Some(9)));
    }

    #[test]
    fn a_record_that_two_consumers_hold_is_answered_once() {
        let both = || lane(vec![hit(9, 0, 0), hit(8, 0, 0)], &["x"], false);
        let merged = merge(vec![both(), both()], ORDER);
        assert_eq!(shown(&merged), (vec![(9, "x"), (8, "x")], None));
    }

    proptest! {
        /// Whatever consumers send: unordered, with keys twice or not at all, pointing beyond their tables.
        #[test]
        fn fuzz_any_answers_make_a_page_within_its_limits(
            lanes in vec((vec((0..9_u64, 0..3_u32, 0..5_u32, any::<bool>()), 0..12), 0..4_usize, any::<bool>()), 0..4),
            limit in 1..9_usize,
            oldest_first in any::<bool>(),
        ) {
            let lanes = lanes.into_iter().map(|(hits, entries, has_more)| {
                let hits = hits.into_iter().map(|(time, partition, resource, has_key)| {
                    let mut hit = hit(time, partition, resource);
                    hit.key = hit.key.filter(|_| has_key);
                    hit
                });
                lane(hits.collect(), &["x", "y", "z"][..entries.min(3)], has_more)
            });
            let order = Order { oldest_first, limit, ..ORDER };
            let merged = merge(lanes.collect(), order);
            prop_assert!(merged.hits.len() <= limit);
            for hit in &merged.hits {
                prop_assert!((hit.resource as usize) < merged.tables.resources.entries.len());
                prop_assert!((hit.scope as usize) < merged.tables.scopes.entries.len());
            }
        }
    }

    #[test]
    fn the_oldest_come_first_when_asked_so() {
        let a = lane(vec![hit(1, 0, 0), hit(4, 0, 0)], &["x"], true);
        let b = lane(vec![hit(2, 1, 0), hit(9, 1, 0)], &["x"], false);
        let order = Order {
            oldest_first: true,
            ..ORDER
        };
        let merged = merge(vec![a, b], order);
        assert_eq!(
            shown(&merged),
            (vec![(1, "x"), (2, "x"), (4, "x")], Some(4))
        );
    }
}
