//! Where the fields of an encoded protobuf message lie (<https://protobuf.dev/programming-guides/encoding/>).

use std::ops::Range;

/// A field: its number, and where its value lies in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) value: Range<usize>,
}

/// The fields of the message that lies in a range of the buffer. Ends early at what is not a message.
pub(super) fn fields(buffer: &[u8], message: Range<usize>) -> impl Iterator<Item = Field> + '_ {
    let mut at = message.start;
    std::iter::from_fn(move || {
        let field = field(buffer.get(..message.end)?, at)?;
        at = field.value.end;
        Some(field)
    })
}

/// The values of one field.
pub(super) fn all(
    buffer: &[u8],
    message: Range<usize>,
    number: u64,
) -> impl Iterator<Item = Range<usize>> + '_ {
    fields(buffer, message)
        .filter(move |field| field.number == number)
        .map(|field| field.value)
}

fn field(buffer: &[u8], at: usize) -> Option<Field> {
    let (key, at) = varint(buffer, at)?;
    let value = match key & 7 {
        0 => at..varint(buffer, at)?.1,
        1 => at..at.checked_add(8)?,
        2 => {
            let (length, at) = varint(buffer, at)?;
            at..at.checked_add(usize::try_from(length).ok()?)?
        }
        5 => at..at.checked_add(4)?,
        _ => return None,
    };
    (value.end <= buffer.len()).then_some(Field {
        number: key >> 3,
        value,
    })
}

fn varint(buffer: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *buffer.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fuzz_any_bytes_give_fields_within_them(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for field in fields(&bytes, 0..bytes.len()) {
                prop_assert!(field.value.end <= bytes.len());
            }
        }
    }

    #[test]
    fn fields_of_each_wire_type_are_found() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: varint 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64
            0x1A, 2, b'h', b'i', // 3: bytes
            0x25, 1, 0, 0, 0, // 4: fixed32
        ];
        let found: Vec<_> = fields(&bytes, 0..bytes.len())
            .map(|field| (field.number, field.value))
            .collect();
        assert_eq!(found, [(1, 1..3), (2, 4..12), (3, 14..16), (4, 17..21)]);
        assert_eq!(fields(&bytes, 0..4).count(), 1, "the second field is cut");
    }
}
