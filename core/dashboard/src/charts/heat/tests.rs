use log_tracer_proto::v1::HeatmapStep;
use proptest::prelude::*;

use super::*;

struct Nowhere;

impl Leads for Nowhere {
    fn between(&self, from: u64, to: u64) -> String {
        format!("{from}-{to}")
    }

    fn durations(&self, min: u64, max: Option<u64>) -> String {
        format!(
            "{min}-{}",
            max.map_or_else(String::new, |max| max.to_string())
        )
    }
}

const TRACES: Noun = Noun {
    one: "trace",
    many: "traces",
};

/// What a consumer answers of durations that start at these times, with one bucket an octave; those of odd nanoseconds
/// failed.
fn answer(records: &[(u64, u64)], step_nano: u64) -> DurationHeatmapResponse {
    let bucket = |nanos: u64| nanos.checked_ilog2().map_or(0, |octave| octave + 1);
    let of = |(start, nanos): &(u64, u64)| HeatmapStep {
        start_unix_nano: start / step_nano * step_nano,
        first_bucket: bucket(*nanos),
        counts: vec![1],
        errors: vec![nanos % 2],
    };
    DurationHeatmapResponse {
        steps: records.iter().map(of).collect(),
        step_nano,
        buckets_per_octave: 1,
        first_bucket: 0,
        edges_nano: (0..65)
            .map(|bucket| match bucket {
                0 => 0,
                bucket => 1 << (bucket - 1),
            })
            .chain([u64::MAX])
            .collect(),
        coverage: None,
    }
}

fn heat(records: &[(u64, u64)], range: (u64, u64), step: u64) -> Option<Heat> {
    Heat::new(&answer(records, step), range, step, TRACES, &Nowhere)
}

#[test]
fn a_cell_stands_where_its_time_and_duration_are() {
    let ms = 1_000_000;
    let records = [(0, 2 * ms), (15 * ms, 2 * ms), (15 * ms, 3 * ms + 1)];
    let heat = heat(&records, (0, 20 * ms), 10 * ms).unwrap();
    assert_eq!((heat.columns, heat.rows), (2, 8));
    // 2 ms lies in the octave from 1.05 to 2.1 ms, and 3 ms in the next.
    assert_eq!(heat.script.cells, "3,1;3,1,1/1");
    let edges: Vec<u64> = heat
        .script
        .edges
        .split(',')
        .map(|edge| edge.parse().unwrap())
        .collect();
    assert_eq!(edges[3..6], [1 << 20, 1 << 21, 1 << 22]);
    assert_eq!(heat.shades.len(), 1);
    assert_eq!(heat.shades[0].path, "M0 4h2v1h-2M1 3h1v1h-1");
    assert_eq!(heat.failed, "M1 3.7h1v.3h-1");
    assert_eq!(heat.gaps, "M1 0v8");
    assert!(
        heat.summary.starts_with("3 traces, 1 failed."),
        "{}",
        heat.summary
    );
}

#[test]
fn a_column_is_told_from_its_first_row_on_with_gaps_and_one_without_cells_is_empty() {
    let us = 1_000;
    let records = [
        (0, 2 * us),
        (0, 17 * us),
        (2, 9 * us),
        (2, 9 * us),
        (3, 2 * us + 1),
    ];
    let heat = heat(&records, (0, 4), 1).unwrap();
    assert_eq!(heat.script.cells, "1,1,,,,1;;4,2;1,1/1");
}

#[test]
fn rows_and_columns_lead_to_what_they_count() {
    let heat = heat(&[(5, 3_000_000)], (0, 10), 1).unwrap();
    let row = &heat.table.rows[0];
    assert_eq!(row.href, format!("{}-{}", 1 << 21, (1 << 22) - 1));
    assert_eq!(row.durations, "2.10 ms to 4.19 ms");
    assert!(heat.table.columns.len() <= 6);
    assert_eq!(heat.bands.last().unwrap().href, "9-10");
    let level = heat.levels.iter().find(|level| level.label == "1 ms");
    assert_eq!(level.unwrap().href, "1000000-");
}

#[test]
fn durations_of_less_than_a_microsecond_are_one_row_without_a_lower_bound() {
    let heat = heat(&[(0, 0), (0, 1), (0, 900)], (0, 10), 10).unwrap();
    assert_eq!(heat.script.cells, "0,3/1");
    assert_eq!(heat.table.rows[0].durations, "less than 1.02 µs");
    assert_eq!(heat.table.rows[0].href, "0-1023");
}

#[test]
fn the_longest_durations_have_no_upper_bound() {
    let heat = heat(&[(0, u64::MAX)], (0, 10), 10).unwrap();
    let row = &heat.table.rows[0];
    assert!(row.durations.ends_with("and longer"), "{}", row.durations);
    assert!(row.href.ends_with('-'), "{}", row.href);
}

#[test]
fn few_counts_have_a_colour_each_and_many_share_them() {
    assert_eq!(thresholds(1), [1]);
    assert_eq!(thresholds(3), [1, 2, 3]);
    let many = thresholds(100_000);
    assert_eq!((many.len(), many[5]), (6, 100_000));
    assert!(many.is_sorted_by(|a, b| a < b));
    let heat = heat(&[(0, 5_000), (0, 5_001), (9, 5_000)], (0, 10), 1).unwrap();
    let labels: Vec<_> = heat
        .shades
        .iter()
        .map(|shade| (shade.number, shade.label.as_str()))
        .collect();
    assert_eq!(labels, [(5, "1"), (6, "2")]);
}

#[test]
fn nothing_makes_no_picture() {
    assert!(heat(&[], (0, 10), 1).is_none());
    assert!(
        heat(&[(50, 5)], (0, 10), 1).is_none(),
        "outside of the range"
    );
    assert!(heat(&[(5, 5)], (10, 10), 1).is_none());
    assert!(heat(&[(5, 5)], (0, 10), 1).is_some());
}

/// An answer of any numbers.
fn any_answer() -> impl Strategy<Value = DurationHeatmapResponse> {
    let number = || prop_oneof![any::<u64>(), 0..100_u64];
    let small = || prop_oneof![any::<u32>(), 0..70_u32];
    let numbers = || prop::collection::vec(number(), 0..5);
    let step =
        (number(), small(), numbers(), numbers()).prop_map(|(start, first, counts, errors)| {
            HeatmapStep {
                start_unix_nano: start,
                first_bucket: first,
                counts,
                errors,
            }
        });
    let steps = prop::collection::vec(step, 0..6);
    (steps, small(), small(), numbers()).prop_map(
        |(steps, per_octave, first_bucket, edges_nano)| DurationHeatmapResponse {
            steps,
            buckets_per_octave: per_octave,
            first_bucket,
            edges_nano,
            ..DurationHeatmapResponse::default()
        },
    )
}

proptest! {
    #[test]
    fn every_record_of_the_range_is_in_one_cell_between_its_edges(
        records in prop::collection::vec((0..100_u64, 0..64_u32, any::<u64>()), 1..40),
        range in (0..50_u64, 1..60_u64),
        step in 1..20_u64,
    ) {
        let records: Vec<(u64, u64)> = records.into_iter().map(|(start, shift, nanos)| (start, nanos >> shift)).collect();
        let bounds = (range.0, range.0 + range.1);
        let answer = answer(&records, step);
        let Some(grid) = Grid::new(&answer, bounds, step) else {
            return Ok(());
        };
        prop_assert!(grid.edges.is_sorted());
        let within: Vec<_> = records
            .iter()
            .filter(|(start, _)| (bounds.0 / step..=(bounds.1 - 1) / step).contains(&(start / step)))
            .collect();
        for cell in &grid.cells {
            let (min, max) = grid.durations(cell.row);
            let times = grid.time(cell.column)..grid.time(cell.column + 1);
            let own = within
                .iter()
                .filter(|(start, nanos)| times.contains(start) && *nanos >= min && max.is_none_or(|max| *nanos <= max));
            prop_assert_eq!(own.count() as u64, cell.count);
        }
        prop_assert_eq!(grid.totals().0, within.len() as u64);
    }

    #[test]
    fn no_answer_makes_it_fail_or_large(answer in any_answer(), range: (u64, u64), step: u64) {
        for step in [step, 1 << 60, 10] {
            if let Some(heat) = Heat::new(&answer, range, step, TRACES, &Nowhere) {
                prop_assert!(heat.columns <= 200 && heat.rows <= 40, "{} rows", heat.rows);
                prop_assert!(heat.levels.len() <= LEVELS_MAX && heat.bands.len() <= BANDS_MAX);
            }
        }
    }
}
