//! Serde's messages in words for a person who does not write Rust.

/// `invalid type: string "x", expected u16` as `expected a whole number from 0 to 65535, found string "x"`.
pub(super) fn words(message: &str) -> String {
    if message.contains("invalid socket address syntax") {
        return "expected an IP address and a port such as 127.0.0.1:4317".to_owned();
    }
    for start in ["invalid type: ", "invalid value: ", "invalid length "] {
        let Some(rest) = message.strip_prefix(start) else {
            continue;
        };
        if let Some((found, expected)) = rest.rsplit_once(", expected ") {
            return format!(
                "expected {}, found {}",
                expectation(expected),
                quoted(found)
            );
        }
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return format!("unknown value {rest}");
    }
    message.to_owned()
}

fn expectation(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a nonzero u8" => "a whole number from 1 to 255",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "a nonzero u64" | "a nonzero usize" => "a whole number, 1 or more",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => {
            "a table"
        }
        other => other,
    }
}

/// Serde puts numbers into back quotes and strings into double ones; a list and a table are named by their Rust words.
fn quoted(found: &str) -> &str {
    match found {
        "sequence" => "a list",
        "map" => "a table",
        "null" => "nothing",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_says_is_said_in_words() {
        let cases = [
            (
                "invalid type: string \"many\", expected usize",
                "expected a whole number, 0 or more, found string \"many\"",
            ),
            (
                "invalid value: integer `70000`, expected u16",
                "expected a whole number from 0 to 65535, found integer `70000`",
            ),
            (
                "invalid type: map, expected a boolean",
                "expected true or false, found a table",
            ),
            (
                "unknown variant `xml`, expected `terminal` or `json`",
                "unknown value `xml`, expected `terminal` or `json`",
            ),
            (
                "invalid socket address syntax",
                "expected an IP address and a port such as 127.0.0.1:4317",
            ),
            ("anything else", "anything else"),
        ];
        for (message, expected) in cases {
            assert_eq!(words(message), expected);
        }
    }
}
