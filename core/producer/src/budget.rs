//! The memory of all requests under way, in bytes.
//!
//! There are two pools. **Wire** holds requests as they are received; **work** holds what becomes of them:
//! decompressed, decoded, as envelopes. A request takes from wire once, knowing its length, and later from work once,
//! holding wire; nobody who holds work waits for anything. So those who hold can always finish, and waiting never
//! locks up. What turns out to need more than was asked for gets it only if it is free right now.
//!
//! Waiting is first come, first served: a large request is not passed over by small ones for ever.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// Memory is counted in pages of this size, since a semaphore counts in 32 bits.
const PAGE_BYTES: usize = 1_024;

/// The pools of one producer.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) wire: Pool,
    pub(crate) work: Pool,
}

impl Budget {
    /// Divides `inflight_bytes_max`. Wire takes an eighth, but at least one request of the largest size: its bytes become
    /// about seven times as many once they are decoded.
    pub(crate) fn new(inflight_bytes_max: usize, request_bytes_max: usize) -> Self {
        let wire = Pool::new((inflight_bytes_max / 8).max(request_bytes_max));
        // Whole pages that fit: the two together are never more than the limit.
        let left = inflight_bytes_max.saturating_sub(wire.bytes());
        Self {
            work: Pool::new(left - left % PAGE_BYTES),
            wire,
        }
    }

    /// Bytes that are taken now.
    pub(crate) fn taken_bytes(&self) -> usize {
        self.wire.taken_bytes() + self.work.taken_bytes()
    }
}

/// A number of bytes to share.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    free: Arc<Semaphore>,
    pages: u32,
}

/// Why memory was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// Others hold it; later there will be some.
    Taken,
    /// It is more than there is.
    Never {
        /// Bytes asked for.
        bytes: usize,
        /// Bytes that there are.
        max: usize,
    },
}

impl Pool {
    fn new(bytes: usize) -> Self {
        let pages = pages_of(bytes).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize) as u32);
        Self {
            free: Arc::new(Semaphore::new(pages as usize)),
            pages,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pages as usize * PAGE_BYTES
    }

    fn taken_bytes(&self) -> usize {
        self.bytes() - self.free.available_permits() * PAGE_BYTES
    }

    /// Takes `bytes`, waiting for them until `deadline`.
    pub(crate) async fn take(
        &self,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Reservation, NoRoom> {
        let pages = self.fitting(bytes)?;
        let taken = timeout_at(deadline, Arc::clone(&self.free).acquire_many_owned(pages)).await;
        match taken {
            Ok(Ok(permit)) => Ok(Reservation {
                pool: self.clone(),
                permit,
            }),
            // The semaphore is never closed; the deadline has passed.
            Ok(Err(_)) | Err(_) => Err(NoRoom::Taken),
        }
    }

    fn fitting(&self, bytes: usize) -> Result<u32, NoRoom> {
        let pages = pages_of(bytes);
        if pages > self.pages {
            let max = self.bytes();
            return Err(NoRoom::Never { bytes, max });
        }
        Ok(pages)
    }
}

/// Bytes that are taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    pool: Pool,
    permit: OwnedSemaphorePermit,
}

impl Memory for Reservation {
    fn resize(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let wanted = self.pool.fitting(bytes)? as usize;
        let held = self.permit.num_permits();
        if wanted <= held {
            drop(self.permit.split(held - wanted));
            return Ok(());
        }
        let more = u32::try_from(wanted - held).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.pool.free)
            .try_acquire_many_owned(more)
            .map_err(|_| NoRoom::Taken)?;
        self.permit.merge(more);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.permit.num_permits() * PAGE_BYTES
    }

    fn bytes_max(&self) -> usize {
        self.pool.bytes()
    }
}

/// Something that pays for memory.
pub trait Memory {
    /// Gives bytes back, or takes more if they are free right now; `bytes` is the new total.
    ///
    /// # Errors
    /// When there is no room. What was held is held still.
    fn resize(&mut self, bytes: usize) -> Result<(), NoRoom>;

    /// Bytes that are held.
    fn bytes(&self) -> usize;

    /// The most that could ever be held.
    fn bytes_max(&self) -> usize;
}

/// Memory of a fixed size that nobody else uses: for tests, benches and tools.
#[derive(Clone, Copy, Debug)]
pub struct ByteLimit(pub usize);

impl Memory for ByteLimit {
    fn resize(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if bytes > self.0 {
            return Err(NoRoom::Never { bytes, max: self.0 });
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.0
    }

    fn bytes_max(&self) -> usize {
        self.0
    }
}

/// Makes room in `buffer`, the only thing that `memory` pays for so far, for `len` bytes in all. It doubles, so that
/// copying stays cheap, but not beyond `len_max`; the old and the new memory are both paid for meanwhile.
pub(crate) fn grow(
    memory: &mut dyn Memory,
    buffer: &mut Vec<u8>,
    len: usize,
    len_max: usize,
) -> Result<(), NoRoom> {
    let old = buffer.capacity();
    if len <= old {
        return Ok(());
    }
    let new = old.saturating_mul(2).clamp(len, len_max.max(len));
    let before = memory.bytes();
    let copying = old.saturating_add(new);
    if copying > before {
        memory.resize(copying)?;
    }
    buffer.reserve_exact(new.saturating_sub(buffer.len()));
    memory.resize(before.max(new))
}

fn pages_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn what_is_taken_comes_back_when_it_is_dropped() {
        let pool = Pool::new(10 * PAGE_BYTES);
        let first = pool.take(7 * PAGE_BYTES, soon()).await.unwrap();
        assert_eq!(pool.taken_bytes(), 7 * PAGE_BYTES);
        assert_eq!(
            pool.take(4 * PAGE_BYTES, soon()).await.unwrap_err(),
            NoRoom::Taken
        );
        drop(first);
        assert_eq!(pool.taken_bytes(), 0);
        assert!(pool.take(10 * PAGE_BYTES, soon()).await.is_ok());
    }

    #[tokio::test]
    async fn more_than_there_is_is_refused_without_waiting() {
        let pool = Pool::new(10 * PAGE_BYTES);
        let far = Instant::now() + Duration::from_secs(3_600);
        let error = pool.take(11 * PAGE_BYTES, far).await.unwrap_err();
        assert_eq!(
            error,
            NoRoom::Never {
                bytes: 11 * PAGE_BYTES,
                max: 10 * PAGE_BYTES
            }
        );
    }

    #[tokio::test]
    async fn a_reservation_shrinks_always_and_grows_only_into_what_is_free() {
        let pool = Pool::new(10 * PAGE_BYTES);
        let mut one = pool.take(5 * PAGE_BYTES, soon()).await.unwrap();
        let other = pool.take(4 * PAGE_BYTES, soon()).await.unwrap();
        assert_eq!(one.resize(6 * PAGE_BYTES), Ok(()));
        assert_eq!(one.resize(7 * PAGE_BYTES), Err(NoRoom::Taken));
        assert_eq!(one.bytes(), 6 * PAGE_BYTES);
        assert_eq!(one.resize(1), Ok(()));
        assert_eq!(pool.taken_bytes(), 5 * PAGE_BYTES);
        drop(other);
        assert_eq!(one.resize(10 * PAGE_BYTES), Ok(()));
    }

    #[tokio::test]
    async fn a_growing_buffer_is_paid_for_and_stops_at_its_limit() {
        let pool = Pool::new(64 * PAGE_BYTES);
        let mut reservation = pool.take(PAGE_BYTES, soon()).await.unwrap();
        let mut buffer = Vec::with_capacity(PAGE_BYTES);
        for len in [PAGE_BYTES + 1, 5 * PAGE_BYTES, 20 * PAGE_BYTES] {
            grow(&mut reservation, &mut buffer, len, 20 * PAGE_BYTES).unwrap();
            assert!(buffer.capacity() >= len);
            assert!(reservation.bytes() >= buffer.capacity());
        }
        assert!(buffer.capacity() <= 20 * PAGE_BYTES);
        let error = grow(
            &mut reservation,
            &mut buffer,
            60 * PAGE_BYTES,
            60 * PAGE_BYTES,
        );
        assert!(matches!(error, Err(NoRoom::Never { .. })));
    }

    #[test]
    fn wire_always_holds_the_largest_request_and_work_the_rest() {
        let budget = Budget::new(512 << 20, 64 << 20);
        assert_eq!(budget.wire.bytes(), 64 << 20);
        assert_eq!(budget.work.bytes(), 448 << 20);
        let wide = Budget::new(512 << 20, 1 << 20);
        assert_eq!(wide.wire.bytes(), 64 << 20);
        let tight = Budget::new(128 << 20, 64 << 20);
        assert_eq!(tight.wire.bytes(), 64 << 20);
        assert_eq!(tight.work.bytes(), 64 << 20);
    }
}
