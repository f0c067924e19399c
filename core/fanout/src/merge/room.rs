//! The bytes that an answer may take.

use prost::Message;

/// Room that is left for what an answer has beside its list: cursors, and reasons in words.
const RESERVE_BYTES: usize = 16 << 10;

/// What a message takes as an element of another one: a tag of one or two bytes, its length, itself.
pub(crate) fn framed_bytes(message: &impl Message) -> usize {
    let bytes = message.encoded_len();
    2 + prost::length_delimiter_len(bytes) + bytes
}

/// The bytes that the elements of one answer may still take.
#[derive(Debug)]
pub(crate) struct Room {
    left: usize,
}

impl Room {
    pub(crate) fn in_answer(answer_bytes_max: usize) -> Self {
        Self {
            left: answer_bytes_max.saturating_sub(RESERVE_BYTES),
        }
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Whether so many bytes fit; they then count.
    pub(crate) fn take_bytes(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Whether an element fits; it then counts.
    pub(crate) fn take(&mut self, element: &impl Message) -> bool {
        self.take_bytes(framed_bytes(element))
    }

    /// Those elements that fit, and how many do not.
    pub(crate) fn fill<T: Message>(
        &mut self,
        elements: impl IntoIterator<Item = T>,
    ) -> (Vec<T>, usize) {
        let mut left_out = 0;
        let mut taken = Vec::new();
        for element in elements {
            match self.take(&element) {
                true => taken.push(element),
                false => left_out += 1,
            }
        }
        (taken, left_out)
    }
}
