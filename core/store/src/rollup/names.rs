//! Texts by number, up to a bound.

use std::{hash::Hash, sync::Arc};

use hashbrown::{Equivalent, HashMap};

/// The number of what has no number of its own, because there are too many.
pub(crate) const OTHER: u32 = u32::MAX;

/// Things by number, in the order in which they were first seen.
#[derive(Debug)]
pub(crate) struct Names<T> {
    numbers: HashMap<T, u32>,
    all: Vec<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            all: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    /// The number of a thing, if it has one or can get one of at most `max`; else [`OTHER`].
    pub(crate) fn number<Q>(&mut self, name: &Q, max: u32) -> u32
    where
        Q: Hash + Equivalent<T> + ?Sized,
        for<'q> &'q Q: Into<T>,
    {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.insert(name.into(), max)
    }

    /// The same of a thing that is at hand.
    pub(crate) fn number_of(&mut self, name: T, max: u32) -> u32 {
        match self.numbers.get(&name) {
            Some(number) => *number,
            None => self.insert(name, max),
        }
    }

    fn insert(&mut self, name: T, max: u32) -> u32 {
        let number = self.all.len() as u32;
        if number >= max {
            return OTHER;
        }
        self.all.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    pub(crate) fn len(&self) -> u32 {
        self.all.len() as u32
    }

    pub(crate) fn into_all(self) -> Vec<T> {
        self.all
    }
}

pub(crate) type Texts = Names<Arc<str>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beyond_the_bound_is_another_and_those_before_it_stay() {
        let mut names = Texts::default();
        assert_eq!(names.number("a", 2), 0);
        assert_eq!(names.number("b", 2), 1);
        assert_eq!(names.number("c", 2), OTHER);
        assert_eq!(names.number("a", 2), 0);
        assert_eq!(names.into_all(), ["a".into(), "b".into()]);
    }
}
