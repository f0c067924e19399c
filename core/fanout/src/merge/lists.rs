//! Services and operations, added by name.

use std::{cmp::Reverse, collections::BTreeMap};

use log_tracer_proto::v1::{
    ListOperationsResponse, ListServicesResponse, OperationInfo, ServiceInfo,
};

use super::{covering::Covering, room::Room};
use crate::fan::Round;

/// The answer to `ListServices`, by name.
pub(crate) fn services(
    round: Round<ListServicesResponse>,
    mut covering: Covering,
    answer_bytes_max: usize,
) -> ListServicesResponse {
    let mut sums: BTreeMap<String, ServiceInfo> = BTreeMap::new();
    for one in round.answers.into_iter().flat_map(|it| it.body.services) {
        let sum = sums.entry(one.service.clone()).or_default();
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        add(&mut sum.span_count, one.span_count);
        add(&mut sum.log_count, one.log_count);
        add(&mut sum.error_span_count, one.error_span_count);
        add(&mut sum.error_log_count, one.error_log_count);
        sum.last_seen_unix_nano = sum.last_seen_unix_nano.max(one.last_seen_unix_nano);
        sum.service = one.service;
    }
    let (services, left_out) = Room::in_answer(answer_bytes_max).fill(sums.into_values());
    covering.leave_out(left_out, "services");
    ListServicesResponse {
        services,
        coverage: Some(covering.into_message()),
    }
}

/// The answer to `ListOperations`: by service, then the most spans first.
pub(crate) fn operations(
    round: Round<ListOperationsResponse>,
    mut covering: Covering,
    answer_bytes_max: usize,
) -> ListOperationsResponse {
    let mut sums: BTreeMap<(String, String, i32), u64> = BTreeMap::new();
    for one in round.answers.into_iter().flat_map(|it| it.body.operations) {
        let sum = sums.entry((one.service, one.name, one.kind)).or_default();
        *sum = sum.saturating_add(one.span_count);
    }
    let info = |((service, name, kind), span_count)| OperationInfo {
        service,
        name,
        kind,
        span_count,
    };
    let mut all: Vec<OperationInfo> = sums.into_iter().map(info).collect();
    // What does not fit is what there is the least of, whatever the service.
    all.sort_by_key(|one| Reverse(one.span_count));
    let (mut operations, left_out) = Room::in_answer(answer_bytes_max).fill(all);
    // Stable: within a service, the most spans stay first.
    operations.sort_by(|a, b| a.service.cmp(&b.service));
    covering.leave_out(left_out, "operations");
    ListOperationsResponse {
        operations,
        coverage: Some(covering.into_message()),
    }
}
