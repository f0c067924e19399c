//! Ids and words from numbers, so that they need not be kept.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spreads a number over all 64 bits (the last step of SplitMix64): different numbers stay different.
pub(crate) const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The trace id of an instance; never zero, and different for different keys.
pub(crate) fn trace_id_of(key: u64) -> [u8; 16] {
    ((u128::from(key) << 64) | u128::from(mix(key) | 1)).to_be_bytes()
}

/// The id of a span of an instance; never zero.
pub(super) fn span_id_of(key: u64, number: u32) -> [u8; 8] {
    let id = mix(key.wrapping_add(GOLDEN.wrapping_mul(u64::from(number) + 1)));
    (id | 1).to_be_bytes()
}

/// What follows `o-` in the order number of an instance.
pub(super) fn order_digits(key: u64) -> [u8; 10] {
    digits(mix(key ^ 0x0D0E))
}

/// What follows `s-` in its session.
pub(super) fn session_digits(key: u64) -> [u8; 8] {
    digits(mix(key ^ 0x5E55))
}

/// The order number of an instance, whole.
pub(crate) fn order_of(key: u64) -> String {
    format!("o-{}", String::from_utf8_lossy(&order_digits(key)))
}

fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in &mut digits {
        let nibble = (number & 15) as u8;
        *digit = nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        number >>= 4;
    }
    digits
}
