//! One suite that every transport passes.
//!
//! A transport writes a [`Harness`], which opens its logs, and one line in an integration test:
//!
//! ```text
//! log_tracer_conformance::suite!(ChannelHarness);
//! ```
//!
//! The line becomes one `#[test]` for each [case](cases), named by the sentence that it checks; with
//! `ignore = "needs X: how"` behind the harness they are ignored unless somebody asks for them, as what needs a broker must
//! not look green when it did not run. Nothing is left out: what
//! a transport cannot do it declares as a [`Gap`] with a reason, the cases that touch it still run, and check that it
//! does exactly what the gap says. A weakness without a gap, and a gap without a weakness, fails
//! [`cases::identity::gaps_are_what_the_capabilities_say`].
//!
//! | file | what |
//! |---|---|
//! | `harness.rs` | what a transport tells the suite |
//! | `cases/mod.rs` | the table of cases; beside it the cases, by subject |
//! | `run.rs` | runs one case: the runtime, the clock, the end of patience |
//! | `stage.rs` | what the cases have at hand: logs, envelopes, rooms that are full |
//! | `reader.rs` | a subscription of which every delivery is checked |
//! | `seen.rs` | what a case saw instead of what it expected |
//!
//! That the suite catches what it should is tested with transports that are broken on purpose (`tests/broken`), and that
//! it lets pass what is declared with one that has nearly every gap (`tests/modest.rs`).

mod harness;
mod reader;
mod run;
mod seen;
mod stage;

pub mod cases;

pub use harness::{Clock, Gap, Harness, OptOut, Setup};
pub use run::{Case, Failure, run};
pub use seen::Seen;
pub use stage::Stage;

/// Turns the whole table into tests: one for each case, of the harness that the expression gives.
#[macro_export]
macro_rules! suite {
    ($harness:expr) => {
        $crate::table! { tests($harness) }
    };
    ($harness:expr, ignore = $reason:literal) => {
        $crate::table! { tests($harness, $reason) }
    };
}

/// One test for each row of the table.
#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    (@one $case:ident ($harness:expr $(, $reason:literal)?)) => {
        #[test]
        $(#[ignore = $reason])?
        fn $case() {
            if let Err(failure) = $crate::run(stringify!($case), &$harness) {
                panic!("{failure}");
            }
        }
    };
    ($with:tt $($threads:ident $subject:ident { $($case:ident,)+ })+) => {
        $($($crate::tests! { @one $case $with })+)+
    };
}
