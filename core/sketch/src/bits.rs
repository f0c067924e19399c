//! Bits, the lowest of a byte first: what sketches are written with.

use crate::Malformed;

/// Bits that one call writes or reads at most.
const BITS_MAX: u32 = 56;

/// Writes bits.
#[derive(Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// The bits that do not fill a byte yet.
    last: u64,
    count: u32,
}

impl BitWriter {
    /// Writes the low `count` bits of a number, 56 at most.
    pub fn put(&mut self, number: u64, count: u32) {
        debug_assert!(count <= BITS_MAX && (count == 64 || number >> count == 0));
        self.last |= number << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.last as u8);
            self.last >>= 8;
            self.count -= 8;
        }
    }

    /// Writes a number of up to 64 bits.
    pub fn put_long(&mut self, number: u64, count: u32) {
        let low = count.min(32);
        self.put(number & ((1 << low) - 1), low);
        if count > low {
            self.put(number >> 32, count - low);
        }
    }

    /// Elias gamma: as many zeros as the number has bits beyond the first, a one, and those bits. For 1 and above.
    pub fn put_gamma(&mut self, number: u64) {
        let bits = number.max(1).ilog2();
        self.put_long(0, bits);
        self.put(1, 1);
        self.put_long(number & !(1 << bits), bits);
    }

    /// Exponential Golomb of order `k`: the gamma code of what is above the low `k` bits, and these.
    pub fn put_golomb(&mut self, number: u64, k: u32) {
        self.put_gamma((number >> k) + 1);
        self.put(number & ((1 << k) - 1), k);
    }

    /// The bytes, the last filled up with zeros.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.last as u8);
        }
        self.bytes
    }
}

/// Reads bits from bytes that may be anything. What is beyond the end reads as zeros; [`Self::check`] tells.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// Reads from the first bit on.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bits that are not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    /// Whether there was as much as was read.
    ///
    /// # Errors
    /// More was read than there is.
    pub fn check(&self) -> Result<(), Malformed> {
        match self.at <= self.bytes.len() * 8 {
            true => Ok(()),
            false => Err(Malformed::new("it ends too early")),
        }
    }

    /// The next bits, 57 of them at least.
    #[inline]
    fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                for (to, from) in word.iter_mut().zip(rest) {
                    *to = *from;
                }
                u64::from_le_bytes(word)
            }
        };
        word >> (self.at % 8)
    }

    /// A number of so many bits, 56 at most.
    #[inline]
    pub fn take(&mut self, count: u32) -> u64 {
        let number = self.peek() & ((1 << count) - 1);
        self.at += count as usize;
        number
    }

    /// A number of up to 64 bits.
    pub fn take_long(&mut self, count: u32) -> u64 {
        let low = count.min(32);
        self.take(low) | self.take(count - low) << 32
    }

    /// What [`BitWriter::put_gamma`] wrote.
    ///
    /// # Errors
    /// It is longer than 64 bits.
    #[inline]
    pub fn take_gamma(&mut self) -> Result<u64, Malformed> {
        let word = self.peek();
        let zeros = word.trailing_zeros();
        // The common case: all of it is at hand.
        if zeros <= 24 {
            self.at += 2 * zeros as usize + 1;
            let low = (word >> (zeros + 1)) & ((1 << zeros) - 1);
            return Ok(1 << zeros | low);
        }
        let mut zeros = 0;
        while self.take(1) == 0 {
            zeros += 1;
            if zeros > 63 {
                return Err(Malformed::new("a number is too long"));
            }
        }
        Ok(1 << zeros | self.take_long(zeros))
    }

    /// What [`BitWriter::put_golomb`] wrote.
    ///
    /// # Errors
    /// It is longer than 64 bits.
    #[inline]
    pub fn take_golomb(&mut self, k: u32) -> Result<u64, Malformed> {
        let high = self.take_gamma()? - 1;
        if high.leading_zeros() < k {
            return Err(Malformed::new("a number is too long"));
        }
        Ok(high << k | self.take(k))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in vec((any::<u64>(), 0..64_u32, 0..8_u32), 0..50)) {
            let mut writer = BitWriter::default();
            for (number, shift, k) in &numbers {
                let number = number >> shift;
                writer.put_long(number, 64);
                writer.put(number & 0x7ff, 11);
                writer.put_gamma(number.max(1));
                writer.put_golomb(number >> 1, *k);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (number, shift, k) in &numbers {
                let number = number >> shift;
                prop_assert_eq!(reader.take_long(64), number);
                prop_assert_eq!(reader.take(11), number & 0x7ff);
                prop_assert_eq!(reader.take_gamma().unwrap(), number.max(1));
                prop_assert_eq!(reader.take_golomb(*k).unwrap(), number >> 1);
            }
            prop_assert!(reader.check().is_ok() && reader.left() < 8);
        }

        #[test]
        fn fuzz_any_bits_are_numbers_or_an_error(bytes in vec(prop_oneof![Just(0), any::<u8>()], 0..40), k in 0..8_u32) {
            let mut reader = BitReader::new(&bytes);
            while reader.check().is_ok() && reader.take_golomb(k).is_ok() {}
        }
    }
}
