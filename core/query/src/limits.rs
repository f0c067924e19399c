//! Limits on what a query may cost before it has looked at any record.

/// Limits of a query. A text beyond one of them is refused with an error that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the query as it was written, and as it is printed.
    pub query_bytes_max: usize,
    /// Parentheses within parentheses.
    pub depth_max: usize,
    /// Terms, each value of a list counted.
    pub terms_max: usize,
    /// Regular expressions.
    pub regexes_max: usize,
    /// Bytes that one compiled regular expression may take.
    pub regex_bytes_max: usize,
}

impl Default for Limits {
    /// 16 KiB, 32 levels, 512 terms, 16 regular expressions of 1 MiB each.
    fn default() -> Self {
        Limits {
            query_bytes_max: 16 << 10,
            depth_max: 32,
            terms_max: 512,
            regexes_max: 16,
            regex_bytes_max: 1 << 20,
        }
    }
}
