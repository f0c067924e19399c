//! The small files of a journal: each is replaced as a whole, and has a magic, a version and a checksum.
//!
//! | bytes | field |
//! |---:|---|
//! | 4 | magic |
//! | 2 | version |
//! | 2 | reserved, 0 |
//! | 16 | log id |
//! | | what the file is for |
//! | 4 | crc32c of everything before |

use bytes::{Buf, BufMut};
use crc32c::crc32c;
use log_tracer_transport::LogId;

use crate::error::Damage;

const ENVELOPE_BYTES: usize = 28;

/// Which small file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) magic: [u8; 4],
    pub(crate) version: u16,
}

impl Kind {
    pub(crate) fn encode(self, log_id: LogId, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(body.len() + ENVELOPE_BYTES);
        out.put_slice(&self.magic);
        out.put_u16_le(self.version);
        out.put_u16_le(0);
        out.put_u128_le(log_id.0);
        out.put_slice(body);
        let checksum = crc32c(&out);
        out.put_u32_le(checksum);
        out
    }

    /// The log that a file is of, and its body.
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<(LogId, &[u8]), Damage> {
        let damage = |what: String| Damage::new(self.name, 0, what);
        let checked = bytes
            .len()
            .checked_sub(4)
            .filter(|_| bytes.len() >= ENVELOPE_BYTES);
        let Some((mut input, mut checksum)) = checked.and_then(|at| bytes.split_at_checked(at))
        else {
            return Err(damage(format!("the file ends after {} bytes", bytes.len())));
        };
        if crc32c(input) != checksum.get_u32_le() {
            return Err(damage(
                "the file does not have the checksum that was written with it".into(),
            ));
        }
        let mut magic = [0; 4];
        input.copy_to_slice(&mut magic);
        if magic != self.magic {
            return Err(damage(format!("this is not a {} of a journal", self.name)));
        }
        let version = input.get_u16_le();
        if version != self.version {
            return Err(damage(format!(
                "version {version}, this build reads version {}",
                self.version
            )));
        }
        input.advance(2);
        Ok((LogId(input.get_u128_le()), input))
    }
}
