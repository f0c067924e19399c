//! Envelopes as Fluvio's records: batches written and read byte by byte, without a copy more than needed.
//!
//! Fluvio stores *batches* of records, in the format of Kafka's record batches of version 2. A request carries one batch
//! and a record carries one envelope: its value is the encoded envelope, its key are the 16 bytes of the log id (big
//! endian), by which a reader sees that what it reads is of the log that it opened. All numbers are big endian, those
//! of records are zigzag varints:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | offset of the first record; the SPU sets it |
//! | 4 | bytes that follow this field |
//! | 4 | leader epoch, -1 |
//! | 1 | magic, 2 |
//! | 4 | crc32c of everything after this field |
//! | 2 | attributes: the low three bits are the compression, 0; 0x10 announces a schema id, never ours |
//! | 4 | offset of the last record less that of the first |
//! | 8, 8 | milliseconds since 1970 of the first and of the last record |
//! | 8, 2, 4 | producer id, epoch and sequence, -1 |
//! | 4 | number of records |
//! | records | length, attributes (a byte), time delta, offset delta, key (a byte 1, length, bytes), value (length, bytes), number of headers |
//!
//! Source: `fluvio-protocol` 0.50.1, `record/batch.rs` and `record/data.rs`. Its own codec copies a record five times and
//! byte by byte, and takes a batch that the end of a response cut off for a whole one, so that records are skipped; this
//! one is tested against it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32c::crc32c;
use fluvio_protocol::{Decoder, Encoder, Version};
use log_tracer_transport::{Envelope, LogId};

/// Offset and length.
const PREAMBLE_BYTES: usize = 12;
/// From the leader epoch to the last field before the records.
const HEADER_BYTES: usize = 45;
/// The number of records.
const COUNT_BYTES: usize = 4;
/// Where what the checksum covers starts, after the preamble.
const CHECKED_AT: usize = 9;
/// The key: its presence, its length, the log id.
const KEY_BYTES: usize = 1 + 1 + 16;
const MAGIC: i8 = 2;
const COMPRESSION_MASK: i16 = 0x07;
const SCHEMA: i16 = 0x10;
/// A varint of 64 bits has so many bytes at most.
const VARINT_BYTES_MAX: usize = 10;

/// Bytes that a batch of so many envelopes takes beside the envelopes, at most.
pub(crate) const fn overhead_bytes(envelopes: usize) -> usize {
    // Length, attributes, time delta, offset delta, key, length of the value, headers.
    PREAMBLE_BYTES + HEADER_BYTES + COUNT_BYTES + envelopes * (5 + 1 + 1 + 5 + KEY_BYTES + 5 + 1)
}

/// Bytes that an envelope takes in a batch, at most.
pub(crate) fn cost(envelope: &Envelope) -> usize {
    let overhead = const { overhead_bytes(1) - overhead_bytes(0) };
    envelope.encoded_len().saturating_add(overhead)
}

/// A batch, whole and encoded, as the records of a produce request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordBytes(pub(crate) Bytes);

impl Encoder for RecordBytes {
    fn write_size(&self, _: Version) -> usize {
        4 + self.0.len()
    }

    fn encode<T: BufMut>(&self, dest: &mut T, version: Version) -> Result<(), std::io::Error> {
        let length = i32::try_from(self.0.len()).map_err(std::io::Error::other)?;
        length.encode(dest, version)?;
        dest.put_slice(&self.0);
        Ok(())
    }
}

impl Decoder for RecordBytes {
    fn decode<T: Buf>(&mut self, src: &mut T, version: Version) -> Result<(), std::io::Error> {
        let mut length = 0_i32;
        length.decode(src, version)?;
        let length = usize::try_from(length).map_err(std::io::Error::other)?;
        if src.remaining() < length {
            return Err(std::io::Error::other(format!(
                "{} bytes of records where the response says {length}",
                src.remaining()
            )));
        }
        self.0 = src.copy_to_bytes(length);
        Ok(())
    }
}

/// A batch of these envelopes, in this order.
pub(crate) fn encode<'a>(
    log_id: LogId,
    unix_ms: i64,
    envelopes: impl ExactSizeIterator<Item = &'a Envelope> + Clone,
) -> Bytes {
    let payload: usize = envelopes.clone().map(Envelope::encoded_len).sum();
    let count = envelopes.len();
    let mut out = BytesMut::with_capacity(payload.saturating_add(overhead_bytes(count)));
    begin(&mut out, count, unix_ms);
    for (delta, envelope) in (0_i64..).zip(envelopes) {
        let value = envelope.encoded_len() as i64;
        let length =
            2 + varint_bytes(delta) + KEY_BYTES + varint_bytes(value) + envelope.encoded_len() + 1;
        put_varint(&mut out, length as i64);
        out.put_u8(0);
        put_varint(&mut out, 0);
        put_varint(&mut out, delta);
        out.put_u8(1);
        put_varint(&mut out, 16);
        out.put_u128(log_id.0);
        put_varint(&mut out, value);
        out.put_slice(&envelope.encode_header());
        out.put_slice(&envelope.payload);
        put_varint(&mut out, 0);
    }
    fill_in(&mut out);
    out.freeze()
}

/// A batch of one record without a key, for the ledger.
pub(crate) fn encode_plain(unix_ms: i64, value: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(value.len().saturating_add(overhead_bytes(1)));
    begin(&mut out, 1, unix_ms);
    let bytes = value.len() as i64;
    put_varint(&mut out, 4 + varint_bytes(bytes) as i64 + bytes + 1);
    out.put_u8(0);
    put_varint(&mut out, 0);
    put_varint(&mut out, 0);
    out.put_u8(0);
    put_varint(&mut out, bytes);
    out.put_slice(value);
    put_varint(&mut out, 0);
    fill_in(&mut out);
    out.freeze()
}

/// Writes everything before the records, with room for what is known only at the end.
fn begin(out: &mut BytesMut, count: usize, unix_ms: i64) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    out.put_slice(&[0; PREAMBLE_BYTES + CHECKED_AT]);
    out.put_i16(0);
    out.put_i32(count.saturating_sub(1));
    out.put_i64(unix_ms);
    out.put_i64(unix_ms);
    out.put_i64(-1);
    out.put_i16(-1);
    out.put_i32(-1);
    out.put_i32(count);
}

/// Writes what is known only at the end: the length, the epoch, the magic and the checksum.
fn fill_in(out: &mut BytesMut) {
    let crc = crc32c(out.get(PREAMBLE_BYTES + CHECKED_AT..).unwrap_or_default());
    let length = out.len() - PREAMBLE_BYTES;
    let mut head = [0_u8; PREAMBLE_BYTES + CHECKED_AT];
    let mut fields = head.as_mut_slice();
    fields.put_i64(0);
    fields.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
    fields.put_i32(-1);
    fields.put_i8(MAGIC);
    fields.put_u32(crc);
    if let Some(place) = out.first_chunk_mut() {
        *place = head;
    }
}

/// A record as it was read. Key and value share the memory of their batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) offset: u64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Bytes,
}

/// What a response holds.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// The records of the batches that are whole.
    pub(crate) records: Vec<Read>,
    /// The batch at the end that is not whole.
    pub(crate) cut: Option<Cut>,
}

/// A batch that the end of a response cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// What the response would have to hold for it, if that is known.
    pub(crate) need_bytes: Option<usize>,
    /// The offset after its last record, if its header is there.
    pub(crate) end: Option<u64>,
}

/// Reads what a response holds, and checks the checksum of every batch.
///
/// # Errors
///
/// The offset from which on, and how, bytes are not what was written; what came before is in `fetched`.
pub(crate) fn decode(bytes: &Bytes, fetched: &mut Fetched) -> Result<(), (u64, String)> {
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let at = fetched.records.last().map_or(0, |last| last.offset + 1);
        let Some(preamble) = rest.first_chunk::<PREAMBLE_BYTES>() else {
            fetched.cut = Some(Cut {
                need_bytes: None,
                end: None,
            });
            return Ok(());
        };
        let mut fields = preamble.as_slice();
        let (base, length) = (fields.get_i64(), fields.get_i32());
        let (Ok(base), Ok(length)) = (u64::try_from(base), usize::try_from(length)) else {
            return Err((
                at,
                format!("a batch of {length} bytes at the offset {base}"),
            ));
        };
        if length < HEADER_BYTES + COUNT_BYTES {
            return Err((base, format!("a batch of {length} bytes")));
        }
        if rest.len() < PREAMBLE_BYTES + length {
            let delta = rest.get(PREAMBLE_BYTES + 11..PREAMBLE_BYTES + 15);
            let delta = delta.and_then(|mut bytes| u64::try_from(bytes.get_i32()).ok());
            fetched.cut = Some(Cut {
                need_bytes: Some(PREAMBLE_BYTES + length),
                end: delta.map(|delta| base + delta + 1),
            });
            return Ok(());
        }
        rest.advance(PREAMBLE_BYTES);
        let batch = rest.split_to(length);
        decode_batch(base, &batch, &mut fetched.records).map_err(|reason| (base, reason))?;
    }
    Ok(())
}

fn decode_batch(base: u64, batch: &Bytes, records: &mut Vec<Read>) -> Result<(), String> {
    let mut fields = batch.as_ref();
    fields.advance(4);
    let magic = fields.get_i8();
    if magic != MAGIC {
        return Err(format!("a batch of magic {magic}, expected {MAGIC}"));
    }
    let expected = fields.get_u32();
    let found = crc32c(fields);
    if found != expected {
        return Err(format!(
            "the batch has the crc32c {found:08x}, {expected:08x} was written with it"
        ));
    }
    let attributes = fields.get_i16();
    if attributes & (COMPRESSION_MASK | SCHEMA) != 0 {
        return Err(format!(
            "a batch with the attributes {attributes:#x}, expected neither compression nor schema"
        ));
    }
    let last = fields.get_i32();
    let mut rest = batch.slice(HEADER_BYTES..);
    let count = rest.get_i32();
    if i64::from(count) != i64::from(last) + 1 {
        return Err(format!(
            "a batch of {count} records whose last one is record {last}"
        ));
    }
    for delta in 0..=i64::from(last) {
        let (found, read) = decode_record(base, &mut rest)?;
        if found != delta {
            return Err(format!("record {delta} of a batch says that it is {found}"));
        }
        records.push(read);
    }
    match rest.len() {
        0 => Ok(()),
        more => Err(format!("{more} bytes after the last record of a batch")),
    }
}

fn decode_record(base: u64, rest: &mut Bytes) -> Result<(i64, Read), String> {
    let mut record = take(rest, "a record")?;
    if record.is_empty() {
        return Err("a record of no bytes".into());
    }
    record.advance(1);
    varint(&mut record)?;
    let delta = varint(&mut record)?;
    if record.is_empty() {
        return Err("a record without a key".into());
    }
    let key = match record.get_u8() {
        0 => None,
        _ => Some(take(&mut record, "a key")?),
    };
    let value = take(&mut record, "a value")?;
    varint(&mut record)?;
    let offset = u64::try_from(delta).ok().and_then(|d| base.checked_add(d));
    let offset = offset.ok_or_else(|| format!("a record at {delta} of a batch"))?;
    Ok((delta, Read { offset, key, value }))
}

/// What a length and then so many bytes say.
fn take(rest: &mut Bytes, what: &str) -> Result<Bytes, String> {
    let length = varint(rest)?;
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => Ok(rest.split_to(length)),
        _ => Err(format!(
            "{what} of {length} bytes where {} are left",
            rest.len()
        )),
    }
}

fn varint(rest: &mut Bytes) -> Result<i64, String> {
    let mut zigzag = 0_u64;
    for index in 0..VARINT_BYTES_MAX {
        if rest.is_empty() {
            return Err("a number without an end".into());
        }
        let byte = rest.get_u8();
        zigzag |= u64::from(byte & 0x7f)
            .checked_shl(7 * index as u32)
            .unwrap_or_default();
        if byte & 0x80 == 0 {
            return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    Err("a number of more than 64 bits".into())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint_bytes(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

#[cfg(test)]
mod tests;
