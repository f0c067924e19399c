//! Columns of ids: fixed-size binary, all zero where there is none.

use arrow_array::{Array, FixedSizeBinaryArray};
use arrow_buffer::Buffer;

/// A growing column of ids.
#[derive(Clone, Debug)]
pub(crate) struct IdBuilder<const N: usize>(Vec<[u8; N]>);

impl<const N: usize> Default for IdBuilder<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<const N: usize> IdBuilder<N> {
    /// An empty one with room for as many ids as another column has.
    pub(super) fn like(ids: &Ids<N>) -> Self {
        Self(Vec::with_capacity(ids.0.len()))
    }

    /// Adds an id. False when the column cannot give the bytes back as they are, because they are no id: another number
    /// of them, or all zero.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> bool {
        let id = <[u8; N]>::try_from(bytes).unwrap_or([0; N]);
        self.0.push(id);
        bytes.is_empty() || id != [0; N]
    }

    pub(crate) fn freeze(mut self) -> Ids<N> {
        self.0.shrink_to_fit();
        // The size fits, and the bytes are a multiple of it.
        Ids(FixedSizeBinaryArray::new(
            N as i32,
            Buffer::from_vec(self.0.into_flattened()),
            None,
        ))
    }
}

/// A column of ids.
#[derive(Debug)]
pub(crate) struct Ids<const N: usize>(pub(crate) FixedSizeBinaryArray);

impl<const N: usize> Ids<N> {
    /// The id of a row; all zero for none.
    #[inline]
    pub(crate) fn value(&self, row: usize) -> [u8; N] {
        let bytes = (row < self.0.len()).then(|| self.0.value(row));
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or([0; N])
    }

    /// The id of a row as a message has it: absent when there is none.
    pub(crate) fn to_bytes(&self, row: usize) -> bytes::Bytes {
        match self.value(row) {
            id if id == [0; N] => bytes::Bytes::new(),
            id => bytes::Bytes::copy_from_slice(&id),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = [u8; N]> + '_ {
        (0..self.0.len()).map(|row| self.value(row))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.get_buffer_memory_size()
    }
}
