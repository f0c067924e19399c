//! A map of 64-bit hashes to numbers in some bits for each: a binary fuse filter (Graf and Lemire, 2022) with three
//! places an entry and fingerprints of 1 to 16 bits, each xored with the number of its entry.
//!
//! It gives each member its number, and any number to any other hash. With 0 for all, it is a set: it never denies a
//! member, and affirms one of 2^bits of the others. It takes about 1.2 fingerprints a member for ten thousand of them, and
//! 1.13 for many.
//!
//! # Encoding
//!
//! | bytes | what |
//! |---|---|
//! | 1 | bits of a fingerprint; 0 is the empty map, and nothing follows |
//! | 1 | the logarithm of the length of a segment |
//! | 4 | segments a first place can be in, u32 |
//! | 8 | seed, u64 |
//! | ... | fingerprints, bit-packed, the first in the lowest bits; then one byte of zero |

use super::super::{error::Malformed, wire::Input};

/// A map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fuse {
    shape: Shape,
    seed: u64,
    bits: u32,
    packed: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shape {
    segment_log2: u32,
    segments: u32,
}

/// Each entry has so many places, in neighbouring segments.
const PLACES: usize = 3;

const SEGMENT_LOG2_MAX: u32 = 18;

impl Shape {
    fn for_members(members: usize) -> Self {
        let count = members.max(2) as f64;
        let segment_log2 = (count.ln() / 3.33_f64.ln() + 2.25).floor() as u32;
        let segment_log2 = segment_log2.min(SEGMENT_LOG2_MAX);
        let factor = (0.875 + 0.25 * 1e6_f64.ln() / count.ln()).max(1.125);
        let slots = (count * factor).round() as usize;
        let segments = slots.div_ceil(1 << segment_log2).saturating_sub(PLACES - 1);
        Self {
            segment_log2,
            segments: segments.max(1) as u32,
        }
    }

    fn slots(self) -> usize {
        (self.segments as usize + PLACES - 1) << self.segment_log2
    }

    #[inline]
    fn places(self, hash: u64) -> [usize; PLACES] {
        let first_places = u64::from(self.segments) << self.segment_log2;
        let first = ((u128::from(hash) * u128::from(first_places)) >> 64) as usize;
        let length = 1_usize << self.segment_log2;
        let mask = length - 1;
        [
            first,
            (first + length) ^ ((hash >> 18) as usize & mask),
            (first + 2 * length) ^ (hash as usize & mask),
        ]
    }
}

/// As MurmurHash3 ends.
#[inline]
pub(super) fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[inline]
fn fingerprint(hash: u64, bits: u32) -> u16 {
    (hash ^ (hash >> 32)) as u16 & mask(bits)
}

#[inline]
fn mask(bits: u32) -> u16 {
    (0xffff_u32 >> (16 - bits.min(BITS_MAX))) as u16
}

/// Bits of a fingerprint at most.
const BITS_MAX: u32 = 16;

/// With so few tries without success, the hashes are not all different.
const TRIES_MAX: u64 = 100;

impl Fuse {
    /// The map of hashes that are all different, to numbers of so many bits; none when it cannot be made, which is as
    /// good as impossible.
    pub(crate) fn build(entries: &[(u64, u16)], bits: u32) -> Option<Self> {
        let bits = bits.clamp(1, BITS_MAX);
        if entries.is_empty() {
            return Some(Self {
                shape: Shape::default(),
                seed: 0,
                bits: 0,
                packed: Vec::new(),
            });
        }
        let shape = Shape::for_members(entries.len());
        let mut peeling = Peeling::new(shape.slots());
        let seeds = (1..=TRIES_MAX).map(|number| mix(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let seed = seeds
            .into_iter()
            .find(|seed| peeling.run(shape, entries, *seed))?;
        let mut slots = vec![0_u16; shape.slots()];
        for (hash, which, index) in peeling.order.iter().rev() {
            let number = entries.get(*index as usize).map_or(0, |entry| entry.1);
            let places = shape.places(*hash);
            let value = |place: usize| slots.get(place).copied().unwrap_or(0);
            let which_of = |step| (usize::from(*which) + step) % PLACES;
            let others = (1..PLACES).map(|step| places.get(which_of(step)));
            let of_others =
                others.fold(0, |all, place| all ^ place.map_or(0, |place| value(*place)));
            let own = fingerprint(*hash, bits) ^ of_others ^ (number & mask(bits));
            if let Some(slot) = places
                .get(usize::from(*which))
                .and_then(|place| slots.get_mut(*place))
            {
                *slot = own;
            }
        }
        Some(Self {
            shape,
            seed,
            bits,
            packed: pack(&slots, bits),
        })
    }

    /// Whether the number of a hash is 0.
    #[inline]
    pub(crate) fn contains(&self, hash: u64) -> bool {
        self.number(hash) == Some(0)
    }

    /// The number of a hash; none of the empty map.
    #[inline]
    pub(crate) fn number(&self, hash: u64) -> Option<u16> {
        if self.bits == 0 {
            return None;
        }
        let hash = mix(hash.wrapping_add(self.seed));
        let places = self.shape.places(hash);
        let found = places.iter().fold(0, |all, place| all ^ self.slot(*place));
        Some(found ^ fingerprint(hash, self.bits))
    }

    #[inline]
    fn slot(&self, place: usize) -> u16 {
        let bit = place * self.bits as usize;
        let byte = |at: usize| u32::from(self.packed.get(at).copied().unwrap_or(0));
        let window = byte(bit / 8) | byte(bit / 8 + 1) << 8 | byte(bit / 8 + 2) << 16;
        (window >> (bit % 8)) as u16 & mask(self.bits)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.bits as u8];
        if self.bits > 0 {
            bytes.push(self.shape.segment_log2 as u8);
            bytes.extend(self.shape.segments.to_le_bytes());
            bytes.extend(self.seed.to_le_bytes());
            bytes.extend(&self.packed);
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let bits = u32::from(input.u8()?);
        if bits == 0 {
            input.finish()?;
            return Ok(Self {
                shape: Shape::default(),
                seed: 0,
                bits,
                packed: Vec::new(),
            });
        }
        let segment_log2 = u32::from(input.u8()?);
        let (segments, seed) = (input.u32()?, input.u64()?);
        if bits > BITS_MAX || segment_log2 > SEGMENT_LOG2_MAX || segments == 0 {
            return Err(Malformed::new("a filter has an impossible shape"));
        }
        let shape = Shape {
            segment_log2,
            segments,
        };
        let packed = input.take(input.remaining())?.to_vec();
        if packed.len() != packed_len(shape.slots(), bits) {
            return Err(Malformed::new("a filter has another length"));
        }
        Ok(Self {
            shape,
            seed,
            bits,
            packed,
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.packed.capacity()
    }
}

fn packed_len(slots: usize, bits: u32) -> usize {
    (slots * bits as usize).div_ceil(8) + 1
}

fn pack(slots: &[u16], bits: u32) -> Vec<u8> {
    let mut packed = Vec::with_capacity(packed_len(slots.len(), bits));
    let (mut window, mut filled) = (0_u32, 0);
    for slot in slots {
        window |= u32::from(*slot) << filled;
        filled += bits;
        while filled >= 8 {
            packed.push(window as u8);
            window >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        packed.push(window as u8);
    }
    packed.push(0);
    packed
}

/// Finds an order in which each entry has a place that no later one uses.
struct Peeling {
    /// For each slot: the entries that use it, times four, and which of their places it is, all of them xored.
    counts: Vec<u32>,
    hashes: Vec<u64>,
    alone: Vec<u32>,
    /// For each slot: the numbers of the entries that use it, xored.
    indexes: Vec<u32>,
    /// The entries, which of their places is their own, and their numbers.
    order: Vec<(u64, u8, u32)>,
}

impl Peeling {
    fn new(slots: usize) -> Self {
        Self {
            counts: vec![0; slots],
            hashes: vec![0; slots],
            indexes: vec![0; slots],
            alone: Vec::with_capacity(slots / 2),
            order: Vec::new(),
        }
    }

    fn run(&mut self, shape: Shape, members: &[(u64, u16)], seed: u64) -> bool {
        self.counts.fill(0);
        self.hashes.fill(0);
        self.indexes.fill(0);
        self.alone.clear();
        self.order.clear();
        self.order.reserve(members.len());
        for (index, (member, _)) in (0_u32..).zip(members) {
            let hash = mix(member.wrapping_add(seed));
            for (which, place) in (0_u32..).zip(shape.places(hash)) {
                if let (Some(count), Some(all), Some(indexes)) = (
                    self.counts.get_mut(place),
                    self.hashes.get_mut(place),
                    self.indexes.get_mut(place),
                ) {
                    *count = count.wrapping_add(4) ^ which;
                    *all ^= hash;
                    *indexes ^= index;
                }
            }
        }
        let alone = self.counts.iter().enumerate();
        let alone = alone.filter(|(_, count)| **count >> 2 == 1);
        self.alone.extend(alone.map(|(slot, _)| slot as u32));
        while let Some(slot) = self.alone.pop() {
            self.peel(shape, slot as usize);
        }
        self.order.len() == members.len()
    }

    fn peel(&mut self, shape: Shape, slot: usize) {
        let (Some(count), Some(hash), Some(index)) = (
            self.counts.get(slot),
            self.hashes.get(slot),
            self.indexes.get(slot),
        ) else {
            return;
        };
        // The entry may have been peeled off at another slot.
        if *count >> 2 != 1 {
            return;
        }
        let (hash, own, index) = (*hash, *count & 3, *index);
        self.order.push((hash, own as u8, index));
        for (which, place) in (0_u32..).zip(shape.places(hash)) {
            let (Some(count), Some(all), Some(indexes)) = (
                self.counts.get_mut(place),
                self.hashes.get_mut(place),
                self.indexes.get_mut(place),
            ) else {
                continue;
            };
            *count = count.wrapping_sub(4) ^ which;
            *all ^= hash;
            *indexes ^= index;
            if *count >> 2 == 1 {
                self.alone.push(place as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(from: u64, count: u64) -> Vec<(u64, u16)> {
        (from..from + count)
            .map(|number| (mix(number), (number % 1000) as u16))
            .collect()
    }

    fn members(from: u64, count: u64) -> Vec<(u64, u16)> {
        (from..from + count)
            .map(|number| (mix(number), 0))
            .collect()
    }

    #[test]
    fn members_are_affirmed_and_few_others_are() {
        for count in [0, 1, 2, 3, 10, 100, 1000, 30_000] {
            for bits in 1..=16 {
                let fuse = Fuse::build(&members(1, count), bits).unwrap();
                let is_in = |(hash, _): &(u64, u16)| fuse.contains(*hash);
                assert!(members(1, count).iter().all(is_in));
                let others = members(1 << 40, 20_000);
                let wrong = others.iter().filter(|it| is_in(it)).count();
                let expected = 20_000 >> bits;
                assert!(
                    wrong <= expected + expected / 2 + 40,
                    "{wrong} of {count} at {bits} bits"
                );
                assert_eq!(Fuse::decode(&fuse.encode()).unwrap(), fuse);
            }
        }
    }

    #[test]
    fn each_member_has_its_number() {
        for count in [1, 2, 3, 10, 100, 1000, 30_000] {
            for bits in 10..=16 {
                let fuse = Fuse::build(&entries(1, count), bits).unwrap();
                for (hash, number) in entries(1, count) {
                    assert_eq!(fuse.number(hash), Some(number));
                }
            }
        }
    }

    #[test]
    fn hashes_that_are_not_all_different_are_no_set() {
        assert_eq!(Fuse::build(&[(7, 0); 40], 8), None);
    }

    proptest! {
        #[test]
        fn fuzz_any_bytes_are_a_filter_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(fuse) = Fuse::decode(&bytes) {
                fuse.contains(7);
            }
        }
    }
}
