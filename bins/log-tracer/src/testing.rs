//! log-tracer inside a test: starts in milliseconds on free ports, keeps everything in memory, and is gone when the
//! test ends.
//!
//! Point the OpenTelemetry SDK of the code under test at [`TestTracer::otlp_grpc`] or [`TestTracer::otlp_http`], let it
//! flush, and assert on what arrived:
//!
//! ```
//! use log_tracer::testing::TestTracer;
//!
//! # async fn code_under_test(_: String) -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let tracer = TestTracer::start().await?;
//! code_under_test(tracer.otlp_grpc()).await?; // exports its spans and logs there
//!
//! let trace = tracer.wait_for_spans("5b8efff798038103d269b633813fc60c", 2).await?;
//! let request = trace.root().named("POST /pay");
//! trace
//!     .span("charge")
//!     .child_of(request)
//!     .with_attribute("card.brand", "visa")
//!     .with_attribute("amount.cents", 4_200);
//! trace.log("the card was charged").in_span(trace.span("charge"));
//!
//! let refused = tracer.logs_of("severity>=warn service:checkout").await?;
//! assert!(refused.is_empty(), "{refused:?}");
//! # Ok(())
//! # }
//! ```
//!
//! It runs on a thread of its own with a runtime of its own, so it works within a tokio runtime of either flavour, with
//! paused time, within any other runtime, and, by [`TestTracer::start_blocking`] and [`TestTracer::blocking`], without
//! one. Several in one process do not know of each other.
//!
//! Helpers that assert, such as [`Trace::span`] and [`Span::child_of`], panic at the line of the test that called
//! them, with the whole trace as text.
//!
//! Tests in another language start `log-tracer run --in-memory --exit-with-parent` and read one line of JSON.

mod blocking;
mod error;
mod expected;
mod log;
mod server;
mod trace;
mod tracer;

pub use blocking::Blocking;
pub use error::{StartError, StopError, WaitError};
pub use expected::Expected;
pub use log::Log;
pub use log_tracer_record::{SpanId, TraceId};
pub use trace::{Span, Trace};
pub use tracer::{IntoTraceId, Options, TestTracer};

#[cfg(test)]
mod tests;
