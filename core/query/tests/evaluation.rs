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
use log_tracer_query::{Expr, Field, Record, Records, RowSet, TextTest, ValueTest, parse};
use proptest::prelude::*;

fn found(expr: &Expr, record: &TestRecord) -> bool {
    let query = parse(&expr.to_string()).expect("a printed query is read");
    query.matches(record)
}

/// Records of which each is asked.
struct Many<'r>(&'r [TestRecord]);

impl Records for Many<'_> {
    type Error = std::convert::Infallible;

    fn with_value(
        &mut self,
        field: &Field,
        test: &ValueTest<'_>,
        among: &RowSet,
    ) -> Result<RowSet, Self::Error> {
        assert!(!among.is_empty(), "nothing is asked of no record");
        let mut found = among.clone();
        found.retain(|row| self.0[row].any_value(field, &mut |value| test.accepts(value)));
        Ok(found)
    }

    /// As a store does it that has the texts one after the other.
    fn with_text(&mut self, test: &TextTest<'_>, among: &RowSet) -> Result<RowSet, Self::Error> {
        let mut found = RowSet::none(among.rows());
        let (mut all, mut ends) = (String::new(), Vec::new());
        for (row, record) in self.0.iter().enumerate() {
            record.any_text(&mut |text| {
                all.push_str(text);
                ends.push((all.len(), row));
                false
            });
        }
        let mut accept = |number: usize| {
            let start = number.checked_sub(1).map_or(0, |before| ends[before].0);
            let (end, row) = ends[number];
            if among.contains(row) && test.accepts(&all[start..end]) {
                found.insert(row);
            }
        };
        match test.finder(all.as_bytes()) {
            None => (0..ends.len()).for_each(accept),
            Some(finder) => {
                let mut place = 0;
                while let Some(at) = finder.next_from(place) {
                    let number = ends.partition_point(|(end, _)| *end <= at);
                    accept(number);
                    place = ends[number].0;
                }
            }
        }
        Ok(found)
    }
}

proptest! {
    #[test]
    fn many_records_are_asked_at_once_like_one_after_the_other(
        expr in expr(),
        records in prop::collection::vec(record(), 0..12),
        among in any::<u16>(),
    ) {
        let query = parse(&expr.to_string()).expect("a printed query is read");
        let among = RowSet::of(records.len(), |row| among >> row & 1 == 1);
        let Ok(found) = query.select(&mut Many(&records), among.clone());
        let expected: Vec<_> = among.iter().filter(|row| query.matches(&records[*row])).collect();
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{}", query);
    }

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
    fn every_match_may_have_what_the_query_needs_whatever_is_not_known_of_it(
        expr in expr(),
        records in prop::collection::vec(record(), 12),
        hidden in any::<u16>(),
    ) {
        let query = parse(&expr.to_string()).expect("a printed query is read");
        let needs = query.needs();
        for record in records.iter().filter(|record| query.matches(*record)) {
            let fields = record.values.keys().enumerate();
            let fields = fields.filter(|(number, _)| hidden >> (number % 16) & 1 == 1);
            let hidden: Vec<_> = fields.map(|(_, field)| field.clone()).collect();
            let mut known = record.clone();
            known.values.retain(|field, _| !hidden.contains(field));
            known.texts.clear();
            prop_assert!(needs.may_admit(&known, |field| !hidden.contains(field)), "{}\n{:?}", query, record);
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
