//! Spans of which the other half of a call is elsewhere, in the encoding of a section.
//!
//! First the calling spans, then the called ones, each list after how many there are. Numbers are LEB128; a service or
//! peer is its number in the head plus 1, 0 for none of its own. Minutes are relative to the link before.
//!
//! | a calling span | | a called span | |
//! |---|---|---|---|
//! | 6 bytes | its key | 6 bytes | the key of its parent |
//! | number | service | number | service |
//! | number | peer | | |
//! | number | minute minus that of the link before, zigzag | number | likewise, times 2, plus 1 when its parent is of another process for certain |
//! | number | duration in nanoseconds, times 2, plus 1 for an error (of 64 bits the highest is left out) | number | likewise |
//!
//! A key is the low 48 bits of a hash of the ids of trace and span: of a hundred thousand links on either side, one in
//! thirty thousand questions would put two together that do not belong together.

use crate::block::{Input, Malformed, put_varint};

/// What is known of either half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) service: u32,
    pub(crate) minute: u32,
    pub(crate) nanos: u64,
    pub(crate) is_error: bool,
}

/// The part of a key that is kept.
pub(crate) const KEY_MASK: u64 = (1 << 48) - 1;

/// Links that are written.
#[derive(Debug, Default)]
pub(crate) struct LinkWriter {
    calling: List,
    called: List,
}

#[derive(Debug, Default)]
struct List {
    bytes: Vec<u8>,
    count: u32,
    minute: u32,
}

impl List {
    fn begin(&mut self, key: u64, service: u32) {
        self.count += 1;
        self.bytes.extend(key.to_le_bytes().iter().take(KEY_BYTES));
        put_varint(&mut self.bytes, u64::from(service.wrapping_add(1)));
    }

    fn minute(&mut self, minute: u32) -> u64 {
        let moved = i64::from(minute) - i64::from(self.minute);
        self.minute = minute;
        (moved << 1 ^ moved >> 63).cast_unsigned()
    }

    fn end(&mut self, link: &Link) {
        put_varint(&mut self.bytes, link.nanos << 1 | u64::from(link.is_error));
    }
}

const KEY_BYTES: usize = 6;

impl LinkWriter {
    pub(crate) fn calling(&self) -> u32 {
        self.calling.count
    }

    pub(crate) fn called(&self) -> u32 {
        self.called.count
    }

    pub(crate) fn add_calling(&mut self, key: u64, peer: u32, link: &Link) {
        let list = &mut self.calling;
        list.begin(key, link.service);
        put_varint(&mut list.bytes, u64::from(peer.wrapping_add(1)));
        let minute = list.minute(link.minute);
        put_varint(&mut list.bytes, minute);
        list.end(link);
    }

    pub(crate) fn add_called(&mut self, parent: u64, is_entry: bool, link: &Link) {
        let list = &mut self.called;
        list.begin(parent, link.service);
        let minute = list.minute(link.minute);
        put_varint(&mut list.bytes, minute << 1 | u64::from(is_entry));
        list.end(link);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for list in [self.calling, self.called] {
            put_varint(&mut bytes, u64::from(list.count));
            bytes.extend(list.bytes);
        }
        bytes
    }
}

/// Reads links: `calling` gets each key with its peer, `called` each key of a parent with whether it is of another process
/// for certain.
pub(crate) fn read(
    bytes: &[u8],
    mut calling: impl FnMut(u64, u32, Link),
    mut called: impl FnMut(u64, bool, Link),
) -> Result<(), Malformed> {
    let mut input = Input::new(bytes);
    let mut minute = 0;
    for _ in 0..input.varint_u32()? {
        let (key, service) = begin(&mut input)?;
        let peer = input.varint_u32()?.wrapping_sub(1);
        let moved = input.varint()?;
        let link = end(&mut input, service, &mut minute, moved)?;
        calling(key, peer, link);
    }
    minute = 0;
    for _ in 0..input.varint_u32()? {
        let (key, service) = begin(&mut input)?;
        let moved = input.varint()?;
        let link = end(&mut input, service, &mut minute, moved >> 1)?;
        called(key, moved & 1 == 1, link);
    }
    input.finish()
}

fn begin(input: &mut Input<'_>) -> Result<(u64, u32), Malformed> {
    let [a, b, c, d, e, f] = input.array::<KEY_BYTES>()?;
    let key = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
    Ok((key, input.varint_u32()?.wrapping_sub(1)))
}

fn end(
    input: &mut Input<'_>,
    service: u32,
    minute: &mut u32,
    moved: u64,
) -> Result<Link, Malformed> {
    let moved = (moved >> 1).cast_signed() ^ -(moved & 1).cast_signed();
    let at = i64::from(*minute).saturating_add(moved);
    *minute = u32::try_from(at).map_err(|_| Malformed::new("a link has an impossible minute"))?;
    let nanos = input.varint()?;
    Ok(Link {
        service,
        minute: *minute,
        nanos: nanos >> 1,
        is_error: nanos & 1 == 1,
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{super::names::OTHER, *};

    fn links() -> impl Strategy<Value = Vec<(u64, u32, bool, Link)>> {
        let number = prop_oneof![0..300_u32, Just(OTHER)];
        let link = (number.clone(), 0..1_u32 << 29, any::<u64>(), any::<bool>()).prop_map(
            |(service, minute, nanos, is_error)| Link {
                service,
                minute,
                nanos: nanos >> 1,
                is_error,
            },
        );
        vec((0..=KEY_MASK, number, any::<bool>(), link), 0..30)
    }

    proptest! {
        #[test]
        fn links_come_back(calling in links(), called in links()) {
            let mut writer = LinkWriter::default();
            for (key, peer, _, link) in &calling {
                writer.add_calling(*key, *peer, link);
            }
            for (key, _, is_entry, link) in &called {
                writer.add_called(*key, *is_entry, link);
            }
            let (mut a, mut b) = (Vec::new(), Vec::new());
            read(&writer.finish(), |key, peer, link| a.push((key, peer, link)), |key, is_entry, link| b.push((key, is_entry, link))).unwrap();
            prop_assert!(a.into_iter().eq(calling.into_iter().map(|(key, peer, _, link)| (key, peer, link))));
            prop_assert!(b.into_iter().eq(called.into_iter().map(|(key, _, is_entry, link)| (key, is_entry, link))));
        }

        #[test]
        fn fuzz_any_bytes_are_links_or_an_error(bytes in vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes, |_, _, _| {}, |_, _, _| {});
        }
    }
}
