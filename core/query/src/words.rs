//! Finding tokens in a text: what a bare word or a phrase does to every text of every record, so it must be quick.
//!
//! A text is cut into tokens only where the rarest letter of the first token stands, which is seldom.

use std::borrow::Cow;

use crate::ast::Words;
use crate::text::{
    RawTokens, equals_lowered, is_token_char, stands_alone, starts_with_lowered, tokens,
};

/// Tokens that follow one another.
#[derive(Debug)]
pub(crate) struct TokenRun {
    /// All but the last, lower-cased.
    whole: Vec<String>,
    last: String,
    /// Whether the last may go on.
    prefix: bool,
    anchor: Option<Anchor>,
}

/// The letter of the first token to look for.
#[derive(Debug)]
struct Anchor {
    /// The first token, in ASCII.
    token: String,
    /// Where in it the letter stands.
    offset: usize,
    lower: u8,
    upper: u8,
    /// No text has the token with a letter outside of ASCII in it.
    ascii_only: bool,
}

impl TokenRun {
    pub(crate) fn new(words: &Words) -> Self {
        let mut whole: Vec<String> = tokens(words.text()).map(Cow::into_owned).collect();
        let last = whole.pop().unwrap_or_default();
        TokenRun {
            anchor: match whole.first() {
                Some(first) => Anchor::of(first, false),
                None => Anchor::of(&last, words.is_prefix()),
            },
            whole,
            last,
            prefix: words.is_prefix(),
        }
    }

    pub(crate) fn found_in(&self, text: &str) -> bool {
        match &self.anchor {
            Some(anchor) if anchor.ascii_only || text.is_ascii() => anchor
                .starts_in(text)
                .any(|from| self.begins(RawTokens::new(from))),
            _ => self.found_token_by_token(text),
        }
    }

    /// Whether the tokens stand in a text from this place on. The letters of the first are known to.
    pub(crate) fn found_at(&self, text: &str, place: usize) -> bool {
        let separates = |c| !is_token_char(c) || stands_alone(c);
        text.split_at_checked(place).is_some_and(|(before, from)| {
            before.chars().next_back().is_none_or(separates) && self.begins(RawTokens::new(from))
        })
    }

    /// Whether [`Self::next_anchor`] finds all texts that are accepted among these.
    pub(crate) fn is_found_by_anchor(&self, texts: &[u8]) -> bool {
        let anchor = self.anchor.as_ref();
        anchor.is_some_and(|anchor| anchor.ascii_only || texts.is_ascii())
    }

    /// The first place, from this one on, where the letters of the first token stand, in whatever case.
    pub(crate) fn next_anchor(&self, texts: &[u8], place: usize) -> Option<usize> {
        self.anchor.as_ref()?.next_from(texts, place)
    }

    fn found_token_by_token(&self, text: &str) -> bool {
        let mut rest = RawTokens::new(text);
        loop {
            if self.begins(rest.clone()) {
                return true;
            }
            if rest.next().is_none() {
                return false;
            }
        }
    }

    fn begins(&self, mut tokens: RawTokens<'_>) -> bool {
        let whole_follow = self.whole.iter().all(|wanted| {
            tokens
                .next()
                .is_some_and(|token| equals_lowered(token, wanted))
        });
        whole_follow
            && tokens.next().is_some_and(|token| {
                if self.prefix {
                    starts_with_lowered(token, &self.last)
                } else {
                    equals_lowered(token, &self.last)
                }
            })
    }

    /// The tokens that must be there whole.
    pub(crate) fn whole_tokens(&self) -> impl Iterator<Item = &str> {
        let last = (!self.prefix).then_some(&self.last);
        self.whole.iter().chain(last).map(String::as_str)
    }

    /// What the last token must begin with, when it need not be whole.
    pub(crate) fn last_prefix(&self) -> Option<&str> {
        self.prefix.then_some(self.last.as_str())
    }
}

impl Anchor {
    /// Of the first token, which may go on if it is a `prefix`. None when it is not in ASCII.
    fn of(token: &str, prefix: bool) -> Option<Anchor> {
        if !token.is_ascii() {
            return None;
        }
        let (offset, lower) = token
            .bytes()
            .enumerate()
            .max_by_key(|(_, byte)| rarity(*byte))?;
        Some(Anchor {
            token: token.to_owned(),
            offset,
            lower,
            upper: lower.to_ascii_uppercase(),
            // The sign of kelvin is lowered to k. The dotted capital i becomes i and a dot, which is no end of a token.
            ascii_only: !(token.contains('k') || prefix && token.ends_with('i')),
        })
    }

    fn next_from(&self, texts: &[u8], place: usize) -> Option<usize> {
        let mut from = place.saturating_add(self.offset);
        loop {
            let at = from + memchr::memchr2(self.lower, self.upper, texts.get(from..)?)?;
            let start = at.checked_sub(self.offset)?;
            let letters = texts.get(start..start + self.token.len())?;
            if letters.eq_ignore_ascii_case(self.token.as_bytes()) {
                return Some(start);
            }
            from = at + 1;
        }
    }

    /// The rest of the text from each place where a token begins, and begins like the first one.
    fn starts_in<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        memchr::memchr2_iter(self.lower, self.upper, text.as_bytes()).filter_map(|at| {
            let (before, from) = text.split_at_checked(at.checked_sub(self.offset)?)?;
            let beginning = from.as_bytes().get(..self.token.len())?;
            let separates = |c| !is_token_char(c) || stands_alone(c);
            let starts = beginning.eq_ignore_ascii_case(self.token.as_bytes())
                && before.chars().next_back().is_none_or(separates);
            starts.then_some(from)
        })
    }
}

/// Grows as a character of lower-cased log texts gets rarer. A wrong guess costs time only.
fn rarity(byte: u8) -> Option<usize> {
    const COMMON_FIRST: &[u8] = b"etaoinsr01l2dch3u4m5p6g7f8b9_wyvkxjqz";
    COMMON_FIRST.iter().position(|known| *known == byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_letters_that_become_ascii_when_lowered_only_i_and_k_are_not_of_it() {
        let become_ascii: Vec<char> = ('\u{80}'..=char::MAX)
            .filter(|c| c.to_lowercase().any(|lower| lower.is_ascii()))
            .collect();
        // The dotted capital i, which becomes i and a dot, and the sign of kelvin.
        assert_eq!(become_ascii, ['\u{130}', '\u{212a}']);
    }

    #[test]
    fn such_letters_are_found_like_any() {
        for (words, prefix, text) in [
            ("kelvin", false, "300 \u{212a}elvin"),
            ("i", true, "\u{130}stanbul"),
            ("ki", true, "Ki\u{307}"),
            ("hi", true, "h\u{130}"),
        ] {
            let run = TokenRun::new(&Words::new(words, prefix).unwrap());
            assert!(run.found_in(text), "{words} in {text}");
            assert!(run.found_token_by_token(text));
        }
        let whole = TokenRun::new(&Words::new("is", false).unwrap());
        assert!(!whole.found_in("\u{130}s") && !whole.found_token_by_token("\u{130}s"));
    }

    #[test]
    fn the_rarest_letter_is_looked_for() {
        let anchor = Anchor::of("requests", false).unwrap();
        assert_eq!((anchor.lower, anchor.upper, anchor.offset), (b'q', b'Q', 2));
        assert!(Anchor::of("größe", false).is_none());
    }
}
