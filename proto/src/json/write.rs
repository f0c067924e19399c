//! Writing. It cannot fail: the text grows in memory.

use std::fmt::Write;

use super::codec::{Codec, Fields};

/// A text that grows by one value.
#[derive(Default)]
pub(super) struct Writer {
    out: String,
}

impl Writer {
    pub(super) fn finish(self) -> String {
        self.out
    }

    /// Appends what is JSON already.
    pub(super) fn raw(&mut self, json: &str) {
        self.out.push_str(json);
    }

    /// Appends a string, escaped where JSON asks for it.
    pub(super) fn text(&mut self, text: &str) {
        self.out.push('"');
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            // What is escaped is ASCII, so both ends lie between characters.
            self.raw(text.get(plain..at).unwrap_or_default());
            self.escape(byte);
            plain = at + 1;
        }
        self.raw(text.get(plain..).unwrap_or_default());
        self.out.push('"');
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'"' => self.raw("\\\""),
            b'\\' => self.raw("\\\\"),
            b'\n' => self.raw("\\n"),
            b'\r' => self.raw("\\r"),
            b'\t' => self.raw("\\t"),
            // Writing to a string does not fail.
            _ => write!(self.out, "\\u{byte:04x}").unwrap_or_default(),
        }
    }
}

/// An object that is being written.
pub(super) struct Object<'a> {
    out: &'a mut Writer,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Writer) -> Self {
        out.raw("{");
        Self {
            out,
            is_empty: true,
        }
    }

    fn close(self) {
        self.out.raw("}");
    }

    /// Writes a field unless it has its default value.
    pub(super) fn field<C: Codec>(&mut self, name: &str, value: &C::Value) {
        if !C::is_default(value) {
            self.present::<C>(name, value);
        }
    }

    /// Writes a field whose presence says something.
    pub(super) fn present<C: Codec>(&mut self, name: &str, value: &C::Value) {
        self.name(name);
        C::write(value, self.out);
    }

    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.raw(",");
        }
        self.out.text(name);
        self.out.raw(":");
    }
}

pub(super) fn write_message<M: Fields>(message: &M, out: &mut Writer) {
    let mut object = Object::open(out);
    message.write_fields(&mut object);
    object.close();
}

/// Writes an object with one field, a list, even when that is empty.
pub(super) fn write_list<C: Codec>(name: &str, values: &[C::Value], out: &mut Writer) {
    let mut object = Object::open(out);
    object.name(name);
    write_elements::<C>(values, object.out);
    object.close();
}

pub(super) fn write_elements<C: Codec>(values: &[C::Value], out: &mut Writer) {
    out.raw("[");
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.raw(",");
        }
        C::write(value, out);
    }
    out.raw("]");
}
