//! How high each item stands.

use super::{Begin, Item, Sizes, Table};

/// The room that the bend of an edge takes.
pub(super) const BEND_HEIGHT: f64 = 8.0;

/// From left to right and back, in turn; an even number.
const ROUNDS: usize = 16;

/// How much an item that stays where it is pulls: more than all others of a layer.
const STAYS: f64 = 1e9;

/// The upper end of each item; the least is 0.
pub(super) fn heights(
    items: &[Item],
    rows: &[Vec<usize>],
    sizes: Sizes,
    begin: Begin,
) -> Table<f64> {
    let mut y: Table<f64> = Table::of(items.len());
    for row in rows {
        let mut next = 0.0;
        for number in row {
            y.put(*number, next);
            next += height(items, *number, sizes) + gap(items, *number, sizes);
        }
    }
    let top = match begin {
        Begin::Amid => None,
        Begin::OnTop => rows.first().and_then(|row| row.first()).copied(),
    };
    let layers: Vec<usize> = (0..rows.len()).collect();
    // The last round goes from right to left, so that callers stand amid what they call; or, below a caller that stays on
    // top, the other way, so that what it calls begins beside it.
    for round in 0..ROUNDS + usize::from(top.is_some()) {
        let is_forward = round % 2 == 0;
        let order: Vec<usize> = if is_forward {
            layers.clone()
        } else {
            layers.iter().rev().copied().collect()
        };
        for layer in order {
            if let Some(row) = rows.get(layer) {
                settle(row, items, &mut y, sizes, top, |item| match is_forward {
                    true => &item.before,
                    false => &item.after,
                });
            }
        }
    }
    let least = y.0.iter().copied().fold(f64::INFINITY, f64::min);
    y.0.iter_mut().for_each(|y| *y = (*y - least).round());
    y
}

fn height(items: &[Item], number: usize, sizes: Sizes) -> f64 {
    match items.get(number).and_then(|item| item.node) {
        Some(_) => sizes.height,
        None => BEND_HEIGHT,
    }
}

/// What stays free below an item.
fn gap(items: &[Item], number: usize, sizes: Sizes) -> f64 {
    match items.get(number).and_then(|item| item.node) {
        Some(_) => sizes.gap_y,
        None => sizes.gap_y / 2.0,
    }
}

/// Moves the items of a layer to the weighted mean of their neighbours, as near as their order and distance allow. With an
/// item that stays on top, none stands above it.
fn settle<'a>(
    row: &[usize],
    items: &'a [Item],
    y: &mut Table<f64>,
    sizes: Sizes,
    top: Option<usize>,
    near: impl Fn(&'a Item) -> &'a [usize],
) {
    // With the room above it taken away, each item must only not stand above the one before: isotonic regression.
    let mut above = 0.0;
    let mut blocks: Vec<Block> = Vec::new();
    for number in row {
        let Some(item) = items.get(*number) else {
            continue;
        };
        let own = height(items, *number, sizes);
        let (mut sum, mut weight) = (0.0, 0.0);
        for other in near(item) {
            let middle = y.at(*other) + height(items, *other, sizes) / 2.0;
            let pull = pull(item, items.get(*other));
            sum += pull * (middle - own / 2.0);
            weight += pull;
        }
        if top == Some(*number) {
            (sum, weight) = (0.0, STAYS);
        }
        if weight == 0.0 {
            // Nothing pulls it: it stays, but gives way to all others.
            weight = 0.01;
            sum = weight * y.at(*number);
        }
        push(
            &mut blocks,
            Block {
                sum: sum - weight * above,
                weight,
                count: 1,
            },
        );
        above += own + gap(items, *number, sizes);
    }
    let mut above = 0.0;
    // What would stand above the bound is moved to it: of such a regression the nearest that is allowed.
    let bound = top.map_or(f64::NEG_INFINITY, |_| 0.0);
    let settled = blocks
        .iter()
        .flat_map(|block| std::iter::repeat_n(block.mean().max(bound), block.count));
    for (number, mean) in row.iter().zip(settled) {
        y.put(*number, mean + above);
        above += height(items, *number, sizes) + gap(items, *number, sizes);
    }
}

/// Edges over several layers pull more, so that they are straight where nothing is said at their bends.
fn pull(item: &Item, other: Option<&Item>) -> f64 {
    match (item.node, other.and_then(|other| other.node)) {
        (None, None) => 8.0,
        (None, _) | (_, None) => 2.0,
        _ => 1.0,
    }
}

/// Items that stand as close as they may, and where they want to be.
#[derive(Clone, Copy, Debug)]
struct Block {
    sum: f64,
    weight: f64,
    count: usize,
}

impl Block {
    fn mean(&self) -> f64 {
        self.sum / self.weight
    }
}

/// Pools a block with those above that want to be further down.
fn push(blocks: &mut Vec<Block>, mut block: Block) {
    while let Some(above) = blocks.pop_if(|above| above.mean() > block.mean()) {
        block = Block {
            sum: above.sum + block.sum,
            weight: above.weight + block.weight,
            count: above.count + block.count,
        };
    }
    blocks.push(block);
}
