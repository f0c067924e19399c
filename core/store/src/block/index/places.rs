//! Where the needles of a block are: of each, the pieces that have it.
//!
//! One map for the whole block. Most needles, such as ids, are in one piece or in a few, so that a search that knows the
//! piece reads a few thousand rows and no more; and a needle that the block does not have is affirmed wrongly once a
//! block, not once a piece. A needle in more than half of the pieces is **everywhere**, which is told twice, since
//! to be wrong there means to read all of them.
//!
//! # The map
//!
//! The pairs of a needle and a **place** are cut into **shards** of some thousand pairs by the highest bits of the hash,
//! each of them a [`Fuse`] that holds a number for each key. The key of the first place of a needle is its hash, that of
//! the next mix(hash + n * odd); the number is the place, or for everywhere the number of places, at the first two keys.
//! A key that is not held gives any number of so many bits, and few of them are places: who asks for places goes on until
//! a number is none, or does not come after the one before. A place is a piece, or, in a block of more than 1,024 pieces,
//! 2^n neighbours.
//!
//! # Encoding
//!
//! | bytes | what |
//! |---|---|
//! | ... | the shards, one after the other |
//! | 8 for each shard | its length u32, 0 when it could not be made and affirms everything; its CRC-32C u32 |
//! | 4 | pieces, u32 |
//! | 4 | shards, u32 |
//! | 1 | the logarithm of the pieces of a place |
//! | 3 | zero |
//! | 4 | CRC-32C of all that follows the shards |

use super::{
    super::{error::Malformed, wire::Input},
    fuse::{Fuse, mix},
};

/// Pairs of a shard, on average: few enough that one is read in no time and built in the nearest caches; smaller ones
/// take more room for each pair.
const SHARD_PAIRS: usize = 8192;

/// Places of a block at most; with the bits that check, a number then fits into 16.
const PLACES_MAX: u32 = 1024;

/// Bits that check at most.
const CHECK_BITS_MAX: u32 = 6;

/// What follows the shards and their directory.
pub(crate) const TAIL_BYTES: usize = 4 + 4 + 1 + 3 + 4;

/// A shard in the directory.
const ENTRY_BYTES: usize = 8;

/// Some pieces of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PieceSet {
    words: Vec<u64>,
    pieces: usize,
}

impl PieceSet {
    pub(crate) fn none(pieces: usize) -> Self {
        Self {
            words: vec![0; pieces.div_ceil(64)],
            pieces,
        }
    }

    pub(crate) fn all(pieces: usize) -> Self {
        let mut all = Self::none(pieces);
        (0..pieces).for_each(|piece| all.insert(piece));
        all
    }

    #[inline]
    pub(crate) fn insert(&mut self, piece: usize) {
        if piece < self.pieces
            && let Some(word) = self.words.get_mut(piece / 64)
        {
            *word |= 1 << (piece % 64);
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, piece: usize) {
        if let Some(word) = self.words.get_mut(piece / 64) {
            *word &= !(1 << (piece % 64));
        }
    }

    #[inline]
    pub(crate) fn contains(&self, piece: usize) -> bool {
        let word = self.words.get(piece / 64);
        word.is_some_and(|word| word >> (piece % 64) & 1 == 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Those in both.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        let words = self.words.iter_mut().zip(&other.words);
        words.for_each(|(word, other)| *word &= other);
        self
    }

    /// Those in either.
    pub(crate) fn or(mut self, other: &Self) -> Self {
        let words = self.words.iter_mut().zip(&other.words);
        words.for_each(|(word, other)| *word |= other);
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.pieces).filter(|piece| self.contains(*piece))
    }
}

/// Collects the needles of a block.
#[derive(Debug, Default)]
pub(crate) struct PlacesWriter {
    hashes: Vec<u64>,
    pieces: Vec<u32>,
}

impl PlacesWriter {
    /// A needle that a piece has. To be told once is enough.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64, piece: u32) {
        self.hashes.push(hash);
        self.pieces.push(piece);
    }

    /// The section of a block with so many pieces, in which one of about 2^`check_bits` needles that it does not have is
    /// affirmed, of a piece.
    pub(crate) fn encode(&self, pieces: u32, check_bits: u32) -> Vec<u8> {
        let mut shift = 0;
        while pieces.saturating_sub(1) >> shift >= PLACES_MAX {
            shift += 1;
        }
        let places = (pieces.saturating_sub(1) >> shift) + 1;
        let bits = number_bits(places, check_bits);
        let shards = self.hashes.len().div_ceil(SHARD_PAIRS).max(1);
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for mut pairs in self.cut_into_shards(shards, shift) {
            let entries = entries(&mut pairs, places as u16);
            // None is as good as impossible.
            let shard = Fuse::build(&entries, bits).map_or_else(Vec::new, |fuse| fuse.encode());
            directory.extend((shard.len() as u32).to_le_bytes());
            directory.extend(crc32c::crc32c(&shard).to_le_bytes());
            bytes.extend(shard);
        }
        directory.extend(pieces.to_le_bytes());
        directory.extend((shards as u32).to_le_bytes());
        directory.extend([shift as u8, 0, 0, 0]);
        directory.extend(crc32c::crc32c(&directory).to_le_bytes());
        bytes.extend(directory);
        bytes
    }

    fn cut_into_shards(&self, shards: usize, shift: u32) -> Vec<Vec<(u64, u16)>> {
        let room = self.hashes.len() / shards;
        let mut all = vec![Vec::with_capacity(room + room / 16); shards];
        for (hash, piece) in self.hashes.iter().zip(&self.pieces) {
            if let Some(shard) = all.get_mut(shard_of(*hash, shards)) {
                shard.push((*hash, (piece >> shift) as u16));
            }
        }
        all
    }
}

/// Bits of a number of which so many are places, and one means everywhere.
fn number_bits(places: u32, check_bits: u32) -> u32 {
    let check_bits = check_bits.clamp(1, CHECK_BITS_MAX);
    // To the nearest: a piece more than a power of two is no reason for a whole bit.
    let of_places = f64::from(places + 1).log2().round() as u32;
    of_places + check_bits
}

fn shard_of(hash: u64, shards: usize) -> usize {
    ((u128::from(hash) * shards as u128) >> 64) as usize
}

/// The key of a place of a needle, by its number among them.
#[inline]
fn key(hash: u64, number: u64) -> u64 {
    match number {
        0 => hash,
        _ => mix(hash.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
    }
}

/// The keys of needles, each with its number.
fn entries(pairs: &mut Vec<(u64, u16)>, places: u16) -> Vec<(u64, u16)> {
    pairs.sort_unstable();
    pairs.dedup();
    let mut entries = Vec::with_capacity(pairs.len());
    for needle in pairs.chunk_by(|a, b| a.0 == b.0) {
        let hash = needle.first().map_or(0, |pair| pair.0);
        match is_everywhere(needle.len(), places) {
            true => entries.extend((0..EVERYWHERE_TIMES).map(|n| (key(hash, n), places))),
            false => {
                let keyed = (0..).zip(needle);
                entries.extend(keyed.map(|(number, pair)| (key(hash, number), pair.1)));
            }
        }
    }
    entries
}

/// So often is it told that a needle is everywhere: to be wrong about it costs a read of the whole block.
const EVERYWHERE_TIMES: u64 = 2;

fn is_everywhere(count: usize, places: u16) -> bool {
    count > 2 && 2 * count > usize::from(places)
}

/// Where the shards of a section are, and what else is known of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pieces: usize,
    shift: u32,
    shards: Vec<Shard>,
}

/// A shard in the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Its number.
    pub(crate) number: u32,
    pub(crate) offset: u64,
    /// 0 when it affirms everything.
    pub(crate) length: u32,
    pub(crate) checksum: u32,
}

impl Places {
    /// How many bytes at the end of a section [`Self::decode`] needs, said by its last [`TAIL_BYTES`].
    pub(crate) fn tail_len(tail: &[u8]) -> Result<usize, Malformed> {
        let mut input = Input::new(tail);
        input.u32()?;
        let shards = usize::try_from(input.u32()?).unwrap_or(usize::MAX);
        Ok(shards
            .saturating_mul(ENTRY_BYTES)
            .saturating_add(TAIL_BYTES))
    }

    /// Reads what follows the shards, of a section of so many bytes.
    pub(crate) fn decode(tail: &[u8], section: u64) -> Result<Self, Malformed> {
        let Some((said, checksum)) = tail.split_last_chunk::<4>() else {
            return Err(Malformed::new("the places of its needles end too early"));
        };
        if crc32c::crc32c(said) != u32::from_le_bytes(*checksum) {
            return Err(Malformed::new(
                "the checksum of the places of its needles is wrong",
            ));
        }
        let mut input = Input::new(said);
        let count = said.len().saturating_sub(TAIL_BYTES - 4) / ENTRY_BYTES;
        let mut shards = Vec::with_capacity(count);
        let mut offset = 0_u64;
        for number in 0..count as u32 {
            let (length, checksum) = (input.u32()?, input.u32()?);
            shards.push(Shard {
                number,
                offset,
                length,
                checksum,
            });
            offset += u64::from(length);
        }
        let (pieces, of, shift) = (input.u32()?, input.u32()?, u32::from(input.u8()?));
        input.take(3)?;
        input.finish()?;
        let fits = of as usize == count && offset.checked_add(tail.len() as u64) == Some(section);
        let is_sound = pieces > 0 && shift < 32 && (pieces - 1) >> shift < PLACES_MAX;
        if !fits || !is_sound || shards.is_empty() {
            return Err(Malformed::new("the places of its needles do not fit"));
        }
        Ok(Self {
            pieces: pieces as usize,
            shift,
            shards,
        })
    }

    pub(crate) fn pieces(&self) -> usize {
        self.pieces
    }

    pub(crate) fn shard(&self, hash: u64) -> Option<&Shard> {
        self.shards.get(shard_of(hash, self.shards.len()))
    }

    /// The pieces that can have a needle, by what its shard holds.
    pub(crate) fn of(&self, fuse: &Fuse, hash: u64) -> PieceSet {
        let places = ((self.pieces.saturating_sub(1)) >> self.shift) + 1;
        let mut found = PieceSet::none(self.pieces);
        let mut before = None;
        for number in 0..places as u64 {
            let Some(place) = fuse.number(key(hash, number)).map(usize::from) else {
                break;
            };
            if place == places && number == 0 {
                return match self.is_everywhere(fuse, hash) {
                    true => PieceSet::all(self.pieces),
                    false => found,
                };
            }
            if place >= places || before.is_some_and(|before| before >= place) {
                break;
            }
            let first = place << self.shift;
            (first..first + (1 << self.shift)).for_each(|piece| found.insert(piece));
            before = Some(place);
        }
        found
    }

    fn is_everywhere(&self, fuse: &Fuse, hash: u64) -> bool {
        let places = ((self.pieces.saturating_sub(1)) >> self.shift) + 1;
        let mut others = (1..EVERYWHERE_TIMES).map(|number| fuse.number(key(hash, number)));
        others.all(|number| number.map(usize::from) == Some(places))
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.shards.capacity() * size_of::<Shard>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn read(section: &[u8]) -> Result<Places, Malformed> {
        let tail = &section[section.len().saturating_sub(TAIL_BYTES)..];
        let length = Places::tail_len(tail)?;
        let start = section.len().checked_sub(length);
        let start = start.ok_or_else(|| Malformed::new("too short"))?;
        Places::decode(&section[start..], section.len() as u64)
    }

    fn found(section: &[u8], places: &Places, hash: u64) -> Result<PieceSet, Malformed> {
        let shard = places.shard(hash).unwrap();
        if shard.length == 0 {
            return Ok(PieceSet::all(places.pieces()));
        }
        let bytes = &section[shard.offset as usize..][..shard.length as usize];
        assert_eq!(crc32c::crc32c(bytes), shard.checksum);
        Ok(places.of(&Fuse::decode(bytes)?, hash))
    }

    proptest! {
        #[test]
        fn every_piece_that_has_a_needle_is_found(
            needles in vec((0..60_u64, 0..3000_u32), 0..400),
            pieces in 1..3000_u32,
            check_bits in 1..8_u32,
        ) {
            let mut writer = PlacesWriter::default();
            for (needle, piece) in &needles {
                writer.add(mix(*needle), piece % pieces);
            }
            let section = writer.encode(pieces, check_bits);
            let places = read(&section).unwrap();
            prop_assert_eq!(places.pieces(), pieces as usize);
            for (needle, piece) in &needles {
                let found = found(&section, &places, mix(*needle)).unwrap();
                prop_assert!(found.contains((piece % pieces) as usize));
            }
        }

        #[test]
        fn fuzz_any_bytes_are_places_or_an_error(bytes in vec(any::<u8>(), TAIL_BYTES..80), hash in any::<u64>()) {
            let mut bytes = bytes;
            let end = bytes.len() - 4;
            // With a checksum that fits, else nothing else is ever looked at.
            let tail = Places::tail_len(&bytes[bytes.len() - TAIL_BYTES..]).unwrap();
            let start = bytes.len().saturating_sub(tail);
            let checksum = crc32c::crc32c(&bytes[start..end]);
            bytes[end..].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(places) = read(&bytes)
                && let Some(shard) = places.shard(hash)
            {
                let shard = &bytes[shard.offset as usize..][..shard.length as usize];
                if let Ok(fuse) = Fuse::decode(shard) {
                    places.of(&fuse, hash);
                }
            }
        }

        #[test]
        fn sets_of_pieces_are_sets(a in vec(any::<bool>(), 130), b in vec(any::<bool>(), 130)) {
            let set = |of: &[bool]| {
                let mut set = PieceSet::none(130);
                (0..130).filter(|n| of[*n]).for_each(|n| set.insert(n));
                set
            };
            let (and, or) = (set(&a).and(&set(&b)), set(&a).or(&set(&b)));
            for n in 0..130 {
                prop_assert_eq!(and.contains(n), a[n] && b[n]);
                prop_assert_eq!(or.contains(n), a[n] || b[n]);
                prop_assert!(PieceSet::all(130).contains(n));
            }
            prop_assert_eq!(and.is_empty(), and.iter().next().is_none());
            prop_assert_eq!(PieceSet::all(130).iter().count(), 130);
        }
    }

    /// Pieces that are read in vain for 20,000 needles that a block does not have, and the bytes of a pair.
    fn sweep(check_bits: u32) -> (usize, f64) {
        const PAIRS: u64 = 300_000;
        let mut writer = PlacesWriter::default();
        for needle in 0..PAIRS {
            writer.add(mix(needle), (needle % 32) as u32);
        }
        let section = writer.encode(32, check_bits);
        let places = read(&section).unwrap();
        let others = (0..20_000).map(|needle| mix(needle + (1 << 40)));
        let wrong = others.map(|hash| found(&section, &places, hash).unwrap().iter().count());
        (wrong.sum(), section.len() as f64 / PAIRS as f64)
    }

    #[test]
    fn few_needles_that_a_block_does_not_have_are_affirmed() {
        for check_bits in 1..=6 {
            let (wrong, bytes) = sweep(check_bits);
            let expected = 20_000 >> check_bits;
            assert!(
                wrong <= expected + expected / 3 + 40,
                "{wrong} at {check_bits} bits"
            );
            let bits = f64::from(5 + check_bits);
            assert!(
                8.0 * bytes < 1.36 * bits,
                "{bytes} bytes at {check_bits} bits"
            );
        }
    }

    #[test]
    fn a_needle_in_most_pieces_takes_no_more_room_than_one_in_a_single_piece() {
        let mut writer = PlacesWriter::default();
        (0..200).for_each(|piece| writer.add(7, piece));
        let section = writer.encode(200, 5);
        assert!(section.len() < 80, "{}", section.len());
        let places = read(&section).unwrap();
        assert_eq!(found(&section, &places, 7).unwrap(), PieceSet::all(200));
    }
}
