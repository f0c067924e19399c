//! The keys of the fields of OTLP's messages: number and wire type. Numbers and types are those of the .proto files.

/// The keys of one message, and the set of its numbers.
macro_rules! keys {
    ($($message:ident { $($field:ident = $kind:ident $number:literal),* $(,)? })*) => {
        $(
            pub(in crate::wire) mod $message {
                $(pub(in crate::wire) const $field: u32 = crate::wire::reader::$kind($number);)*
                /// A bit for each number: such a field with another wire type is no message of this kind.
                pub(in crate::wire) const NUMBERS: u32 = $(1 << $number)|*;
            }
        )*
    };
}

keys! {
    request { RESOURCES = len 1 }
    of_resource { RESOURCE = len 1, SCOPES = len 2, SCHEMA_URL = len 3 }
    of_scope { SCOPE = len 1, RECORDS = len 2, SCHEMA_URL = len 3 }
    resource { ATTRIBUTES = len 1, DROPPED_ATTRIBUTES = varint 2, ENTITIES = len 3 }
    entity { SCHEMA_URL = len 1, TYPE = len 2, ID_KEYS = len 3, DESCRIPTION_KEYS = len 4 }
    scope { NAME = len 1, VERSION = len 2, ATTRIBUTES = len 3, DROPPED_ATTRIBUTES = varint 4 }
    span {
        TRACE_ID = len 1,
        SPAN_ID = len 2,
        TRACE_STATE = len 3,
        PARENT_SPAN_ID = len 4,
        NAME = len 5,
        KIND = varint 6,
        START = fixed64 7,
        END = fixed64 8,
        ATTRIBUTES = len 9,
        DROPPED_ATTRIBUTES = varint 10,
        EVENTS = len 11,
        DROPPED_EVENTS = varint 12,
        LINKS = len 13,
        DROPPED_LINKS = varint 14,
        STATUS = len 15,
        FLAGS = fixed32 16,
    }
    event { TIME = fixed64 1, NAME = len 2, ATTRIBUTES = len 3, DROPPED_ATTRIBUTES = varint 4 }
    link {
        TRACE_ID = len 1,
        SPAN_ID = len 2,
        TRACE_STATE = len 3,
        ATTRIBUTES = len 4,
        DROPPED_ATTRIBUTES = varint 5,
        FLAGS = fixed32 6,
    }
    status { MESSAGE = len 2, CODE = varint 3 }
    log {
        TIME = fixed64 1,
        SEVERITY_NUMBER = varint 2,
        SEVERITY_TEXT = len 3,
        BODY = len 5,
        ATTRIBUTES = len 6,
        DROPPED_ATTRIBUTES = varint 7,
        FLAGS = fixed32 8,
        TRACE_ID = len 9,
        SPAN_ID = len 10,
        OBSERVED_TIME = fixed64 11,
        EVENT_NAME = len 12,
    }
    key_value { KEY = len 1, VALUE = len 2, KEY_STRINDEX = varint 3 }
    any_value {
        STRING = len 1,
        BOOL = varint 2,
        INT = varint 3,
        DOUBLE = fixed64 4,
        ARRAY = len 5,
        MAP = len 6,
        BYTES = len 7,
        STRINDEX = varint 8,
    }
    array { VALUES = len 1 }
    map { VALUES = len 1 }
}
