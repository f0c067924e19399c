//! The rows of an outline, which a message carries as columns: the one place that knows how these lie.

use crate::v1::{OutlineLogs, OutlineSpans};

/// A span of an outline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpanRow {
    /// Its id, and that of its parent; zeros for none.
    pub span_id: [u8; 8],
    /// See `span_id`.
    pub parent_id: [u8; 8],
    /// Nanoseconds since 1970.
    pub start_unix_nano: u64,
    /// Nanoseconds since 1970.
    pub end_unix_nano: u64,
    /// The number of its name.
    pub name: u32,
    /// The number of its resource.
    pub resource: u32,
    /// The number of its value of the field that was asked about; none without it.
    pub value: Option<u32>,
    /// As OTLP numbers kinds.
    pub kind: u8,
    /// As OTLP numbers statuses.
    pub status: u8,
    /// Whether it matches; false when nothing was asked.
    pub matches: bool,
}

/// A log record of an outline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogRow {
    /// The span that it belongs to; zeros for none.
    pub span_id: [u8; 8],
    /// Nanoseconds since 1970.
    pub time_unix_nano: u64,
    /// The number of its resource.
    pub resource: u32,
    /// As OTLP numbers severities.
    pub severity: u8,
    /// Whether it matches; false when nothing was asked.
    pub matches: bool,
}

/// Columns that are there only when they were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which rows match a query.
    pub matches: bool,
    /// The values of a field; log records have none.
    pub values: bool,
}

impl OutlineSpans {
    /// Its rows, as far as all columns that are always there go.
    pub fn rows(&self) -> impl Iterator<Item = SpanRow> + '_ {
        let columns = ids(&self.span_ids)
            .zip(ids(&self.parent_span_ids))
            .zip(self.start_unix_nano.iter().zip(&self.end_unix_nano))
            .zip(self.names.iter().zip(&self.resources))
            .zip(self.kinds.iter().zip(&self.statuses));
        columns.enumerate().map(
            |(at, ((((span_id, parent_id), (start, end)), (name, resource)), (kind, status)))| {
                SpanRow {
                    span_id,
                    parent_id,
                    start_unix_nano: *start,
                    end_unix_nano: *end,
                    name: *name,
                    resource: *resource,
                    value: self.values.get(at).and_then(|value| value.checked_sub(1)),
                    kind: *kind,
                    status: *status,
                    matches: self.matches.get(at) == Some(&1),
                }
            },
        )
    }

    /// Rows as columns.
    #[must_use]
    pub fn of(rows: impl IntoIterator<Item = SpanRow>, asked: Asked) -> Self {
        let mut columns = Self::default();
        // A message does not let its bytes grow.
        let (mut ids, mut parents) = (Vec::new(), Vec::new());
        let (mut kinds, mut statuses, mut matches) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            ids.extend_from_slice(&row.span_id);
            parents.extend_from_slice(&row.parent_id);
            columns.start_unix_nano.push(row.start_unix_nano);
            columns.end_unix_nano.push(row.end_unix_nano);
            columns.names.push(row.name);
            columns.resources.push(row.resource);
            kinds.push(row.kind);
            statuses.push(row.status);
            if asked.matches {
                matches.push(u8::from(row.matches));
            }
            if asked.values {
                let one_more = row.value.map_or(0, |value| value.saturating_add(1));
                columns.values.push(one_more);
            }
        }
        Self {
            span_ids: ids.into(),
            parent_span_ids: parents.into(),
            kinds: kinds.into(),
            statuses: statuses.into(),
            matches: matches.into(),
            ..columns
        }
    }
}

impl OutlineLogs {
    /// Its rows, as far as all columns that are always there go.
    pub fn rows(&self) -> impl Iterator<Item = LogRow> + '_ {
        let columns = ids(&self.span_ids)
            .zip(&self.time_unix_nano)
            .zip(self.severities.iter().zip(&self.resources));
        columns
            .enumerate()
            .map(|(at, ((span_id, time), (severity, resource)))| LogRow {
                span_id,
                time_unix_nano: *time,
                resource: *resource,
                severity: *severity,
                matches: self.matches.get(at) == Some(&1),
            })
    }

    /// Rows as columns.
    #[must_use]
    pub fn of(rows: impl IntoIterator<Item = LogRow>, asked: Asked) -> Self {
        let mut columns = Self::default();
        let (mut ids, mut severities, mut matches) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            ids.extend_from_slice(&row.span_id);
            columns.time_unix_nano.push(row.time_unix_nano);
            columns.resources.push(row.resource);
            severities.push(row.severity);
            if asked.matches {
                matches.push(u8::from(row.matches));
            }
        }
        Self {
            span_ids: ids.into(),
            severities: severities.into(),
            matches: matches.into(),
            ..columns
        }
    }
}

fn ids(column: &[u8]) -> impl Iterator<Item = [u8; 8]> + '_ {
    column.as_chunks().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span_rows() -> impl Strategy<Value = Vec<SpanRow>> {
        let numbers = any::<([u8; 8], [u8; 8], u64, u64, u32, u32)>();
        let rest = (prop::option::of(0..u32::MAX), any::<(u8, u8, bool)>());
        let row = (numbers, rest).prop_map(|(numbers, (value, (kind, status, matches)))| {
            let (span_id, parent_id, start_unix_nano, end_unix_nano, name, resource) = numbers;
            SpanRow {
                span_id,
                parent_id,
                start_unix_nano,
                end_unix_nano,
                name,
                resource,
                value,
                kind,
                status,
                matches,
            }
        });
        prop::collection::vec(row, 0..9)
    }

    fn log_rows() -> impl Strategy<Value = Vec<LogRow>> {
        let row = any::<([u8; 8], u64, u32, u8, bool)>().prop_map(
            |(span_id, time_unix_nano, resource, severity, matches)| LogRow {
                span_id,
                time_unix_nano,
                resource,
                severity,
                matches,
            },
        );
        prop::collection::vec(row, 0..9)
    }

    proptest! {
        #[test]
        fn rows_survive_their_columns_but_for_what_was_not_asked(
            spans in span_rows(),
            logs in log_rows(),
            matches: bool,
            values: bool,
        ) {
            let asked = Asked { matches, values };
            let columns = OutlineSpans::of(spans.iter().copied(), asked);
            prop_assert_eq!(columns.matches.is_empty(), !matches || spans.is_empty());
            prop_assert_eq!(columns.values.is_empty(), !values || spans.is_empty());
            let want: Vec<SpanRow> = spans
                .iter()
                .map(|row| SpanRow {
                    matches: row.matches && matches,
                    value: row.value.filter(|_| values),
                    ..*row
                })
                .collect();
            prop_assert_eq!(columns.rows().collect::<Vec<_>>(), want);

            let columns = OutlineLogs::of(logs.iter().copied(), asked);
            let want: Vec<LogRow> = logs
                .iter()
                .map(|row| LogRow {
                    matches: row.matches && matches,
                    ..*row
                })
                .collect();
            prop_assert_eq!(columns.rows().collect::<Vec<_>>(), want);
        }

        #[test]
        fn columns_of_different_lengths_have_the_rows_of_the_shortest(
            spans in span_rows(),
            cut in 0_usize..9,
        ) {
            let asked = Asked { matches: true, values: true };
            let mut columns = OutlineSpans::of(spans.iter().copied(), asked);
            columns.names.truncate(cut);
            columns.values.clear();
            prop_assert_eq!(columns.rows().count(), cut.min(spans.len()));
            prop_assert!(columns.rows().all(|row| row.value.is_none()));
        }
    }
}
