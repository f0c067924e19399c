//! A query matches what its meaning, written down plainly, says; and the laws of logic hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::generate::{expr, record};
use common::{TestRecord, reference};
use log_tracer_query::{Expr, Record, parse};
use proptest::prelude::*;

fn found(expr: &Expr, record: &TestRecord) -> bool {
    let query = parse(&expr.to_string()).expect("a printed query is read");
    query.matches(record)
}

proptest! {
    #[test]
    fn matching_agrees_with_the_plain_meaning(expr in expr(), records in prop::collection::vec(record(), 12)) {
        let query = parse(&expr.to_string()).expect("a printed query is read");
        for record in &records {
            prop_assert_eq!(query.matches(record), reference::matches(&expr, record), "{}\n{:?}", query, record);
        }
    }

    #[test]
    fn every_match_has_what_the_query_needs(expr in expr(), records in prop::collection::vec(record(), 12)) {
        let query = parse(&expr.to_string()).expect("a printed query is read");
        let needs = query.needs();
        for record in &records {
            if query.matches(record) {
                prop_assert!(needs.admit(record), "{}\n{:?}\n{:?}", query, needs, record);
            }
        }
    }

    #[test]
    fn a_query_looks_at_no_other_field_than_it_needs(expr in expr(), record in record()) {
        let query = parse(&expr.to_string()).expect("a printed query is read");
        let needs = query.needs();
        let mut reduced = record.clone();
        reduced.values.retain(|field, _| needs.fields.contains(field));
        if !needs.texts {
            reduced.texts.clear();
        }
        prop_assert_eq!(query.matches(&reduced), query.matches(&record));
    }

    #[test]
    fn the_laws_of_logic_hold(a in expr(), b in expr(), c in expr(), record in record()) {
        let not = |expr: &Expr| Expr::negated(expr.clone());
        let and = |x: &Expr, y: &Expr| Expr::and([x.clone(), y.clone()]);
        let or = |x: &Expr, y: &Expr| Expr::or([x.clone(), y.clone()]);
        let truth = found(&a, &record);
        prop_assert_ne!(found(&not(&a), &record), truth);
        // De Morgan
        prop_assert_eq!(found(&not(&and(&a, &b)), &record), found(&or(&not(&a), &not(&b)), &record));
        prop_assert_eq!(found(&not(&or(&a, &b)), &record), found(&and(&not(&a), &not(&b)), &record));
        // distribution, absorption
        prop_assert_eq!(
            found(&and(&a, &or(&b, &c)), &record),
            found(&or(&and(&a, &b), &and(&a, &c)), &record)
        );
        prop_assert_eq!(found(&or(&a, &and(&a, &b)), &record), truth);
        prop_assert_eq!(found(&and(&a, &Expr::All), &record), truth);
    }
}

#[test]
fn a_record_can_be_asked_through_a_trait_object() {
    let record: Box<dyn Record> = Box::new(TestRecord::default().text("hello"));
    assert!(parse("hello").unwrap().matches(record.as_ref()));
}
