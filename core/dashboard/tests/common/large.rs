//! A trace of any size.

use log_tracer_proto::{otlp::trace::Span, v1::GetTraceResponse};

use super::otlp::{error, span, spans};

/// Ten services, a root with `width` children, each the start of a chain of `depth` spans, every thousandth an error.
pub fn large(width: u32, depth: u32) -> Vec<GetTraceResponse> {
    let number = |n: u32| u64::from(n + 1).to_be_bytes().to_vec();
    let mut by_service: Vec<Vec<Span>> = vec![Vec::new(); 10];
    let root = Span {
        span_id: number(0).into(),
        ..span(1, 1, 0, (0, 100_000))
    };
    by_service[0].push(root);
    for chain in 0..width {
        for level in 0..depth {
            let n = 1 + chain * depth + level;
            let parent = if level == 0 { 0 } else { n - 1 };
            let start = u64::from(chain) % 50_000 + u64::from(level);
            let own = Span {
                span_id: number(n).into(),
                parent_span_id: number(parent).into(),
                ..span(1, 2, 0, (start, start + 40_000))
            };
            let own = if n.is_multiple_of(1000) {
                error(own, "failed")
            } else {
                own
            };
            by_service[(n % 10) as usize].push(own);
        }
    }
    by_service
        .into_iter()
        .enumerate()
        .flat_map(|(at, own)| {
            let service = format!("service-{at}");
            own.chunks(5_000)
                .map(|chunk| GetTraceResponse {
                    resource_spans: vec![spans(&service, chunk.to_vec())],
                    ..GetTraceResponse::default()
                })
                .collect::<Vec<_>>()
        })
        .collect()
}
