use proptest::prelude::*;

use super::*;

const SIZES: Sizes = Sizes {
    width: 100.0,
    height: 40.0,
    gap_y: 20.0,
    gap_x: 80.0,
};

fn overlaps(drawing: &Drawing) -> usize {
    let close =
        |a: &Point, b: &Point| (a.0 - b.0).abs() < SIZES.width && (a.1 - b.1).abs() < SIZES.height;
    let nodes = &drawing.nodes;
    (0..nodes.len())
        .flat_map(|a| (a + 1..nodes.len()).map(move |b| (a, b)))
        .filter(|(a, b)| close(&nodes[*a], &nodes[*b]))
        .count()
}

#[test]
fn callers_stand_left_of_what_they_call() {
    let drawing = draw(3, &[(2, 1, 1), (1, 0, 1), (2, 0, 1)], SIZES, Begin::Amid);
    let x: Vec<f64> = drawing.nodes.iter().map(|(x, _)| *x).collect();
    assert_eq!(x, [360.0, 180.0, 0.0]);
    // The long edge bends around the node between.
    assert_eq!(drawing.routes[2].len(), 4);
    let bend = drawing.routes[2][1].1;
    let (_, top) = drawing.nodes[1];
    assert!(bend < top || bend > top + SIZES.height, "{bend} {top}");
}

#[test]
fn of_a_cycle_the_lightest_call_is_drawn_backwards() {
    let drawing = draw(
        3,
        &[(0, 1, 100), (1, 2, 100), (2, 0, 1)],
        SIZES,
        Begin::Amid,
    );
    let x: Vec<f64> = drawing.nodes.iter().map(|(x, _)| *x).collect();
    assert_eq!(x, [0.0, 180.0, 360.0]);
    let back = &drawing.routes[2];
    assert!(back[0].0 > back[back.len() - 1].0, "{back:?}");
}

#[test]
fn two_calls_that_need_not_cross_do_not() {
    // Node 0 calls 3, node 1 calls 2: in the order of their numbers they would cross; 4 ties them together.
    let edges = [(0, 3, 1), (1, 2, 1), (4, 0, 1), (4, 1, 1)];
    let drawing = draw(5, &edges, SIZES, Begin::Amid);
    let y: Vec<f64> = drawing.nodes.iter().map(|(_, y)| *y).collect();
    assert_eq!(y[0] < y[1], y[3] < y[2]);
}

#[test]
fn what_is_not_connected_is_stacked_and_what_is_alone_stands_in_rows() {
    let drawing = draw(9, &[(0, 1, 1), (2, 3, 1), (3, 4, 1)], SIZES, Begin::Amid);
    let y = |node: usize| drawing.nodes[node].1;
    assert!(y(2) < y(0), "the larger one is on top");
    assert!(y(5) > y(0));
    assert_eq!((y(5), y(6)), (y(7), y(8)));
    assert_eq!(overlaps(&drawing), 0);
}

#[test]
fn a_call_to_itself_or_to_nothing_is_no_route() {
    let drawing = draw(1, &[(0, 0, 1), (0, 7, 1)], SIZES, Begin::Amid);
    assert!(drawing.routes.iter().all(Vec::is_empty));
    assert_eq!(drawing.nodes.len(), 1);
    assert_eq!(draw(0, &[], SIZES, Begin::Amid), Drawing::default());
}

#[test]
fn a_tree_has_no_crossing_and_its_parents_stand_amid_their_children() {
    let edges: Vec<Edge> = (1..40).map(|node| ((node - 1) / 3, node, 1)).collect();
    let forward: Vec<(usize, usize)> = edges.iter().map(|(from, to, _)| (*from, *to)).collect();
    let layer = layers::assign(40, &forward);
    let (items, _) = items(&layer, &forward);
    let rows = order::arrange(&items);
    let mut place = Table::of(items.len());
    for row in &rows {
        for (at, item) in row.iter().enumerate() {
            place.put(*item, at);
        }
    }
    assert_eq!(order::crossings(&items, &rows, &place), 0);
    let drawing = draw(40, &edges, SIZES, Begin::Amid);
    let y = |node: usize| drawing.nodes[node].1;
    for parent in 4..13 {
        let (first, last) = (y(3 * parent + 1), y(3 * parent + 3));
        let children = first.min(last)..=first.max(last);
        assert!(children.contains(&y(parent)), "{parent} {children:?}");
    }
}

#[test]
fn where_calls_begin_can_stand_in_the_corner_with_nothing_above_it() {
    // Two layers of a wide tree: amid them the first node is far down.
    let edges: Vec<Edge> = (1..31).map(|node| ((node - 1) / 5, node, 1)).collect();
    let amid = draw(31, &edges, SIZES, Begin::Amid);
    assert!(amid.nodes[0].1 > 5.0 * SIZES.height, "{:?}", amid.nodes[0]);
    let drawing = draw(31, &edges, SIZES, Begin::OnTop);
    assert_eq!(drawing.nodes[0], (0.0, 0.0));
    assert_eq!(overlaps(&drawing), 0);
    // Nothing is spread further than it has to be.
    assert!(drawing.height <= amid.height + SIZES.height);
}

proptest! {
    #[test]
    fn any_graph_is_drawn_without_overlaps_and_the_same_each_time(
        nodes in 0_usize..40,
        raw in prop::collection::vec((0_usize..45, 0_usize..45, any::<u64>()), 0..90),
        begin in prop::sample::select(vec![Begin::Amid, Begin::OnTop]),
    ) {
        let drawing = draw(nodes, &raw, SIZES, begin);
        prop_assert_eq!(&draw(nodes, &raw, SIZES, begin), &drawing);
        if begin == Begin::OnTop && nodes > 0 {
            prop_assert!(drawing.nodes.contains(&(0.0, 0.0)), "{:?}", drawing.nodes);
        }
        prop_assert_eq!(drawing.nodes.len(), nodes);
        prop_assert_eq!(overlaps(&drawing), 0);
        for (x, y) in drawing.nodes.iter().chain(drawing.routes.iter().flatten()) {
            prop_assert!((0.0..=drawing.width).contains(x) && (0.0..=drawing.height).contains(y));
        }
        for (edge, route) in raw.iter().zip(&drawing.routes) {
            prop_assert_eq!(route.is_empty(), !is_drawn(nodes, edge));
        }
    }

    #[test]
    fn no_route_runs_through_a_node(
        nodes in 1_usize..25,
        raw in prop::collection::vec((0_usize..25, 0_usize..25, 1_u64..9), 0..50),
        begin in prop::sample::select(vec![Begin::Amid, Begin::OnTop]),
    ) {
        let drawing = draw(nodes, &raw, SIZES, begin);
        for route in &drawing.routes {
            // The stretches across a layer are its bends.
            for pair in route.windows(2).filter(|pair| pair[0].1 == pair[1].1 && (pair[0].0 - pair[1].0).abs() == SIZES.width) {
                let left = pair[0].0.min(pair[1].0);
                for (x, y) in drawing.nodes.iter().filter(|(x, _)| *x == left) {
                    prop_assert!(pair[0].1 <= *y || pair[0].1 >= *y + SIZES.height, "{:?} {} {}", pair, x, y);
                }
            }
        }
    }
}
