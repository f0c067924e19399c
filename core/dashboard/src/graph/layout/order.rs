//! The order of the items within each layer, with few crossings.

use super::{Item, Table};

/// Sweeps over all layers, and rounds of swaps after each.
const SWEEPS: usize = 24;
const SWAP_ROUNDS_MAX: usize = 8;

/// The items of each layer, from top to bottom.
pub(super) fn arrange(items: &[Item]) -> Vec<Vec<usize>> {
    let mut rows = first(items);
    let mut place = places(items.len(), &rows);
    let mut best = (crossings(items, &rows, &place), rows.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let is_forward = sweep % 2 == 0;
        let layers: Vec<usize> = if is_forward {
            (0..rows.len()).collect()
        } else {
            (0..rows.len()).rev().collect()
        };
        for layer in layers {
            if let Some(row) = rows.get_mut(layer) {
                by_median(row, items, &place, is_forward);
                number(row, &mut place);
            }
        }
        swap(items, &mut rows, &mut place);
        let count = crossings(items, &rows, &place);
        if count < best.0 {
            best = (count, rows.clone());
        }
    }
    best.1
}

/// In the order of a walk along the edges, so that what is connected begins close together.
fn first(items: &[Item]) -> Vec<Vec<usize>> {
    let layers = items.iter().map(|item| item.layer + 1).max().unwrap_or(0);
    let mut rows = vec![Vec::new(); layers];
    let mut seen: Table<bool> = Table::of(items.len());
    let mut roots: Vec<usize> = (0..items.len()).collect();
    roots.sort_by_key(|number| items.get(*number).map_or(0, |item| item.layer));
    for root in roots {
        let mut walk = vec![root];
        while let Some(number) = walk.pop() {
            if seen.at(number) {
                continue;
            }
            seen.put(number, true);
            let Some(item) = items.get(number) else {
                continue;
            };
            if let Some(row) = rows.get_mut(item.layer) {
                row.push(number);
            }
            walk.extend(item.after.iter().rev());
        }
    }
    rows
}

fn places(items: usize, rows: &[Vec<usize>]) -> Table<usize> {
    let mut place = Table::of(items);
    for row in rows {
        number(row, &mut place);
    }
    place
}

fn number(row: &[usize], place: &mut Table<usize>) {
    for (at, item) in row.iter().enumerate() {
        place.put(*item, at);
    }
}

/// Sorts a layer by the median place of the neighbours in the layer before or after; without any, an item stays where
/// it is.
fn by_median(row: &mut [usize], items: &[Item], place: &Table<usize>, is_forward: bool) {
    let median = |number: &usize| {
        let item = items.get(*number)?;
        let near = if is_forward {
            &item.before
        } else {
            &item.after
        };
        let mut places: Vec<usize> = near.iter().map(|other| place.at(*other)).collect();
        places.sort_unstable();
        let (low, high) = (places.len().checked_sub(1)? / 2, places.len() / 2);
        Some(places.get(low)? + places.get(high)?)
    };
    let mut free: Vec<usize> = Vec::new();
    let mut sorted: Vec<(usize, usize)> = Vec::new();
    for (at, number) in row.iter().enumerate() {
        if let Some(median) = median(number) {
            free.push(at);
            sorted.push((median, *number));
        }
    }
    sorted.sort_by_key(|(median, _)| *median);
    for (at, (_, number)) in free.into_iter().zip(sorted) {
        if let Some(slot) = row.get_mut(at) {
            *slot = number;
        }
    }
}

/// Swaps neighbours as long as that leaves fewer crossings.
fn swap(items: &[Item], rows: &mut [Vec<usize>], place: &mut Table<usize>) {
    for _ in 0..SWAP_ROUNDS_MAX {
        let mut is_better = false;
        for row in rows.iter_mut() {
            for at in 1..row.len() {
                let (Some(above), Some(below)) = (row.get(at - 1), row.get(at)) else {
                    continue;
                };
                let (above, below) = (*above, *below);
                if between(items, place, above, below) > between(items, place, below, above) {
                    row.swap(at - 1, at);
                    place.put(above, at);
                    place.put(below, at - 1);
                    is_better = true;
                }
            }
        }
        if !is_better {
            return;
        }
    }
}

/// Crossings of the edges of two items of a layer when one stands above the other.
fn between(items: &[Item], place: &Table<usize>, above: usize, below: usize) -> usize {
    let (Some(above), Some(below)) = (items.get(above), items.get(below)) else {
        return 0;
    };
    let pairs = |upper: &[usize], lower: &[usize]| {
        upper
            .iter()
            .map(|a| {
                lower
                    .iter()
                    .filter(|b| place.at(*a) > place.at(**b))
                    .count()
            })
            .sum::<usize>()
    };
    pairs(&above.before, &below.before) + pairs(&above.after, &below.after)
}

/// All crossings.
pub(super) fn crossings(items: &[Item], rows: &[Vec<usize>], place: &Table<usize>) -> usize {
    rows.iter()
        .map(|row| {
            let ends: Vec<usize> = row
                .iter()
                .filter_map(|number| items.get(*number))
                .flat_map(|item| {
                    let mut ends: Vec<usize> =
                        item.after.iter().map(|other| place.at(*other)).collect();
                    ends.sort_unstable();
                    ends
                })
                .collect();
            inversions(ends).1
        })
        .sum()
}

/// Pairs that stand in the wrong order, counted by merging.
fn inversions(ends: Vec<usize>) -> (Vec<usize>, usize) {
    if ends.len() < 2 {
        return (ends, 0);
    }
    let (left, right) = ends.split_at(ends.len() / 2);
    let ((left, a), (right, b)) = (inversions(left.to_vec()), inversions(right.to_vec()));
    let (mut merged, mut count) = (Vec::with_capacity(ends.len()), a + b);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if b < a => {
                count += left.len();
                merged.extend(right.next());
            }
            (Some(_), _) => merged.extend(left.next()),
            (None, Some(_)) => merged.extend(right.next()),
            (None, None) => return (merged, count),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn inversions_are_all_pairs_in_the_wrong_order(ends in prop::collection::vec(0_usize..20, 0..40)) {
            let pairs = (0..ends.len())
                .flat_map(|a| (a + 1..ends.len()).map(move |b| (a, b)))
                .filter(|(a, b)| ends[*a] > ends[*b])
                .count();
            prop_assert_eq!(inversions(ends).1, pairs);
        }
    }
}
