//! The outline of one trace, of consumers that hold some of it each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{
    Client, asked_as_one,
    fake::{Act, Fake},
    is_whole,
};
use log_tracer_fanout::Config;
use log_tracer_proto::v1;
use tonic::Status;

fn outlined(ids: &[u8], ends: bool) -> v1::GetTraceOutlineResponse {
    let rows = ids.len();
    v1::GetTraceOutlineResponse {
        names: vec!["work".to_owned()],
        resources: vec![v1::ResourceEntry::default()],
        spans: Some(v1::OutlineSpans {
            span_ids: ids
                .iter()
                .flat_map(|id| [*id; 8])
                .collect::<Vec<u8>>()
                .into(),
            parent_span_ids: vec![0; 8 * rows].into(),
            start_unix_nano: ids.iter().map(|id| u64::from(*id)).collect(),
            end_unix_nano: vec![100; rows],
            names: vec![0; rows],
            resources: vec![0; rows],
            kinds: vec![1; rows].into(),
            statuses: vec![0; rows].into(),
            ..v1::OutlineSpans::default()
        }),
        coverage: ends.then(v1::Coverage::default),
        ..v1::GetTraceOutlineResponse::default()
    }
}

/// The spans of the outline of trace 1, and what is said of it.
async fn outline(client: &mut Client) -> Result<(Vec<u8>, v1::GetTraceOutlineResponse), Status> {
    let request = v1::GetTraceOutlineRequest {
        trace_id: vec![1; 16].into(),
        ..v1::GetTraceOutlineRequest::default()
    };
    let mut pieces = client.get_trace_outline(request).await?.into_inner();
    let mut found = Vec::new();
    while let Some(piece) = pieces.message().await? {
        let spans = piece.spans.clone().unwrap_or_default();
        found.extend(spans.span_ids.chunks(8).map(|id| id[0]));
        if piece.coverage.is_some() {
            return Ok((found, piece));
        }
    }
    panic!("the answer broke off");
}

#[tokio::test(start_paused = true)]
async fn an_outline_that_breaks_off_comes_whole_from_a_replica() {
    let a = Fake::start("a", &[0, 1, 2, 3], "cart");
    let b = Fake::start("b", &[0, 1, 2, 3], "cart");
    a.outline(vec![
        Ok(outlined(&[1, 2], false)),
        Err(Status::unavailable("gone")),
    ]);
    b.outline(vec![Ok(outlined(&[1], false)), Ok(outlined(&[2, 3], true))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!(found, [1, 2, 3]);
    assert!(is_whole(last.coverage.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn spans_of_two_consumers_are_one_outline_and_equal_ones_are_one() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    a.outline(vec![Ok(outlined(&[1, 3], true))]);
    b.outline(vec![Ok(outlined(&[2, 3, 4], true))]);
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!(found, [1, 2, 3, 4]);
    assert_eq!(last.duplicate_spans, 1);
    assert_eq!((last.names.len(), last.resources.len()), (1, 1));
    assert!(is_whole(last.coverage.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn an_outline_without_one_of_its_consumers_names_it() {
    let a = Fake::start("a", &[0, 1], "cart");
    let b = Fake::start("b", &[2, 3], "web");
    a.outline(vec![Ok(outlined(&[1], true))]);
    b.act("get_trace_outline", Act::Fail(Status::unavailable("gone")));
    let (_fanout, mut client) = asked_as_one(&[&a, &b], Config::default());
    let (found, last) = outline(&mut client).await.unwrap();
    assert_eq!(found, [1]);
    let coverage = last.coverage.unwrap();
    assert!(
        coverage.partial && coverage.reasons[0].contains('b'),
        "{coverage:?}"
    );
}
