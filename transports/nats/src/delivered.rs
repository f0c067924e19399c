//! Where a message that a server delivers stands in its stream.
//!
//! The reply subject of the message says so. There are two layouts of it (NATS ADR-15), told apart by their number of
//! tokens; more tokens may be added at the end of the longer one:
//!
//! ```text
//! $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>
//! $JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>...
//! ```

/// The sequence of a message in its stream, out of its reply subject; `None` when that is no such subject.
pub(crate) fn stream_sequence(reply: &str) -> Option<u64> {
    let tokens = reply.strip_prefix("$JS.ACK.")?.split('.');
    let at = match tokens.clone().count() {
        7 => 3,
        9.. => 5,
        _ => return None,
    };
    tokens.into_iter().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::stream_sequence;

    #[test]
    fn both_layouts_say_where_a_message_stands() {
        let short = "$JS.ACK.log-p00.reader.1.42.7.1700000000000000000.3";
        let long = "$JS.ACK._.hash.log-p00.reader.1.42.7.1700000000000000000.3";
        assert_eq!(stream_sequence(short), Some(42));
        assert_eq!(stream_sequence(long), Some(42));
        assert_eq!(stream_sequence(&format!("{long}.token.more")), Some(42));
    }

    proptest! {
        #[test]
        fn fuzz_a_subject_of_any_text_is_read_or_refused(text in "(\\$JS\\.ACK\\.)?[a-z0-9.]{0,60}") {
            if let Some(sequence) = stream_sequence(&text) {
                prop_assert!(text.contains(&sequence.to_string()) || text.contains(".0"));
            }
        }

        #[test]
        fn fuzz_what_a_server_writes_is_read(
            sequence: u64,
            stream in "[a-zA-Z0-9_-]{1,20}",
            rest in "[a-z0-9]{1,5}",
        ) {
            let short = format!("$JS.ACK.{stream}.{rest}.1.{sequence}.2.3.4");
            let long = format!("$JS.ACK._.{rest}.{stream}.{rest}.1.{sequence}.2.3.4.{rest}");
            prop_assert_eq!(stream_sequence(&short), Some(sequence));
            prop_assert_eq!(stream_sequence(&long), Some(sequence));
        }
    }
}
