//! How much memory an OTLP/JSON request takes once it is decoded, found out without decoding it.
//!
//! One pass over the text that knows strings, braces, brackets, commas and the key before a bracket: what a list holds
//! says how large the struct is that each of its elements becomes. Objects outside of lists are a part of the struct
//! around them. A text that is no JSON gets some number, and then the decoder says so.

use std::mem::size_of;

use log_tracer_proto::otlp::{
    common::{EntityRef, KeyValue},
    logs::{LogRecord, ResourceLogs, ScopeLogs},
    trace::{ResourceSpans, ScopeSpans, Span, span},
};

/// What the allocator keeps for itself with each string, and what it rounds up to.
const ALLOCATION_BYTES: usize = 16;
/// Deeper text is refused or ignored by the decoder: messages may be nested 100 deep, in two levels of text each.
const DEPTH_MAX: usize = 256;

/// The decoded size of a request in JSON, in bytes.
pub(super) fn of_json(text: &[u8]) -> usize {
    let mut total = text.len();
    let mut open = Open::default();
    let mut key: &[u8] = b"";
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => {
                let (string, after) = tail.split_at(string_len(tail));
                key = string;
                rest = after.get(1..).unwrap_or_default();
                total = total.saturating_add(ALLOCATION_BYTES);
            }
            // Lists start with four elements and grow by doubling.
            b'[' => {
                let element = element_bytes(key);
                total = total.saturating_add(4 * element);
                open.push(element);
            }
            b',' => total = total.saturating_add(2 * open.element_bytes()),
            b'{' => open.push(0),
            b'}' | b']' => open.pop(),
            _ => {}
        }
    }
    total
}

/// The braces and brackets that are open.
#[derive(Default)]
struct Open {
    /// What an element right in each of them weighs.
    levels: Vec<usize>,
    /// How many more there are.
    deeper: usize,
}

impl Open {
    fn push(&mut self, element_bytes: usize) {
        if self.levels.len() < DEPTH_MAX {
            self.levels.push(element_bytes);
        } else {
            self.deeper += 1;
        }
    }

    fn pop(&mut self) {
        match self.deeper.checked_sub(1) {
            Some(deeper) => self.deeper = deeper,
            None => {
                self.levels.pop();
            }
        }
    }

    fn element_bytes(&self) -> usize {
        match self.deeper {
            0 => self.levels.last().copied().unwrap_or(0),
            _ => 0,
        }
    }
}

/// The length of a string that starts here, without its closing quote.
fn string_len(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text.iter().position(|byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        b'\\' => {
            is_escaped = true;
            false
        }
        byte => *byte == b'"',
    });
    end.unwrap_or(text.len())
}

/// What an element of the list under a key becomes. A key that OTLP does not know is ignored by the decoder.
fn element_bytes(key: &[u8]) -> usize {
    match key {
        b"resourceSpans" => size_of::<ResourceSpans>(),
        b"scopeSpans" => size_of::<ScopeSpans>(),
        b"spans" => size_of::<Span>(),
        b"events" => size_of::<span::Event>(),
        b"links" => size_of::<span::Link>(),
        b"resourceLogs" => size_of::<ResourceLogs>(),
        b"scopeLogs" => size_of::<ScopeLogs>(),
        b"logRecords" => size_of::<LogRecord>(),
        b"attributes" | b"values" => size_of::<KeyValue>(),
        b"entityRefs" => size_of::<EntityRef>(),
        // An escape may hide any of them.
        key if key.contains(&b'\\') => size_of::<Span>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_that_say_nothing_weigh_what_their_structs_do() {
        for element in ["{}", "null", " {} "] {
            let text = format!(
                r#"{{"spans":[{}{element}]}}"#,
                format!("{element},").repeat(999)
            );
            let found = of_json(text.as_bytes()) - text.len();
            assert!(found >= 2_000 * size_of::<Span>(), "{found}");
            assert!(found < 2_100 * size_of::<Span>(), "{found}");
        }
    }

    #[test]
    fn an_escaped_key_weighs_as_much_as_the_heaviest() {
        let plain = of_json(br#"{"spans":[{},{}]}"#);
        let hidden = of_json(br#"{"sp\u0061ns":[{},{}]}"#);
        assert!(hidden >= plain);
    }

    #[test]
    fn braces_and_quotes_in_strings_weigh_nothing() {
        let text = br#"{"attributes":[{"key":"a\"[{[,{","value":{"stringValue":"}{[\\"}}]}"#;
        let found = of_json(text);
        assert!(
            found < text.len() + 4 * size_of::<KeyValue>() + 100,
            "{found}"
        );
    }

    #[test]
    fn what_follows_after_endless_depth_is_weighed() {
        let deep = format!(
            r#"{{"x":{}{},"spans":[{{}},{{}}]}}"#,
            "[".repeat(900),
            "]".repeat(900)
        );
        let found = of_json(deep.as_bytes()) - deep.len();
        assert!(found >= 6 * size_of::<Span>(), "{found}");
    }

    #[test]
    fn cut_text_ends() {
        for text in [&b"\""[..], b"\"\\", b"]]}", b"[,,", b"{"] {
            of_json(text);
        }
    }
}
