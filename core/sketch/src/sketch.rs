//! A sketch of durations: how many there are of about each length, so that any quantile can be told, and sketches of
//! different minutes, blocks and consumers can be added.
//!
//! # Buckets
//!
//! Bucket 0 holds the duration 0. Each octave, from 2^n to 2^(n+1) - 1 nanoseconds, has 36 buckets: bucket
//! `1 + 36 n + i` holds the durations `d` with `BOUNDS[i] <= 4096 d / 2^n < BOUNDS[i + 1]`, where `BOUNDS[i]` is
//! 4096 times the `i`-th power of the 36th root of 2, rounded. So a bucket is at most 1.96 % wider than its lower end, and
//! the harmonic mean of its ends, which stands for all that is in it, is off by at most 1 % ([`RELATIVE_ERROR`]). This is the
//! mapping of DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
//! guarantees", 2019) with the logarithm in a table.
//!
//! Count, sum, least and greatest are exact; the sum stops at 2^64 - 1 ns, which is 584 years.
//!
//! # Encoding
//!
//! A stream of bits, the lowest of each byte first. `n : b` is the number n in b bits; `gamma(n)` is Elias' code: as many
//! zeros as n has bits beyond the first, a one, those bits; `golomb(n, k)` is `gamma((n >> k) + 1)` and the low k bits.
//! Within a bucket, an offset counts from its least duration and has as many bits as the greatest offset needs.
//!
//! | what | when |
//! |---|---|
//! | `gamma(count)` | |
//! | `bucket of the least : 12`, `offset of the least` | |
//! | `gamma(bucket of the greatest - bucket of the least + 1)`, `offset of the greatest` | count > 1 |
//! | `bits of the sum : 7`, `sum : bits` | count > 2 |
//! | `k : 3`, `l : 3`, `golomb(durations in the first bucket - 1, l)` | count > 2, more than one bucket |
//! | for each next bucket that is not empty, until the count is reached: `golomb(buckets between, k)`, `golomb(durations - 1, l)` | likewise |
//!
//! An empty sketch is no bytes; else the last byte is filled up with zeros. [`Sketch::to_bytes`] writes it so, for other
//! programs as well.

use crate::Malformed;
use crate::bits::{BitReader, BitWriter};

/// How far a quantile may be from the duration that has the rank, as a part of it; half a nanosecond may come on top.
pub const RELATIVE_ERROR: f64 = 0.01;

/// Buckets of an octave.
pub(crate) const PER_OCTAVE: u16 = 36;

/// Buckets of all octaves of 64 bits, and that of zero.
const BUCKETS: u16 = 1 + 64 * PER_OCTAVE;

/// 4096 * 2^(i/36), rounded.
const BOUNDS: [u16; PER_OCTAVE as usize + 1] = [
    4096, 4176, 4257, 4340, 4424, 4510, 4598, 4687, 4778, 4871, 4966, 5062, 5161, 5261, 5363, 5468,
    5574, 5682, 5793, 5905, 6020, 6137, 6256, 6378, 6502, 6628, 6757, 6889, 7023, 7159, 7298, 7440,
    7585, 7732, 7883, 8036, 8192,
];

/// By the twelve bits after the first one of a duration: its bucket in the octave.
static IN_OCTAVE: [u8; 4096] = in_octave();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn in_octave() -> [u8; 4096] {
    let mut table = [0; 4096];
    let (mut at, mut bucket) = (0, 0);
    while at < 4096 {
        if at + 4096 >= BOUNDS[bucket + 1] as usize {
            bucket += 1;
        }
        table[at] = bucket as u8;
        at += 1;
    }
    table
}

/// The bucket of a duration.
#[inline]
pub fn bucket_of(nanos: u64) -> u16 {
    let Some(octave) = nanos.checked_ilog2() else {
        return 0;
    };
    let bits = (nanos << (63 - octave)) >> 51 & 0xfff;
    let place = IN_OCTAVE.get(bits as usize).copied().unwrap_or(0);
    1 + PER_OCTAVE * octave as u16 + u16::from(place)
}

/// The octave of a bucket but 0, and the ends of the bucket in 4096ths of the octave's start.
fn ends(bucket: u16) -> (u32, u64, u64) {
    let (octave, place) = (
        u32::from((bucket - 1) / PER_OCTAVE),
        usize::from((bucket - 1) % PER_OCTAVE),
    );
    let end = |place: usize| u64::from(BOUNDS.get(place).copied().unwrap_or(8192));
    (octave, end(place), end(place + 1))
}

/// The least duration of a bucket, and one less than how many it can hold.
fn extent(bucket: u16) -> (u64, u64) {
    if bucket == 0 {
        return (0, 0);
    }
    let (octave, low, high) = ends(bucket);
    let at = |end: u64| (u128::from(end) << octave).div_ceil(4096);
    let (low, high) = (at(low), at(high));
    // A bucket of small durations may hold none at all.
    let above = high.saturating_sub(low + 1);
    (
        u64::try_from(low).unwrap_or(u64::MAX),
        u64::try_from(above).unwrap_or(u64::MAX),
    )
}

/// The least duration of a bucket.
pub(crate) fn least_of(bucket: u16) -> u64 {
    extent(bucket).0
}

/// What stands for all durations of a bucket.
fn middle(bucket: u16) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let (octave, low, high) = ends(bucket);
    let (low, high) = (low as f64, high as f64);
    2.0 * low * high / (low + high) / 4096.0 * f64::from(octave).exp2()
}

fn bits_of(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

/// How many durations there are, their sum, the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many there are.
    pub count: u64,
    /// Their sum, nanoseconds; it stops at 2^64 - 1.
    pub sum: u64,
    /// The least of them, nanoseconds; 2^64 - 1 when there is none.
    pub min: u64,
    /// The greatest of them, nanoseconds.
    pub max: u64,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
        }
    }
}

impl Summary {
    /// Adds a duration.
    #[inline]
    pub fn add(&mut self, nanos: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(nanos);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// Durations in nanoseconds, of which the count, the sum, the least and the greatest are exact, and every quantile within
/// [`RELATIVE_ERROR`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    summary: Summary,
    /// The bucket that `counts` starts with.
    first: u16,
    counts: Vec<u64>,
}

impl Sketch {
    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.summary.count
    }

    /// All durations together, nanoseconds.
    #[must_use]
    pub fn sum_nano(&self) -> u64 {
        self.summary.sum
    }

    /// The least duration in nanoseconds; none without durations.
    #[must_use]
    pub fn min_nano(&self) -> Option<u64> {
        (self.summary.count > 0).then_some(self.summary.min)
    }

    /// The greatest duration in nanoseconds; none without durations.
    #[must_use]
    pub fn max_nano(&self) -> Option<u64> {
        (self.summary.count > 0).then_some(self.summary.max)
    }

    /// Adds a duration.
    pub fn add(&mut self, nanos: u64) {
        let bucket = bucket_of(nanos);
        self.summary.add(nanos);
        self.reach(bucket, bucket);
        self.count_in(bucket, 1);
    }

    /// Adds all durations of another sketch.
    pub fn merge(&mut self, other: &Self) {
        if other.summary.count == 0 {
            return;
        }
        let last = other.first + (other.counts.len() as u16).saturating_sub(1);
        self.reach(other.first, last);
        for (bucket, count) in (other.first..).zip(&other.counts) {
            self.count_in(bucket, *count);
        }
        self.summary.merge(other.summary);
    }

    /// The duration in nanoseconds that a part of all durations, from 0 to 1, does not exceed: of n durations in their
    /// order the one with the number ⌈part × n⌉, within [`RELATIVE_ERROR`]. None without durations.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let Summary {
            count, min, max, ..
        } = self.summary;
        if count == 0 {
            return None;
        }
        let rank = ((part * count as f64).ceil() as u64).clamp(1, count);
        if rank == 1 || rank == count {
            return Some(if rank == count { max } else { min });
        }
        let mut before = 0_u64;
        let found = (self.first..).zip(&self.counts).find(|(_, count)| {
            before = before.saturating_add(**count);
            before >= rank
        });
        let middle = found.map_or(0.0, |(bucket, _)| middle(bucket));
        Some((middle.round() as u64).clamp(min, max))
    }

    /// The sketch as other programs read it: `Rate.sketch` in `consumer.proto` has the encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bits = BitWriter::default();
        if self.summary.count > 0 {
            let counts = (self.first..).zip(&self.counts);
            let counts = counts.filter(|(_, count)| **count > 0);
            let counts: Vec<(u16, u64)> = counts.map(|(bucket, count)| (bucket, *count)).collect();
            encode(&mut bits, self.summary, &counts);
        }
        bits.finish()
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are no sketch.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let mut sketch = Self::default();
        if bytes.is_empty() {
            return Ok(sketch);
        }
        let mut bits = BitReader::new(bytes);
        let read = sketch.merge_encoded(&mut bits);
        read.map_err(|reason| SketchError(reason.to_string()))?;
        if bits.left() >= 8 {
            return Err(SketchError("bytes are left over".to_owned()));
        }
        Ok(sketch)
    }

    /// How many durations each bucket has, ascending; [`bucket_of`] says which one a duration is in.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.counts.iter().copied();
        (self.first..).zip(counts).filter(|(_, count)| *count > 0)
    }

    /// Forgets all durations and keeps the room for others.
    pub fn clear(&mut self) {
        self.summary = Summary::default();
        self.counts.clear();
    }

    /// Bytes of memory that it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u64>()
    }

    /// Adds the durations of an encoded sketch, and says what they are.
    ///
    /// # Errors
    /// The bits are no sketch. Some of the durations may be added all the same.
    pub fn merge_encoded(&mut self, bits: &mut BitReader<'_>) -> Result<Summary, Malformed> {
        let count = bits.take_gamma()?;
        let low_bucket = bits.take(12) as u16;
        let min = take_in_bucket(bits, low_bucket)?;
        let mut read = Summary {
            count,
            sum: min,
            min,
            max: min,
        };
        let mut high_bucket = low_bucket;
        if count > 1 {
            let span = u16::try_from(bits.take_gamma()? - 1).unwrap_or(u16::MAX);
            high_bucket = low_bucket.saturating_add(span);
            read.max = take_in_bucket(bits, high_bucket)?;
            read.sum = min.saturating_add(read.max);
        }
        if read.max < min {
            return Err(Malformed::new("the greatest duration is not the greatest"));
        }
        self.reach(low_bucket, high_bucket);
        if count > 2 {
            let length = bits.take(7) as u32;
            if length > u64::BITS {
                return Err(Malformed::new("a sum is too long"));
            }
            read.sum = bits.take_long(length);
        }
        match (count, low_bucket == high_bucket) {
            (_, true) => self.count_in(low_bucket, count),
            (2, false) => {
                self.count_in(low_bucket, 1);
                self.count_in(high_bucket, 1);
            }
            _ => self.merge_counts(bits, count, low_bucket, high_bucket)?,
        }
        bits.check()?;
        self.summary.merge(read);
        Ok(read)
    }

    fn merge_counts(
        &mut self,
        bits: &mut BitReader<'_>,
        count: u64,
        low: u16,
        high: u16,
    ) -> Result<(), Malformed> {
        let (k, l) = (bits.take(3) as u32, bits.take(3) as u32);
        let mut bucket = low;
        let mut left = count;
        loop {
            let here = bits.take_golomb(l)?.saturating_add(1);
            left = left
                .checked_sub(here)
                .ok_or_else(|| Malformed::new("its buckets hold more than its count"))?;
            self.count_in(bucket, here);
            if left == 0 {
                break;
            }
            let between = u16::try_from(bits.take_golomb(k)?).unwrap_or(u16::MAX);
            bucket = bucket.saturating_add(between).saturating_add(1);
            if bucket > high {
                return Err(Malformed::new("a bucket lies beyond the greatest"));
            }
        }
        match bucket == high {
            true => Ok(()),
            false => Err(Malformed::new("the bucket of the greatest is empty")),
        }
    }

    /// Makes room for buckets, from `low` to `high`.
    fn reach(&mut self, low: u16, high: u16) {
        if self.counts.is_empty() {
            self.first = low;
        }
        if low < self.first {
            let more = usize::from(self.first - low);
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = low;
        }
        let wanted = usize::from(high - self.first) + 1;
        if wanted > self.counts.len() {
            self.counts.resize(wanted, 0);
        }
    }

    /// Counts in a bucket that there is room for.
    #[inline]
    fn count_in(&mut self, bucket: u16, count: u64) {
        if let Some(cell) = self.counts.get_mut(usize::from(bucket - self.first)) {
            *cell = cell.saturating_add(count);
        }
    }
}

/// Why bytes are no sketch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a sketch of durations: {0}")]
pub struct SketchError(String);

fn take_in_bucket(bits: &mut BitReader<'_>, bucket: u16) -> Result<u64, Malformed> {
    if bucket >= BUCKETS {
        return Err(Malformed::new("there is no such bucket"));
    }
    let (low, above) = extent(bucket);
    let offset = bits.take_long(bits_of(above));
    match offset <= above {
        true => Ok(low.saturating_add(offset)),
        false => Err(Malformed::new("a duration lies beyond its bucket")),
    }
}

/// Writes durations: their summary, and how many there are in each bucket that is not empty, ascending.
pub fn encode(bits: &mut BitWriter, summary: Summary, counts: &[(u16, u64)]) {
    let Summary {
        count,
        sum,
        min,
        max,
    } = summary;
    let put_in_bucket = |bits: &mut BitWriter, nanos: u64| {
        let (low, above) = extent(bucket_of(nanos));
        bits.put_long(nanos - low, bits_of(above));
    };
    let (low, high) = (bucket_of(min), bucket_of(max));
    bits.put_gamma(count);
    bits.put(u64::from(low), 12);
    put_in_bucket(bits, min);
    if count < 2 {
        return;
    }
    bits.put_gamma(u64::from(high - low) + 1);
    put_in_bucket(bits, max);
    if count < 3 {
        return;
    }
    bits.put(u64::from(bits_of(sum)), 7);
    bits.put_long(sum, bits_of(sum));
    if low == high {
        return;
    }
    let buckets = counts.len() as u64;
    // About the order that makes the codes shortest, for both.
    let order = |all: u64| (all / buckets.max(1)).checked_ilog2().unwrap_or(0).min(7);
    let empty = (u64::from(high - low) + 1).saturating_sub(buckets);
    let (k, l) = (order(empty), order(count - buckets));
    bits.put(u64::from(k), 3);
    bits.put(u64::from(l), 3);
    let mut next = low;
    for (bucket, here) in counts {
        if *bucket != low {
            bits.put_golomb(u64::from(bucket - next), k);
        }
        bits.put_golomb(here - 1, l);
        next = bucket + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn durations() -> impl Strategy<Value = Vec<u64>> {
        let one = prop_oneof![
            4 => (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift),
            4 => 1_000_000..20_000_000_u64,
            1 => Just(0),
            1 => Just(5_000_000),
        ];
        vec(one, 0..200)
    }

    fn sketch(durations: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        durations.iter().for_each(|nanos| sketch.add(*nanos));
        sketch
    }

    #[test]
    fn the_ends_of_the_buckets_are_powers_of_the_36th_root_of_two() {
        for (place, end) in BOUNDS.iter().enumerate() {
            let exact = 4096.0 * (place as f64 / 36.0).exp2();
            assert_eq!(f64::from(*end), exact.round());
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_duration_lies_in_its_bucket_and_near_its_middle(number in any::<u64>(), shift in 0..64_u32) {
            let nanos = number >> shift;
            let bucket = bucket_of(nanos);
            let (low, above) = extent(bucket);
            prop_assert!(low <= nanos && nanos - low <= above);
            let off = (middle(bucket) - nanos as f64).abs();
            prop_assert!(off <= RELATIVE_ERROR * nanos as f64, "{} is {}", nanos, middle(bucket));
        }

        #[test]
        fn quantiles_are_within_the_error_and_the_rest_is_exact(mut durations in durations(), part in 0.0..=1.0_f64) {
            let sketch = sketch(&durations);
            durations.sort_unstable();
            prop_assert_eq!(sketch.count(), durations.len() as u64);
            prop_assert_eq!(sketch.sum_nano(), durations.iter().fold(0, |sum: u64, one| sum.saturating_add(*one)));
            prop_assert_eq!(sketch.min_nano(), durations.first().copied());
            prop_assert_eq!(sketch.max_nano(), durations.last().copied());
            let rank = ((part * durations.len() as f64).ceil() as usize).max(1);
            let exact = durations.get(rank - 1).copied();
            prop_assert_eq!(sketch.quantile(part).is_some(), exact.is_some());
            if let (Some(found), Some(exact)) = (sketch.quantile(part), exact) {
                let off = found.abs_diff(exact) as f64;
                prop_assert!(off <= RELATIVE_ERROR * exact as f64 + 0.5, "{} instead of {}", found, exact);
            }
        }

        #[test]
        fn a_sketch_comes_back_from_its_bytes_and_adds_up(a in durations(), b in durations()) {
            let (mut both, other) = (sketch(&a), sketch(&b));
            prop_assert_eq!(&Sketch::from_bytes(&both.to_bytes()).unwrap(), &both);
            both.merge(&other);
            let all: Vec<u64> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(&both, &sketch(&all));
            prop_assert_eq!(Sketch::from_bytes(&both.to_bytes()).unwrap(), both);
        }

        #[test]
        fn fuzz_any_bytes_are_a_sketch_or_an_error(bytes in vec(any::<u8>(), 0..60)) {
            if let Ok(sketch) = Sketch::from_bytes(&bytes) {
                prop_assert!(sketch.quantile(0.5).is_some() != bytes.is_empty());
                prop_assert!(sketch.heap_bytes() <= 8 * 2 * usize::from(BUCKETS));
            }
        }
    }

    #[test]
    fn a_hundred_durations_take_less_than_sixty_bytes() {
        let durations: Vec<u64> = (0..100)
            .map(|n| 1_000_000 + n * 7_919_113 % 19_000_000)
            .collect();
        let bytes = sketch(&durations).to_bytes().len();
        assert!(bytes < 60, "{bytes}");
        assert_eq!(sketch(&durations[..1]).to_bytes().len(), 4);
    }
}
