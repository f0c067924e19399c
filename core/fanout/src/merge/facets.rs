//! The most frequent values, added up.
//!
//! Each consumer is asked for more values than are wanted ([`crate::Config::facet_values_max`]), because a value that is
//! rare on one may be frequent on all. When a consumer has still more, the sum of a value that it did not list may be low,
//! by the count of the least value that it listed at most: the answer then says by how much. What is counted altogether is
//! always right, so `other_count` is high by as much.

use std::{cmp::Reverse, collections::HashMap};

use log_tracer_proto::v1::{Facet, FacetValue, FacetsResponse};

use super::{covering::Covering, room::Room};
use crate::fan::Round;

/// The answer to `Facets`.
pub(crate) fn facets(
    round: Round<FacetsResponse>,
    mut covering: Covering,
    values_max: usize,
    answer_bytes_max: usize,
) -> FacetsResponse {
    let mut fields = Fields::default();
    for answer in round.answers {
        fields.add(answer.body.facets);
    }
    let mut room = Room::in_answer(answer_bytes_max);
    let mut facets = Vec::new();
    let (mut values_left_out, mut facets_left_out) = (0, 0);
    for name in fields.order {
        let Some(field) = fields.by_name.remove(&name) else {
            continue;
        };
        let (mut facet, understated) = field.into_facet(name, values_max);
        let values = std::mem::take(&mut facet.values);
        if !room.take(&facet) {
            facets_left_out += 1;
            continue;
        }
        for value in values {
            if room.take(&value) {
                facet.values.push(value);
            } else {
                // It is counted where every value that is not listed is.
                facet.other_count = facet.other_count.saturating_add(value.count);
                values_left_out += 1;
            }
        }
        if understated > 0 {
            covering.miss(format!(
                "the counts of {} may be low, each by {understated} at most: it has too many values",
                facet.field
            ));
        }
        facets.push(facet);
    }
    covering.leave_out(values_left_out, "values");
    covering.leave_out(facets_left_out, "fields");
    FacetsResponse {
        facets,
        coverage: Some(covering.into_message()),
    }
}

#[derive(Debug, Default)]
struct Fields {
    by_name: HashMap<String, Field>,
    /// In the order in which they were asked for, as far as the answers tell.
    order: Vec<String>,
}

/// What is known of one field.
#[derive(Debug, Default)]
struct Field {
    values: HashMap<String, Sum>,
    other_count: u64,
    /// Of each consumer that has more values than it listed: what a value that is not listed has at most.
    unlisted: Vec<u64>,
}

#[derive(Debug, Default)]
struct Sum {
    count: u64,
    /// What it may have on the consumers that have more values and listed this one, as if they had not.
    listed: u64,
}

impl Fields {
    fn add(&mut self, facets: Vec<Facet>) {
        // A consumer leaves fields out that none of its records has; those that it has stand in order.
        let mut after = 0;
        for facet in facets {
            match self.order.iter().position(|one| *one == facet.field) {
                Some(place) => after = after.max(place + 1),
                None => {
                    self.order.insert(after, facet.field.clone());
                    after += 1;
                }
            }
            let field = self.by_name.entry(facet.field.clone()).or_default();
            field.add(facet);
        }
    }
}

impl Field {
    fn add(&mut self, facet: Facet) {
        let least = facet.values.iter().map(|one| one.count).min();
        let unlisted = match facet.other_count {
            0 => 0,
            others => least.map_or(others, |least| least.min(others)),
        };
        self.other_count = self.other_count.saturating_add(facet.other_count);
        self.unlisted.extend((unlisted > 0).then_some(unlisted));
        for value in facet.values {
            let sum = self.values.entry(value.value).or_default();
            sum.count = sum.count.saturating_add(value.count);
            sum.listed = sum.listed.saturating_add(unlisted);
        }
    }

    /// The most frequent values, and by how much the count of one may be low.
    fn into_facet(self, field: String, values_max: usize) -> (Facet, u64) {
        let all_unlisted = self
            .unlisted
            .iter()
            .fold(0, |sum: u64, one| sum.saturating_add(*one));
        let mut values: Vec<(String, Sum)> = self.values.into_iter().collect();
        values.sort_by(|(a, a_sum), (b, b_sum)| {
            (Reverse(a_sum.count), a).cmp(&(Reverse(b_sum.count), b))
        });
        let rest = values.split_off(values_max.min(values.len()));
        let of_rest = rest
            .iter()
            .fold(0, |sum: u64, (_, one)| sum.saturating_add(one.count));
        let low = values
            .iter()
            .map(|(_, sum)| all_unlisted.saturating_sub(sum.listed));
        let understated = low.max().unwrap_or(0);
        let facet = Facet {
            field,
            values: values
                .into_iter()
                .map(|(value, sum)| FacetValue {
                    value,
                    count: sum.count,
                })
                .collect(),
            other_count: self.other_count.saturating_add(of_rest),
        };
        (facet, understated)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::fan::Answer;

    fn facet(field: &str, values: &[(&str, u64)], other_count: u64) -> Facet {
        let value = |(value, count): &(&str, u64)| FacetValue {
            value: (*value).to_owned(),
            count: *count,
        };
        Facet {
            field: field.to_owned(),
            values: values.iter().map(value).collect(),
            other_count,
        }
    }

    fn merge(answers: Vec<Vec<Facet>>, values_max: usize) -> FacetsResponse {
        let answers = answers.into_iter().map(|facets| Answer {
            member: 0,
            label: String::new(),
            body: FacetsResponse {
                facets,
                coverage: None,
            },
        });
        let round = Round {
            answers: answers.collect(),
            gaps: Vec::new(),
            is_whole: true,
        };
        facets(round, Covering::since(Instant::now()), values_max, 1 << 20)
    }

    #[test]
    fn counts_are_added_and_what_is_not_listed_is_counted_among_the_others() {
        let answer = merge(
            vec![
                vec![facet("service", &[("a", 5), ("b", 3)], 0)],
                vec![facet("service", &[("c", 6), ("b", 4)], 0)],
            ],
            2,
        );
        assert_eq!(answer.facets, [facet("service", &[("b", 7), ("c", 6)], 5)]);
        assert!(!answer.coverage.unwrap().partial);
    }

    #[test]
    fn counts_that_may_be_low_are_said_with_by_how_much() {
        let answer = merge(
            vec![
                vec![facet("user", &[("a", 5), ("b", 3)], 9)],
                vec![facet("user", &[("a", 6), ("c", 5)], 0)],
            ],
            2,
        );
        assert_eq!(answer.facets, [facet("user", &[("a", 11), ("c", 5)], 12)]);
        let coverage = answer.coverage.unwrap();
        assert!(coverage.partial);
        assert_eq!(
            coverage.reasons,
            ["the counts of user may be low, each by 3 at most: it has too many values"]
        );
        // Nothing is said when what is shown is exact.
        let answer = merge(
            vec![
                vec![facet("user", &[("a", 5), ("b", 3)], 9)],
                vec![facet("user", &[("a", 6), ("c", 5)], 0)],
            ],
            1,
        );
        assert!(!answer.coverage.unwrap().partial);
    }

    #[test]
    fn fields_stand_in_the_order_that_the_answers_tell() {
        let one = |field| facet(field, &[("x", 1)], 0);
        let answer = merge(
            vec![
                vec![one("service"), one("host")],
                vec![one("service"), one("severity"), one("host"), one("zone")],
            ],
            9,
        );
        let fields: Vec<&str> = answer.facets.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["service", "severity", "host", "zone"]);
    }
}
