//! Patterns of log messages: messages that differ only in their variable parts, counted together.
//!
//! The algorithm is our own, in the family of Drain (He and others, 2017), made to depend on nothing but the set of
//! messages. One message after the other would make the result depend on their order; here every step looks at all of
//! them.
//!
//! 1. **Words.** A message is cut at white space, into 40 words at most; what follows counts as one more, `…`. Punctuation at the
//!    ends of a word is kept but not compared.
//! 2. **Masks.** A word that is variable by its form becomes a wildcard at once: one with a digit in it (numbers, times,
//!    ids, addresses, versions), hexadecimal digits of eight and more, and texts in quotes, of one word or several. In `key=value` and `key:value`
//!    only the value does, so that `status=200` and `status=500` are `status=*`.
//! 3. **Groups.** Messages with the same number of words whose masked words are equal are a pattern.
//! 4. **Merging.** Within one number of words, a position whose words vary too much is variable although it does not look
//!    so: names of users, of files, of hosts. Patterns that differ in one position only are gathered; when there are more
//!    than three of them, that position becomes a wildcard and they are one. With three and fewer they stay apart,
//!    since `started` and `stopped`, `accepted`, `refused` and `failed` are different events. This is repeated, position
//!    by position from left to right, until nothing changes; a pattern whose words are all wildcards is never made.
//!
//! Words are compared as they are written. The time is proportional to messages times words, for each of a bounded number
//! of rounds.

use std::collections::{BTreeMap, BTreeSet};

/// Words of a message that are compared; more are one word.
const WORDS_MAX: usize = 40;

/// Words of a quoted text at most.
const QUOTED_WORDS_MAX: usize = 12;

/// So many patterns that differ in one position stay apart.
const VARIANTS_MAX: usize = 3;

/// Rounds of merging: each makes at least one more wildcard in what it merges.
const ROUNDS_MAX: usize = 6;

/// What a variable part is shown as.
pub(crate) const WILDCARD: &str = "*";

/// Messages of one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The words, with [`WILDCARD`] in the place of what varies.
    pub(crate) words: Vec<String>,
    /// The numbers of its messages, in their order; never empty.
    pub(crate) members: Vec<usize>,
}

impl Pattern {
    /// Longest stretches of whole words that every message has, in order: what a search can look for.
    pub(crate) fn fixed(&self) -> Vec<String> {
        self.words
            .split(|word| word.contains(WILDCARD) || word == "…")
            .filter(|words| !words.is_empty())
            .map(|words| words.join(" "))
            .collect()
    }
}

/// The patterns of messages, the most frequent first, then by their text.
pub(crate) fn mine<'a>(messages: impl IntoIterator<Item = &'a str>) -> Vec<Pattern> {
    let mut groups: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for (number, message) in messages.into_iter().enumerate() {
        groups.entry(words(message)).or_default().push(number);
    }
    let mut by_length: BTreeMap<usize, BTreeMap<Vec<String>, Vec<usize>>> = BTreeMap::new();
    for (words, members) in groups {
        by_length
            .entry(words.len())
            .or_default()
            .insert(words, members);
    }
    let mut patterns: Vec<Pattern> = by_length
        .into_iter()
        .flat_map(|(length, groups)| merge(groups, length))
        .map(|(words, mut members)| {
            members.sort_unstable();
            Pattern { words, members }
        })
        .collect();
    patterns.sort_by(|a, b| {
        b.members
            .len()
            .cmp(&a.members.len())
            .then_with(|| a.words.cmp(&b.words))
    });
    patterns
}

type Groups = BTreeMap<Vec<String>, Vec<usize>>;

/// The words of a pattern and its messages.
type Variant = (Vec<String>, Vec<usize>);

/// Merges patterns of one length that differ in one position, where there are too many of them to be different events.
fn merge(mut groups: Groups, length: usize) -> Groups {
    for _ in 0..ROUNDS_MAX {
        let before = groups.len();
        for position in 0..length {
            groups = merge_at(groups, position);
        }
        if groups.len() == before {
            break;
        }
    }
    groups
}

fn merge_at(groups: Groups, position: usize) -> Groups {
    let mut alike: BTreeMap<Vec<String>, Vec<Variant>> = BTreeMap::new();
    for (words, members) in groups {
        let mut key = words.clone();
        if let Some(word) = key.get_mut(position) {
            WILDCARD.clone_into(word);
        }
        alike.entry(key).or_default().push((words, members));
    }
    let mut merged = Groups::new();
    for (key, variants) in alike {
        let word = |words: &[String]| words.get(position).cloned();
        let distinct: BTreeSet<Option<String>> =
            variants.iter().map(|(words, _)| word(words)).collect();
        let has_wildcard = distinct.contains(&Some(WILDCARD.to_owned()));
        let is_variable = distinct.len() > VARIANTS_MAX || has_wildcard && distinct.len() > 1;
        let says_something = key.iter().any(|word| word != WILDCARD && word != "…");
        if is_variable && says_something {
            let members = variants.into_iter().flat_map(|(_, members)| members);
            merged.entry(key).or_default().extend(members);
        } else {
            for (words, members) in variants {
                merged.entry(words).or_default().extend(members);
            }
        }
    }
    merged
}

/// The words of a message, masked.
fn words(message: &str) -> Vec<String> {
    let mut rest = message.split_whitespace();
    let mut words: Vec<String> = Vec::new();
    while let Some(word) = rest.next() {
        if words.len() == WORDS_MAX {
            words.push("…".to_owned());
            break;
        }
        // A quoted text is one word, whatever stands in it; a quote that never ends is none.
        let quoted = rest.clone().take(QUOTED_WORDS_MAX).position(closes);
        match quoted.filter(|_| opens(word)) {
            None => words.push(mask(word)),
            Some(more) => {
                // What is passed over is in the wildcard, but for what follows the quote.
                let last = rest.by_ref().nth(more).unwrap_or_default();
                let after = last.rsplit('"').next().unwrap_or_default();
                words.push(format!("{WILDCARD}{after}"));
            }
        }
    }
    words
}

/// Whether a quote begins and does not end within a word.
fn opens(word: &str) -> bool {
    word.starts_with('"') && word.matches('"').count() == 1
}

fn closes(word: &str) -> bool {
    word.trim_end_matches([',', '.', ';', ')', ']', '!', '?'])
        .ends_with('"')
        && word.matches('"').count() == 1
}

/// A word with its variable part as a wildcard.
fn mask(word: &str) -> String {
    if let Some((key, value)) = word.split_once(['=', ':']) {
        let separator = word.get(key.len()..key.len() + 1).unwrap_or_default();
        // A scheme or a time of day is no key.
        if !key.is_empty() && !value.is_empty() && !value.starts_with('/') && !is_variable(key) {
            return format!("{key}{separator}{}", masked(value));
        }
    }
    masked(word)
}

/// Punctuation around a wildcard stays.
fn masked(word: &str) -> String {
    let is_edge = |c: char| {
        matches!(
            c,
            ',' | ';' | '.' | '!' | '?' | '(' | ')' | '[' | ']' | '{' | '}'
        )
    };
    let inner = word.trim_matches(is_edge);
    if inner.is_empty() || !is_variable(inner) {
        return word.to_owned();
    }
    let start = word.len() - word.trim_start_matches(is_edge).len();
    let (before, after) = (
        word.get(..start).unwrap_or_default(),
        word.get(start + inner.len()..).unwrap_or_default(),
    );
    format!("{before}{WILDCARD}{after}")
}

fn is_variable(word: &str) -> bool {
    let quoted = ['"', '\'', '`']
        .into_iter()
        .any(|quote| word.len() > 1 && word.starts_with(quote) && word.ends_with(quote));
    let is_hex = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    quoted || is_hex || word.chars().any(char::is_numeric)
}

#[cfg(test)]
mod tests;
