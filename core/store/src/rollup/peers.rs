//! What a calling span says of the other side, by the semantic conventions of OpenTelemetry, the present names and those
//! before them.

use arrow_array::Array;

use super::graph::NodeKind;
use crate::chunk::{
    attributes::Attributes,
    column::{at, text_at},
    value::Kind,
};

/// The attributes that name the other side, each before those that count less.
pub(crate) const PEER_KEYS: [&str; 8] = [
    "db.system.name",
    "db.system",
    "messaging.destination.name",
    "messaging.destination",
    "messaging.system",
    "peer.service",
    "server.address",
    "net.peer.name",
];

const DATABASE: [usize; 2] = [0, 1];
const DESTINATION: [usize; 2] = [2, 3];
const SYSTEM: usize = 4;
const OUTSIDE: [usize; 3] = [5, 6, 7];

/// Which of the keys of a chunk name the other side.
#[derive(Debug)]
pub(crate) struct PeerKeys(Vec<u8>);

const NONE: u8 = u8::MAX;

impl PeerKeys {
    pub(crate) fn of(attributes: &Attributes) -> Self {
        let names = &attributes.key_names;
        let rank = |number| {
            let name = text_at(names, number);
            let rank = PEER_KEYS.iter().position(|key| *key == name);
            rank.map_or(NONE, |rank| rank as u8)
        };
        Self((0..names.len()).map(rank).collect())
    }
}

/// The other side of a call as a span names it: a database by its system ("postgresql"), a queue by its system and
/// destination ("kafka orders"), an outside service by its name or address. Written to `name`; none when it says nothing.
pub(crate) fn peer_of(
    attributes: &Attributes,
    keys: &PeerKeys,
    row: usize,
    name: &mut String,
) -> Option<NodeKind> {
    let mut found: [Option<usize>; PEER_KEYS.len()] = [None; PEER_KEYS.len()];
    let mut is_any = false;
    for item in attributes.lists.items(row) {
        let rank = keys.0.get(at(&attributes.keys, item) as usize);
        let slot = rank.and_then(|rank| found.get_mut(usize::from(*rank)));
        if let Some(slot) = slot
            && slot.is_none()
            && attributes.values.kinds.get(item) == Some(&Kind::Text)
        {
            *slot = Some(item);
            is_any = true;
        }
    }
    if !is_any {
        return None;
    }
    let text = |rank: usize| {
        let item = found.get(rank).copied().flatten()?;
        Some(text_at(&attributes.values.texts, item)).filter(|text| !text.is_empty())
    };
    let first = |ranks: &[usize]| ranks.iter().find_map(|rank| text(*rank));
    name.clear();
    if let Some(system) = first(&DATABASE) {
        name.push_str(system);
        return Some(NodeKind::Database);
    }
    let (system, destination) = (text(SYSTEM), first(&DESTINATION));
    if system.is_some() || destination.is_some() {
        name.push_str(system.unwrap_or_default());
        if let Some(destination) = destination {
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(destination);
        }
        return Some(NodeKind::Queue);
    }
    name.push_str(first(&OUTSIDE)?);
    Some(NodeKind::Outside)
}
