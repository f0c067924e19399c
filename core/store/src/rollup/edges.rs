//! Calls between services, from the spans of one place.
//!
//! A span is **called** when it has a parent and may have come from another process: it is a server or a consumer, or its
//! flags say that its parent is remote, or they do not say. It makes an edge from the service of its parent to its own
//! when these differ, with its own duration and errors. A span is **calling** when it is a client or a producer. One that
//! names a database makes an edge to it. One that names a queue or an outside service makes an edge to this when it was
//! not **answered**: nothing that it called is there, which is a child in another service, or a server or consumer among
//! its children.
//!
//! Children are sent before their parents, and a trace is cut where a block ends. So what cannot be told from the spans of
//! one place is kept span by span: called spans whose parent is elsewhere, and calling spans that were not answered here
//! (those that name a database left aside, whose children are none of another service). [`super::graph`] puts these together.

use hashbrown::HashMap;

use super::{
    Settings,
    cells::Cells,
    links::{Link, LinkWriter},
    names::{Names, OTHER},
    section::{NODE_OTHER, NODE_UNKNOWN, NODES_BEFORE},
};

/// Bits that say what a span is to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    pub(crate) const ERROR: Self = Self(1);
    /// Its parent may be of another process.
    pub(crate) const CALLED: Self = Self(2);
    /// Its parent is of another process for certain.
    pub(crate) const ENTRY: Self = Self(4);
    pub(crate) const CALLING: Self = Self(8);
    pub(crate) const DATABASE: Self = Self(16);
    const ANSWERED: Self = Self(32);

    #[inline]
    pub(crate) fn set(&mut self, bit: Self, on: bool) {
        self.0 |= bit.0 * u8::from(on);
    }

    #[inline]
    pub(crate) fn has(self, bit: Self) -> bool {
        self.0 & bit.0 != 0
    }
}

/// What is kept of each span until all are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The span and its parent; 0 for none.
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) nanos: u64,
    pub(crate) service: u32,
    pub(crate) minute: u32,
    /// The other side, when it names one.
    pub(crate) peer: u32,
    pub(crate) flags: Flags,
}

/// The spans of one place.
#[derive(Debug, Default)]
pub(crate) struct Edges(Vec<Call>);

/// Edges, and what is left open.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The numbers of the caller and of the callee of each edge.
    pub(crate) ends: Names<(u32, u32)>,
    pub(crate) cells: Cells,
    /// Links beyond the bound: calling spans, and called ones.
    pub(crate) unlisted: (u64, u64),
    pub(crate) links: Vec<u8>,
}

/// The rows with one id: two at most matter, as a client and a server may share one.
type Holders = [u32; 2];

const NOBODY: u32 = u32::MAX;

impl Edges {
    #[inline]
    pub(crate) fn add(&mut self, call: Call) {
        self.0.push(call);
    }

    /// Finds the parents of spans among the others. There are so many services.
    pub(crate) fn join(mut self, services: u32, settings: &Settings) -> Joined {
        let wanted = self.wanted();
        let mut join = Join {
            services,
            settings,
            ends: Names::default(),
            cells: Cells::default(),
            unlisted: (0, 0),
            links: LinkWriter::default(),
        };
        for number in 0..self.0.len() {
            let Some(call) = self.0.get(number).copied() else {
                break;
            };
            if !is_called(&call) {
                continue;
            }
            let holders = wanted.get(&call.parent).copied();
            match self.parent_of(&call, holders.unwrap_or([NOBODY; 2])) {
                None => join.lose(&call),
                Some(parent) => {
                    let is_other = parent.service != call.service;
                    if is_other {
                        join.edge(
                            join.service(parent.service),
                            join.service(call.service),
                            &call,
                        );
                    }
                    if is_other || call.flags.has(Flags::ENTRY) {
                        self.answer(parent.id, &wanted);
                    }
                }
            }
        }
        for call in &self.0 {
            if call.flags.has(Flags::CALLING) {
                join.call(call);
            }
        }
        Joined {
            ends: join.ends,
            cells: join.cells,
            unlisted: join.unlisted,
            links: join.links.finish(),
        }
    }

    /// Who has the ids that called spans name as their parents.
    fn wanted(&self) -> HashMap<u64, Holders> {
        let parents = self.0.iter().filter(|call| is_called(call));
        let mut wanted: HashMap<u64, Holders> = HashMap::with_capacity(parents.clone().count());
        wanted.extend(parents.map(|call| (call.parent, [NOBODY; 2])));
        if wanted.is_empty() {
            return wanted;
        }
        for (number, call) in (0..).zip(&self.0) {
            if let Some(holders) = wanted.get_mut(&call.id)
                && let Some(free) = holders.iter_mut().find(|holder| **holder == NOBODY)
            {
                *free = number;
            }
        }
        wanted
    }

    /// The parent of a span: of two, the one of its own service.
    fn parent_of(&self, call: &Call, holders: Holders) -> Option<Call> {
        let mut found = holders.iter().filter_map(|row| self.0.get(*row as usize));
        let first = found.next()?;
        match found.next() {
            Some(second) if first.service != call.service && second.service == call.service => {
                Some(*second)
            }
            _ => Some(*first),
        }
    }

    fn answer(&mut self, id: u64, wanted: &HashMap<u64, Holders>) {
        let holders = wanted.get(&id).copied().unwrap_or([NOBODY; 2]);
        for holder in holders {
            if let Some(call) = self.0.get_mut(holder as usize) {
                call.flags.set(Flags::ANSWERED, true);
            }
        }
    }
}

fn is_called(call: &Call) -> bool {
    call.parent != 0 && call.flags.has(Flags::CALLED)
}

/// Edges that come together.
struct Join<'s> {
    services: u32,
    settings: &'s Settings,
    ends: Names<(u32, u32)>,
    cells: Cells,
    unlisted: (u64, u64),
    links: LinkWriter,
}

impl Join<'_> {
    fn service(&self, service: u32) -> u32 {
        match service {
            OTHER => NODE_OTHER,
            service => NODES_BEFORE + service,
        }
    }

    fn edge(&mut self, caller: u32, callee: u32, call: &Call) {
        let mut edge = self
            .ends
            .number_of((caller, callee), self.settings.series_max);
        if edge == OTHER {
            edge = self.ends.number_of((NODE_OTHER, NODE_OTHER), OTHER);
        }
        let cell = self.cells.number(edge, call.minute);
        self.cells
            .add(cell, call.nanos, call.flags.has(Flags::ERROR));
    }

    /// A called span whose parent is elsewhere.
    fn lose(&mut self, call: &Call) {
        let is_entry = call.flags.has(Flags::ENTRY);
        if self.links.called() < self.settings.links_max {
            return self.links.add_called(call.parent, is_entry, &link(call));
        }
        self.unlisted.1 += 1;
        if is_entry {
            self.edge(NODE_UNKNOWN, self.service(call.service), call);
        }
    }

    /// A calling span, once it is known whether it was answered.
    fn call(&mut self, call: &Call) {
        let peer = match call.peer {
            OTHER => None,
            peer => Some(NODES_BEFORE + self.services + peer),
        };
        let is_database = call.flags.has(Flags::DATABASE);
        let is_open = !is_database && !call.flags.has(Flags::ANSWERED);
        if is_open && call.id != 0 {
            if self.links.calling() < self.settings.links_max {
                return self.links.add_calling(call.id, call.peer, &link(call));
            }
            self.unlisted.0 += 1;
        }
        if let Some(peer) = peer
            && (is_database || is_open)
        {
            self.edge(self.service(call.service), peer, call);
        }
    }
}

fn link(call: &Call) -> Link {
    Link {
        service: call.service,
        minute: call.minute,
        nanos: call.nanos,
        is_error: call.flags.has(Flags::ERROR),
    }
}
