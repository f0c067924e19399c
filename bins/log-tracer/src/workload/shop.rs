//! What happens in the shop.
//!
//! - `pages`: the six kinds of traces;
//! - `backends`: the services that they call;
//! - `calls`: what every call looks like;
//! - `sdk`: what the instrumentation of the services adds.

mod backends;
mod calls;
mod pages;
mod sdk;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{Traffic, recorder::Recorder};

/// Makes traces, one after the other.
#[derive(Debug)]
pub struct Shop {
    rng: StdRng,
}

type Trace<'a> = Recorder<'a, StdRng>;

impl Shop {
    /// The same seed gives the same traces.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// The next trace, as if it started at this time.
    pub fn next_trace(&mut self, start_unix_nano: u64) -> Traffic {
        let choice = self.rng.random_range(0..100);
        let mut trace = Recorder::new(&mut self.rng);
        match choice {
            0..30 => pages::home(&mut trace, start_unix_nano),
            30..55 => pages::product(&mut trace, start_unix_nano),
            55..70 => pages::search(&mut trace, start_unix_nano),
            70..82 => pages::add_to_cart(&mut trace, start_unix_nano),
            82..96 => pages::checkout(&mut trace, start_unix_nano),
            _ => pages::restock(&mut trace, start_unix_nano),
        }
        trace.finish()
    }
}

/// A customer of the shop; the same number is the same person.
struct Visitor {
    user: String,
    currency: &'static str,
}
