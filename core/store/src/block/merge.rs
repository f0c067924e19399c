//! Merges blocks.

use std::{cmp::Reverse, collections::BinaryHeap, path::Path, sync::Arc};

use super::{
    Block, BlockError, BlockId, BlockInfo, Columns, Options, Storable,
    files::{self, Role},
    gather::{Picked, Place},
    schema::{AttributeCounts, Column, Sample},
    write::{Arrival, sum_operations, sum_services},
    writer::{BlockWriter, Plan, Totals},
};
use crate::{Origin, RecordKey, Stop};

/// Merges blocks into one, durable when this returns; none of them is changed. None when it was stopped: it looks after
/// each piece, and what was written until then has to be deleted.
///
/// Needs no more memory than the encoded block and, of those blocks whose times overlap, two pieces each.
pub(crate) fn merge<C: Storable>(
    directory: &Path,
    id: BlockId,
    blocks: &[Arc<Block<C>>],
    options: &Options,
    stop: &Stop,
) -> Result<Option<Block<C>>, BlockError> {
    let plan = plan(blocks, options)?;
    let mut writer = BlockWriter::create::<C>(directory, id, plan, options)?;
    let mut inputs = Inputs::new(blocks);
    if inputs.heads.is_empty() {
        let path = directory.join(files::name(C::TABLE, id, Role::Rows));
        return Err(BlockError::unwritable(&path, "there are no rows"));
    }
    let settings = &options.settings;
    let (mut places, mut bytes) = (Vec::with_capacity(settings.piece_rows), 0);
    while let Some(place) = inputs.next()? {
        let of_row = inputs.text_bytes(place);
        let is_full = places.len() >= settings.piece_rows || bytes + of_row > settings.piece_bytes;
        if is_full && !places.is_empty() {
            if stop.is_cancelled() {
                return Ok(None);
            }
            writer.add(inputs.picked(&places))?;
            bytes = 0;
            inputs.forget_all_but(&mut places, place);
        } else {
            places.push(place);
        }
        bytes += of_row;
    }
    writer.add(inputs.picked(&places))?;
    drop(inputs);
    if stop.is_cancelled() {
        return Ok(None);
    }
    let info = writer.finish(totals(blocks)?)?;
    Block::open(directory, &info, &options.cache).map(Some)
}

fn totals<C: Storable>(blocks: &[Arc<Block<C>>]) -> Result<Totals, BlockError> {
    let (mut services, mut operations) = (Vec::new(), Vec::new());
    for block in blocks {
        services.push(block.services()?);
        operations.push(block.operations()?);
    }
    let received = blocks.iter().map(|block| block.info().received_unix_nano);
    Ok(Totals {
        services: sum_services(services.into_iter()),
        operations: sum_operations(operations.into_iter()),
        arrival: Arrival {
            received_unix_nano: received.max().unwrap_or(0),
            level: BlockInfo::MERGED,
        },
    })
}

/// The columns of all blocks, with what each knows of them. A key that is rare in each is rare in all.
fn plan<C: Storable>(blocks: &[Arc<Block<C>>], options: &Options) -> Result<Plan, BlockError> {
    let mut counts = AttributeCounts::new();
    let mut footers = Vec::new();
    for block in blocks {
        let footer = block.footer(&block.verified()?)?;
        for (number, key, r#type) in footer.schema.attributes() {
            let filled = footer.filled.get(number).copied().unwrap_or(0);
            *counts.entry((key.to_owned(), r#type)).or_default() += filled;
        }
        footers.push(footer);
    }
    let sample = |_: usize, column: &Column| {
        let alike = footers.iter().flat_map(|footer| {
            let mut columns = footer.schema.columns.iter();
            columns.find(|other| {
                other.r#type == column.r#type
                    && other.key == column.key
                    && (other.key.is_some() || other.name == column.name)
            })
        });
        alike.fold(Sample::default(), |sum, other| sum.richer(other.sample))
    };
    let rows = blocks.iter().map(|block| block.info().rows).sum();
    Ok(Plan::new::<C>(&counts, rows, options, sample))
}

/// The next row of each block.
struct Inputs<'b, C> {
    inputs: Vec<Input<'b, C>>,
    heads: BinaryHeap<Reverse<(RecordKey, usize)>>,
    /// The pieces that rows were taken of since the last piece was written, and those that rows will be taken of.
    chunks: Vec<Arc<C>>,
}

struct Input<'b, C> {
    block: &'b Block<C>,
    next_piece: usize,
    /// None when the next row is the first of a piece that was not read yet.
    head: Option<Place>,
}

impl<'b, C: Storable> Inputs<'b, C> {
    fn new(blocks: &'b [Arc<Block<C>>]) -> Self {
        let input = |block| Input {
            block,
            next_piece: 0,
            head: None,
        };
        let mut all = Self {
            inputs: blocks.iter().map(|block| input(block.as_ref())).collect(),
            heads: BinaryHeap::with_capacity(blocks.len()),
            chunks: Vec::new(),
        };
        (0..blocks.len()).for_each(|number| all.announce(number));
        all
    }

    /// Puts the next piece of an input where its turn comes, unread until then: of blocks that follow one another,
    /// only one is in memory at a time.
    fn announce(&mut self, number: usize) {
        let Some(input) = self.inputs.get_mut(number) else {
            return;
        };
        input.head = None;
        if let Some(piece) = input.block.pieces().get(input.next_piece) {
            // No row of the piece has a key before this one.
            let nowhere = Origin {
                partition: 0,
                offset: 0,
            };
            let least = RecordKey::new(piece.bounds.first, nowhere, 0);
            self.heads.push(Reverse((least, number)));
        }
    }

    /// Makes the first row of the next piece of an input its head.
    fn load(&mut self, number: usize) -> Result<(), BlockError> {
        let Some(input) = self.inputs.get_mut(number) else {
            return Ok(());
        };
        let chunk = input.block.read(input.next_piece, &Columns::all())?;
        input.next_piece += 1;
        input.head = Some(Place {
            chunk: self.chunks.len() as u32,
            row: 0,
        });
        self.heads.push(Reverse((chunk.key(0), number)));
        self.chunks.push(chunk);
        Ok(())
    }

    /// The row with the least key.
    fn next(&mut self) -> Result<Option<Place>, BlockError> {
        while let Some(Reverse((_, number))) = self.heads.pop() {
            let Some(input) = self.inputs.get_mut(number) else {
                return Ok(None);
            };
            let Some(place) = input.head else {
                self.load(number)?;
                continue;
            };
            let after = place.row as usize + 1;
            match self.chunks.get(place.chunk as usize) {
                Some(chunk) if after < chunk.rows() => {
                    input.head = Some(Place {
                        row: place.row + 1,
                        ..place
                    });
                    self.heads.push(Reverse((chunk.key(after), number)));
                }
                _ => self.announce(number),
            }
            return Ok(Some(place));
        }
        Ok(None)
    }

    fn text_bytes(&self, place: Place) -> usize {
        let chunk = self.chunks.get(place.chunk as usize);
        chunk.map_or(0, |chunk| chunk.text_bytes(place.row as usize))
    }

    fn picked<'p>(&'p self, places: &'p [Place]) -> Picked<'p, C> {
        Picked {
            chunks: &self.chunks,
            places,
        }
    }

    /// Lets go of the pieces of rows that were written; one row was taken and not written.
    fn forget_all_but(&mut self, places: &mut Vec<Place>, taken: Place) {
        let mut kept: Vec<(u32, Arc<C>)> = Vec::with_capacity(self.inputs.len() + 1);
        let chunks = &self.chunks;
        let mut keep = |place: &mut Place| {
            let number = kept.iter().position(|(number, _)| *number == place.chunk);
            let number = number.or_else(|| {
                let chunk = chunks.get(place.chunk as usize)?;
                kept.push((place.chunk, Arc::clone(chunk)));
                Some(kept.len() - 1)
            });
            place.chunk = number.unwrap_or(0) as u32;
        };
        let mut taken = taken;
        keep(&mut taken);
        let heads = self.inputs.iter_mut();
        heads.flat_map(|input| &mut input.head).for_each(keep);
        *places = vec![taken];
        self.chunks = kept.into_iter().map(|(_, chunk)| chunk).collect();
    }
}
