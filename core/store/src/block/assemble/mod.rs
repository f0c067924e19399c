//! Columns of a file as a chunk.

mod attributes;
mod cells;
mod logs;
mod spans;
mod wanted;

use std::sync::Arc;

use log_tracer_record::{ResourceContext, ScopeContext};

pub(crate) use cells::TextCells;
pub(crate) use logs::{COLUMNS_OF as LOG_COLUMNS_OF, assemble_logs};
pub(crate) use spans::{COLUMNS_OF as SPAN_COLUMNS_OF, assemble_spans};
pub(crate) use wanted::{ColumnsOf, wanted};

use super::{
    cache::{BlockCache, Interner},
    decode::Decoded,
    error::Malformed,
    json::{resource_from_json, scope_from_json},
};
use crate::{
    Origin,
    chunk::{Contexts, origin::Origins},
};

fn resources(
    decoded: &Decoded<'_>,
    cache: &BlockCache,
) -> Result<Contexts<ResourceContext>, Malformed> {
    contexts(decoded, "resource", &cache.resources, resource_from_json)
}

fn scopes(decoded: &Decoded<'_>, cache: &BlockCache) -> Result<Contexts<ScopeContext>, Malformed> {
    contexts(decoded, "scope", &cache.scopes, scope_from_json)
}

fn contexts<C: Default>(
    decoded: &Decoded<'_>,
    name: &str,
    known: &Interner<C>,
    decode: impl Fn(&str) -> serde_json::Result<C>,
) -> Result<Contexts<C>, Malformed> {
    const UNKNOWN: u32 = u32::MAX;
    let cells = TextCells::of(decoded, name)?;
    let mut numbers = Vec::new();
    let mut contexts: Vec<Arc<C>> = Vec::new();
    // By the number of the text in the dictionary.
    let mut by_label = vec![UNKNOWN; cells.label_count()];
    for row in 0..cells.rows() {
        let label = cells.label_number(row);
        let number = match label.and_then(|label| by_label.get(label)) {
            Some(number) if *number != UNKNOWN => *number,
            _ => {
                let text = cells.get(row).unwrap_or("{}");
                contexts.push(known.of(text, &decode)?);
                let number = contexts.len() as u32 - 1;
                if let Some(place) = label.and_then(|label| by_label.get_mut(label)) {
                    *place = number;
                }
                number
            }
        };
        numbers.push(number);
    }
    Ok(Contexts::shared(numbers, contexts))
}

fn origins(decoded: &Decoded<'_>) -> Result<Origins, Malformed> {
    let mut origins = Origins::default();
    let (partitions, offsets, indexes) = (
        cells::u16s(decoded, "partition")?,
        cells::u64s(decoded, "offset")?,
        cells::u32s(decoded, "index")?,
    );
    if partitions.is_empty() {
        return Ok(origins);
    }
    for ((partition, offset), index) in partitions.iter().zip(&offsets).zip(&indexes) {
        let origin = Origin {
            partition: *partition,
            offset: *offset,
        };
        origins.append(origin, *index);
    }
    Ok(origins)
}
