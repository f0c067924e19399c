//! The encoding of protobuf, as far as OTLP uses it: <https://protobuf.dev/programming-guides/encoding/>.

use super::NotPlain;

/// What is left of a message, read from the front.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader<'a>(&'a [u8]);

const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
const LEN: u32 = 2;
const FIXED_32: u32 = 5;

/// The key of a field that is a varint.
pub(super) const fn varint(number: u32) -> u32 {
    number << 3 | VARINT
}

/// The key of a field of eight bytes.
pub(super) const fn fixed64(number: u32) -> u32 {
    number << 3 | FIXED_64
}

/// The key of a field of four bytes.
pub(super) const fn fixed32(number: u32) -> u32 {
    number << 3 | FIXED_32
}

/// The key of a text, of bytes or of a message: they have a length.
pub(super) const fn len(number: u32) -> u32 {
    number << 3 | LEN
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// What was not read yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The key of the next field, or `None` at the end.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<Option<u32>, NotPlain> {
        let Some((first, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        // Below 8 the number would be 0.
        if (8..0x80).contains(first) {
            self.0 = rest;
            return Ok(Some(u32::from(*first)));
        }
        let key = u32::try_from(self.long_varint()?).map_err(|_| NotPlain)?;
        if key < 8 {
            return Err(NotPlain);
        }
        Ok(Some(key))
    }

    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, NotPlain> {
        match self.0.split_first() {
            Some((first, rest)) if *first < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, NotPlain> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(NotPlain)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                // The tenth byte has room for one bit.
                let fits = shift < 63 || *byte < 2;
                return fits.then_some(value).ok_or(NotPlain);
            }
        }
        Err(NotPlain)
    }

    #[inline(always)]
    pub(super) fn fixed64(&mut self) -> Result<u64, NotPlain> {
        let (value, rest) = self.0.split_first_chunk().ok_or(NotPlain)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*value))
    }

    #[inline(always)]
    pub(super) fn fixed32(&mut self) -> Result<u32, NotPlain> {
        let (value, rest) = self.0.split_first_chunk().ok_or(NotPlain)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*value))
    }

    /// The content of a field with a length.
    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], NotPlain> {
        let len = usize::try_from(self.varint()?).map_err(|_| NotPlain)?;
        let (value, rest) = self.0.split_at_checked(len).ok_or(NotPlain)?;
        self.0 = rest;
        Ok(value)
    }

    /// Passes over the content of a field; answers it when it has a length. Groups are not plain.
    pub(super) fn skip(&mut self, key: u32) -> Result<Option<&'a [u8]>, NotPlain> {
        match key & 7 {
            VARINT => self.varint().map(|_| None),
            FIXED_64 => self.fixed64().map(|_| None),
            FIXED_32 => self.fixed32().map(|_| None),
            LEN => self.bytes().map(Some),
            _ => Err(NotPlain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_has_ten_bytes_and_64_bits_at_most() {
        let read = |bytes: &[u8]| Reader::new(bytes).varint();
        assert_eq!(read(&[0x7f]), Ok(127));
        assert_eq!(read(&[0x80, 0x01]), Ok(128));
        assert_eq!(read(&[0xff, 0x80, 0x00]), Ok(127));
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&largest), Ok(u64::MAX));
        let mut too_large = largest;
        too_large[9] = 0x02;
        assert_eq!(read(&too_large), Err(NotPlain));
        assert_eq!(read(&[0x80; 11]), Err(NotPlain));
        assert_eq!(read(&[0x80]), Err(NotPlain));
        assert_eq!(read(&[]), Err(NotPlain));
    }

    #[test]
    fn a_key_has_a_number_and_32_bits_at_most() {
        let read = |bytes: &[u8]| Reader::new(bytes).key();
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[0x0a]), Ok(Some(len(1))));
        assert_eq!(read(&[0x8a, 0x00]), Ok(Some(len(1))));
        assert_eq!(read(&[0x85, 0x01]), Ok(Some(fixed32(16))));
        assert_eq!(read(&[0x02]), Err(NotPlain));
        assert_eq!(read(&[0x82, 0x00]), Err(NotPlain));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(NotPlain));
    }

    #[test]
    fn what_ends_early_and_groups_are_not_plain() {
        fn skip(key: u32, bytes: &[u8]) -> Result<Option<&[u8]>, NotPlain> {
            Reader::new(bytes).skip(key)
        }
        assert_eq!(skip(len(1), &[2, 7, 7]), Ok(Some(&[7_u8, 7][..])));
        assert_eq!(skip(len(1), &[3, 7, 7]), Err(NotPlain));
        assert_eq!(skip(fixed64(1), &[0; 7]), Err(NotPlain));
        assert_eq!(skip(fixed32(1), &[0; 3]), Err(NotPlain));
        assert_eq!(skip(1 << 3 | 3, &[0; 9]), Err(NotPlain));
        assert_eq!(skip(1 << 3 | 4, &[0; 9]), Err(NotPlain));
        assert_eq!(skip(1 << 3 | 7, &[0; 9]), Err(NotPlain));
    }
}
