//! What blocks share: a bounded cache of what was read and decoded, a bounded set of open files, and the resources and
//! scopes that were decoded, each kept once.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    fmt,
    fs::File,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use log_tracer_record::{ResourceContext, ScopeContext};

use super::error::Malformed;

/// What is cached of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cached {
    /// The footer of the Parquet file, parsed, with where its pages are.
    Footer,
    /// The filter of a piece.
    Filter(u32),
    /// The head of its rollups, or all of them where they had to be worked out.
    Rollup,
    /// The edges of its rollups, all minutes together.
    Edges,
    /// How many rows of each service and grade each piece has.
    Tally,
    /// Which services and grades its traces have.
    ServiceSets,
    /// The filter of its traces.
    Traces,
    /// Where the shards of the needles are.
    Places,
    /// A shard of the needles.
    Shard(u32),
}

/// One for all blocks of a store.
pub(crate) struct BlockCache {
    values: Mutex<Clock<(u64, Cached), Arc<dyn Any + Send + Sync>>>,
    files: Mutex<Clock<(u64, bool), Arc<File>>>,
    pub(crate) resources: Interner<ResourceContext>,
    pub(crate) scopes: Interner<ScopeContext>,
    next_owner: AtomicU64,
}

/// Files that are open at most, if no block is deleted while it is read. Every process may have 1,024 at least.
const FILES_MAX: u64 = 384;

/// The part of the cache that decoded resources may take, and that scopes may.
const CONTEXTS_ONE_IN: u64 = 8;

impl BlockCache {
    /// Of so many bytes, what belongs to the entries included.
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        let contexts = bytes_max / CONTEXTS_ONE_IN;
        Arc::new(Self {
            values: Mutex::new(Clock::new(bytes_max - 2 * contexts)),
            files: Mutex::new(Clock::new(FILES_MAX)),
            resources: Interner::new(contexts),
            scopes: Interner::new(contexts),
            next_owner: AtomicU64::new(0),
        })
    }

    /// A number for an opened block, to tell its entries from those of others.
    pub(crate) fn owner(&self) -> u64 {
        self.next_owner.fetch_add(1, Ordering::Relaxed)
    }

    /// What is cached, or what `read` answers with how many bytes it takes. Two threads may read at once.
    pub(crate) fn get<T: Send + Sync + 'static, E>(
        &self,
        owner: u64,
        what: Cached,
        read: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        let found = lock(&self.values).get(&(owner, what));
        if let Some(found) = found.and_then(|found| found.downcast::<T>().ok()) {
            return Ok(found);
        }
        let (value, bytes) = read()?;
        let value = Arc::new(value);
        let cost = (bytes + ENTRY_BYTES) as u64;
        lock(&self.values).insert((owner, what), Arc::<T>::clone(&value), cost);
        Ok(value)
    }

    /// An open file, or what `open` answers.
    pub(crate) fn file<E>(
        &self,
        owner: u64,
        is_index: bool,
        open: impl FnOnce() -> Result<File, E>,
    ) -> Result<Arc<File>, E> {
        if let Some(file) = lock(&self.files).get(&(owner, is_index)) {
            return Ok(file);
        }
        let file = Arc::new(open()?);
        lock(&self.files).insert((owner, is_index), Arc::clone(&file), 1);
        Ok(file)
    }

    /// Lets go of what belongs to a block that is no more.
    pub(crate) fn forget(&self, owner: u64) {
        lock(&self.values).retain(|(of, _)| *of != owner);
        lock(&self.files).retain(|(of, _)| *of != owner);
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (values, files) = (lock(&self.values), lock(&self.files));
        f.debug_struct("BlockCache")
            .field("bytes", &values.cost)
            .field("bytes_max", &values.cost_max)
            .field("files", &files.cost)
            .finish_non_exhaustive()
    }
}

/// What an entry takes beside its value.
const ENTRY_BYTES: usize = 128;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Entries within a bound of what they cost; those that were not used since the hand came by last leave first.
struct Clock<K, V> {
    entries: HashMap<K, Entry<V>>,
    hand: VecDeque<K>,
    cost: u64,
    cost_max: u64,
}

struct Entry<V> {
    value: V,
    cost: u64,
    is_used: bool,
}

impl<K: Copy + Eq + Hash, V: Clone> Clock<K, V> {
    fn new(cost_max: u64) -> Self {
        Self {
            entries: HashMap::new(),
            hand: VecDeque::new(),
            cost: 0,
            cost_max,
        }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        entry.is_used = true;
        Some(entry.value.clone())
    }

    fn insert(&mut self, key: K, value: V, cost: u64) {
        if cost > self.cost_max {
            return;
        }
        let entry = Entry {
            value,
            cost,
            is_used: false,
        };
        self.cost += cost;
        match self.entries.insert(key, entry) {
            Some(before) => self.cost -= before.cost,
            None => self.hand.push_back(key),
        }
        while self.cost > self.cost_max {
            let Some(oldest) = self.hand.pop_front() else {
                return;
            };
            match self.entries.get_mut(&oldest) {
                Some(entry) if entry.is_used => {
                    entry.is_used = false;
                    self.hand.push_back(oldest);
                }
                Some(entry) => {
                    self.cost -= entry.cost;
                    self.entries.remove(&oldest);
                }
                None => {}
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        let cost = &mut self.cost;
        self.entries.retain(|key, entry| {
            let stays = keep(key);
            if !stays {
                *cost -= entry.cost;
            }
            stays
        });
        self.hand.retain(keep);
    }
}

/// Decoded contexts by their JSON: the same one for all blocks and reads.
pub(crate) struct Interner<C> {
    inner: Mutex<Interned<C>>,
    bytes_max: u64,
}

struct Interned<C> {
    by_text: HashMap<Arc<str>, Arc<C>>,
    bytes: u64,
}

/// What a decoded context takes for each byte of its JSON: a key and a value of some bytes take two strings.
const DECODED_FACTOR: u64 = 6;

impl<C> Interner<C> {
    fn new(bytes_max: u64) -> Self {
        Self {
            inner: Mutex::new(Interned {
                by_text: HashMap::new(),
                bytes: 0,
            }),
            bytes_max,
        }
    }

    pub(crate) fn of(
        &self,
        text: &str,
        decode: impl FnOnce(&str) -> serde_json::Result<C>,
    ) -> Result<Arc<C>, Malformed> {
        if let Some(found) = lock(&self.inner).by_text.get(text) {
            return Ok(Arc::clone(found));
        }
        let context = Arc::new(decode(text)?);
        let mut inner = lock(&self.inner);
        let cost = DECODED_FACTOR * text.len() as u64 + 2 * ENTRY_BYTES as u64;
        if inner.bytes + cost > self.bytes_max {
            // All at once: they are few, unless each record has its own.
            inner.by_text.clear();
            inner.bytes = 0;
        }
        inner.bytes += cost;
        inner.by_text.insert(text.into(), Arc::clone(&context));
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_kept_and_what_is_used_stays() {
        let mut clock = Clock::new(10);
        for key in 0..100 {
            clock.insert(key, key, 2);
            assert_eq!(clock.get(&0), Some(0), "used each time");
            assert!(clock.cost <= 10);
        }
        assert_eq!(clock.entries.len(), 5);
        assert_eq!(clock.get(&1), None);
        clock.insert(200, 200, 11);
        assert_eq!(clock.get(&200), None, "larger than all");
        clock.retain(|key| *key == 0);
        assert_eq!((clock.cost, clock.hand.len()), (2, 1));
    }

    #[test]
    fn contexts_are_decoded_once_within_a_bound() {
        let interner = Interner::new(10_000);
        let first = interner.of("a", |text| Ok(text.to_owned())).unwrap();
        let again = interner.of("a", |_| panic!("known")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        for number in 0..1000 {
            interner
                .of(&number.to_string(), |text| Ok(text.to_owned()))
                .unwrap();
            assert!(lock(&interner.inner).bytes <= 10_000);
        }
    }
}
