//! A set of 64-bit hashes in some bits for each: a binary fuse filter (Graf and Lemire, 2022) with three places an
//! entry and fingerprints of 1 to 8 bits.
//!
//! It never denies a member. Of others it affirms one of 2^bits. It takes about 1.2 fingerprints a member for sets of
//! ten thousand, and 1.13 for large ones.
//!
//! # Encoding
//!
//! | bytes | what |
//! |---|---|
//! | 1 | bits of a fingerprint; 0 is the empty set, and nothing follows |
//! | 1 | the logarithm of the length of a segment |
//! | 4 | segments a first place can be in, u32 |
//! | 8 | seed, u64 |
//! | ... | fingerprints, bit-packed, the first in the lowest bits; then one byte of zero |

use super::super::{error::Malformed, wire::Input};

/// A set.
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
fn fingerprint(hash: u64, bits: u32) -> u8 {
    (hash ^ (hash >> 32)) as u8 & mask(bits)
}

#[inline]
fn mask(bits: u32) -> u8 {
    (0xff_u32 >> (8 - bits.min(8))) as u8
}

/// With so few tries without success, the hashes are not all different.
const TRIES_MAX: u64 = 100;

impl Fuse {
    /// The set of hashes that are all different; none when it cannot be made, which is as good as impossible.
    pub(crate) fn build(hashes: &[u64], bits: u32) -> Option<Self> {
        let bits = bits.clamp(1, 8);
        if hashes.is_empty() {
            return Some(Self {
                shape: Shape::default(),
                seed: 0,
                bits: 0,
                packed: Vec::new(),
            });
        }
        let shape = Shape::for_members(hashes.len());
        let mut peeling = Peeling::new(shape.slots());
        let seeds = (1..=TRIES_MAX).map(|number| mix(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let seed = seeds
            .into_iter()
            .find(|seed| peeling.run(shape, hashes, *seed))?;
        let mut slots = vec![0_u8; shape.slots()];
        for (hash, which) in peeling.order.iter().rev() {
            let places = shape.places(*hash);
            let value = |place: usize| slots.get(place).copied().unwrap_or(0);
            let others = (1..PLACES).map(|step| places.get((which + step) % PLACES));
            let of_others =
                others.fold(0, |all, place| all ^ place.map_or(0, |place| value(*place)));
            let own = fingerprint(*hash, bits) ^ of_others;
            if let Some(slot) = places.get(*which).and_then(|place| slots.get_mut(*place)) {
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

    #[inline]
    pub(crate) fn contains(&self, hash: u64) -> bool {
        if self.bits == 0 {
            return false;
        }
        let hash = mix(hash.wrapping_add(self.seed));
        let places = self.shape.places(hash);
        let found = places.iter().fold(0, |all, place| all ^ self.slot(*place));
        found == fingerprint(hash, self.bits)
    }

    #[inline]
    fn slot(&self, place: usize) -> u8 {
        let bit = place * self.bits as usize;
        let byte = |at: usize| u32::from(self.packed.get(at).copied().unwrap_or(0));
        let window = byte(bit / 8) | byte(bit / 8 + 1) << 8;
        (window >> (bit % 8)) as u8 & mask(self.bits)
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
        if bits > 8 || segment_log2 > SEGMENT_LOG2_MAX || segments == 0 {
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

fn pack(slots: &[u8], bits: u32) -> Vec<u8> {
    let mut packed = Vec::with_capacity(packed_len(slots.len(), bits));
    let (mut window, mut filled) = (0_u32, 0);
    for slot in slots {
        window |= u32::from(*slot) << filled;
        filled += bits;
        if filled >= 8 {
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
    /// The entries, and which of their places is their own.
    order: Vec<(u64, usize)>,
}

impl Peeling {
    fn new(slots: usize) -> Self {
        Self {
            counts: vec![0; slots],
            hashes: vec![0; slots],
            alone: Vec::with_capacity(slots / 2),
            order: Vec::new(),
        }
    }

    fn run(&mut self, shape: Shape, members: &[u64], seed: u64) -> bool {
        self.counts.fill(0);
        self.hashes.fill(0);
        self.alone.clear();
        self.order.clear();
        self.order.reserve(members.len());
        for member in members {
            let hash = mix(member.wrapping_add(seed));
            for (which, place) in (0_u32..).zip(shape.places(hash)) {
                if let (Some(count), Some(all)) =
                    (self.counts.get_mut(place), self.hashes.get_mut(place))
                {
                    *count = count.wrapping_add(4) ^ which;
                    *all ^= hash;
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
        let (Some(count), Some(hash)) = (self.counts.get(slot), self.hashes.get(slot)) else {
            return;
        };
        // The entry may have been peeled off at another slot.
        if *count >> 2 != 1 {
            return;
        }
        let (hash, own) = (*hash, *count & 3);
        self.order.push((hash, own as usize));
        for (which, place) in (0_u32..).zip(shape.places(hash)) {
            let (Some(count), Some(all)) = (self.counts.get_mut(place), self.hashes.get_mut(place))
            else {
                continue;
            };
            *count = count.wrapping_sub(4) ^ which;
            *all ^= hash;
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

    fn hashes(from: u64, count: u64) -> Vec<u64> {
        (from..from + count).map(mix).collect()
    }

    #[test]
    fn members_are_affirmed_and_few_others_are() {
        for count in [0, 1, 2, 3, 10, 100, 1000, 30_000] {
            for bits in 1..=8 {
                let fuse = Fuse::build(&hashes(1, count), bits).unwrap();
                assert!(hashes(1, count).into_iter().all(|hash| fuse.contains(hash)));
                let others = hashes(1 << 40, 20_000);
                let wrong = others.iter().filter(|hash| fuse.contains(**hash)).count();
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
    fn hashes_that_are_not_all_different_are_no_set() {
        assert_eq!(Fuse::build(&[7; 40], 8), None);
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
