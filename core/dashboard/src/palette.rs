//! Colours of services: the same name has the same colour on every page and for every visitor, as far as there are
//! colours enough.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

/// How many colours the style sheet has, as the classes `c0` to `c15`.
pub(crate) const COLOURS: usize = 16;

/// The colour of each service on a page, as the number of its class.
#[derive(Clone, Debug, Default)]
pub(crate) struct Palette(BTreeMap<String, usize>);

impl Palette {
    /// Gives colours to the services of a page.
    ///
    /// A name's hash is its first choice. Among all services that are known, a clash moves one on to the next free
    /// colour; that order is the same for every page. With more services than colours, a clash that is left among the
    /// services of this page moves one on again.
    pub(crate) fn new<'a>(
        known: impl IntoIterator<Item = &'a str>,
        shown: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let shown: BTreeSet<&str> = shown.into_iter().collect();
        let mut all: BTreeSet<&str> = known.into_iter().collect();
        all.extend(&shown);
        let everywhere = assign(all, first_choice);
        let here = assign(shown, |name| {
            everywhere.get(name).copied().unwrap_or_default()
        });
        let mut colours: BTreeMap<String, usize> = everywhere
            .into_iter()
            .map(|(name, colour)| (name.to_owned(), colour))
            .collect();
        colours.extend(
            here.into_iter()
                .map(|(name, colour)| (name.to_owned(), colour)),
        );
        Self(colours)
    }

    /// The number of a service's colour class.
    pub(crate) fn colour(&self, service: &str) -> usize {
        self.0
            .get(service)
            .copied()
            .unwrap_or_else(|| first_choice(service))
    }
}

fn first_choice(name: &str) -> usize {
    // The remainder is below COLOURS.
    (xxh3_64(name.as_bytes()) % COLOURS as u64) as usize
}

/// Each name takes its choice, or the next colour that is free; once all are taken, they are free again.
fn assign(names: BTreeSet<&str>, choice: impl Fn(&str) -> usize) -> BTreeMap<&str, usize> {
    let mut assigned = BTreeMap::new();
    let mut taken = [false; COLOURS];
    for name in names {
        if taken.iter().all(|taken| *taken) {
            taken = [false; COLOURS];
        }
        let first = choice(name);
        let colour = (0..COLOURS)
            .map(|step| (first + step) % COLOURS)
            .find(|colour| taken.get(*colour) == Some(&false))
            .unwrap_or(first);
        if let Some(taken) = taken.get_mut(colour) {
            *taken = true;
        }
        assigned.insert(name, colour);
    }
    assigned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn services_of_a_page_differ_while_there_are_colours(
            known in prop::collection::btree_set("[a-z]{1,8}", 0..60),
            count in 0_usize..=COLOURS,
        ) {
            let shown: Vec<&str> = known.iter().map(String::as_str).take(count).collect();
            let palette = Palette::new(known.iter().map(String::as_str), shown.iter().copied());
            let colours: BTreeSet<usize> = shown.iter().map(|name| palette.colour(name)).collect();
            prop_assert_eq!(colours.len(), shown.len());
            prop_assert!(colours.iter().all(|colour| *colour < COLOURS));
        }

        #[test]
        fn a_service_has_one_colour_on_every_page_while_all_fit(
            known in prop::collection::btree_set("[a-z]{1,8}", 1..=COLOURS),
        ) {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            let all = Palette::new(names.iter().copied(), names.iter().copied());
            for name in &names {
                prop_assert_eq!(Palette::new(names.iter().copied(), [*name]).colour(name), all.colour(name));
            }
        }
    }
}
