//! Whether a directory is whole: every block that the catalog names, byte by byte.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    Catalog, OpenError,
    catalog::KeptTable,
    recover::{Access, BlockFile, block_files, blocks_path, catalog_path, lock},
};
use crate::{
    block::{self, Storable},
    chunk::{LogChunk, SpanChunk},
};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreCheck {
    /// The log that its rows are of; none in a store that nothing was applied to.
    pub log_id: Option<u128>,
    /// By partition: the next offset to apply.
    pub cursors: BTreeMap<u16, u64>,
    /// Blocks that were read.
    pub blocks: u64,
    /// Their rows, as the catalog has them.
    pub rows: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// What is wrong; empty when all is well.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as far as it is known which.
    pub path: PathBuf,
    /// What, in words for a person.
    pub text: String,
    /// Whether records are lost. Otherwise it is put right when the store is opened.
    pub is_loss: bool,
}

/// Reads a whole store that nobody has open, and changes nothing. Tells `progress` after each block how many of how many
/// were read.
///
/// # Errors
/// There is no store, or it is open, or its catalog cannot be read.
pub fn check(
    directory: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<StoreCheck, OpenError> {
    let _lock = lock(directory, Access::Shared)?;
    let blocks = blocks_path(directory);
    let kept = Catalog::read_only(&catalog_path(directory))?;
    let files = block_files(&blocks)?;
    let mut found = StoreCheck {
        log_id: kept.restored.log_id,
        cursors: kept.restored.cursors.clone(),
        ..StoreCheck::default()
    };
    let total = (kept.spans.blocks.len() + kept.logs.blocks.len()) as u64;
    let mut step = |found: &StoreCheck| progress(found.blocks, total);
    check_table::<SpanChunk>(&blocks, &kept.spans, &mut found, &mut step);
    check_table::<LogChunk>(&blocks, &kept.logs, &mut found, &mut step);
    strays::<SpanChunk>(&files, &kept.spans, &mut found);
    strays::<LogChunk>(&files, &kept.logs, &mut found);
    Ok(found)
}

fn check_table<C: Storable>(
    blocks: &Path,
    kept: &KeptTable,
    found: &mut StoreCheck,
    step: &mut dyn FnMut(&StoreCheck),
) {
    for info in &kept.blocks {
        for error in block::verify::<C>(blocks, info, &mut |_| ()) {
            found.problems.push(Problem {
                path: error.path().to_owned(),
                text: format!(
                    "block {} of {} with {} rows: {error}",
                    info.id,
                    C::TABLE,
                    info.rows
                ),
                is_loss: true,
            });
        }
        found.blocks += 1;
        found.rows += info.rows;
        found.bytes += info.bytes;
        step(found);
    }
}

/// Files that nothing names: what a crash leaves.
fn strays<C: Storable>(files: &[BlockFile], kept: &KeptTable, found: &mut StoreCheck) {
    let named: HashSet<_> = kept.blocks.iter().map(|info| info.id).collect();
    let of_table = files.iter().filter(|file| file.table == C::TABLE);
    for file in of_table.filter(|file| !named.contains(&file.id)) {
        let bytes = fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        found.problems.push(Problem {
            path: file.path.clone(),
            text: format!(
                "the catalog does not name it: {bytes} bytes that are deleted when the store is opened"
            ),
            is_loss: false,
        });
    }
}
