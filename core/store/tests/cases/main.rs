//! The cases that go wrong elsewhere, one by one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod blocks;
mod bounds;
mod build;
mod counts;
mod damage;
mod durable;
mod outlines;
mod pages;
mod ranks;
mod records;
mod samples;
mod traces;
mod words;
