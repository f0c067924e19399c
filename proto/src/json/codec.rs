//! How values and messages are read and written, as types: a message is a table of fields with a codec each
//! (`messages`), and the table serves both directions.

use serde::de::{Deserializer, MapAccess};

use super::{
    read::Context,
    write::{Object, Writer},
};

/// The JSON form of a value.
pub(super) trait Codec {
    type Value: Default;

    /// `None` for null.
    fn read<'de, D: Deserializer<'de>>(
        input: D,
        context: Context<'_>,
    ) -> Result<Option<Self::Value>, D::Error>;

    /// Whether a field with this value is left out.
    fn is_default(value: &Self::Value) -> bool;

    fn write(value: &Self::Value, out: &mut Writer);
}

/// The fields of a message.
pub(super) trait Fields: Default {
    /// As in JSON; at most 64.
    const NAMES: &'static [&'static str];

    /// Reads the value that comes next in `input` into the field of this name, one of [`Self::NAMES`].
    fn read_field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        input: &mut A,
        context: Context<'_>,
    ) -> Result<(), A::Error>;

    fn write_fields(&self, out: &mut Object<'_>);
}
