//! stub
use log_tracer_record::{LogRow, SpanRow};
use std::path::Path;
/// stub
#[derive(Debug, Default)]
pub struct ParquetSpans(Vec<SpanRow>);
/// stub
#[derive(Debug, Default)]
pub struct ParquetLogs(Vec<LogRow>);
macro_rules! stub {
    ($t:ty, $r:ty) => {
        impl $t {
            /// stub
            pub fn push(&mut self, rows: &[$r]) {
                self.0.extend_from_slice(rows)
            }
            /// stub
            pub fn len(&self) -> usize {
                self.0.len()
            }
            /// stub
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
            /// stub
            pub fn bytes(&self) -> usize {
                0
            }
            /// stub
            pub fn write(&mut self, _path: &Path) -> std::io::Result<()> {
                Err(std::io::Error::other("stub"))
            }
        }
    };
}
stub!(ParquetSpans, SpanRow);
stub!(ParquetLogs, LogRow);
