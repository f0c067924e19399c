//! Resources, scopes, events, links and uncommon attributes as JSON: readable for people and for any tool, and nothing
//! is lost.
//!
//! # Values
//!
//! | OTLP | JSON |
//! |---|---|
//! | text, boolean | text, boolean |
//! | integer | a number without a fraction |
//! | double | a number with a fraction or an exponent; `{"$double":"7ff8000000000000"}`, its bits, when it is not finite |
//! | bytes | `{"$bytes":"00ff"}` |
//! | list | an array |
//! | map | an object; `{"$pairs":[["key",value],...]}` when a key stands twice, begins with `$` or has an index |
//! | a value without content | `null` |
//! | a value that is absent | `{"$absent":true}` |
//! | an index into a table of texts | `{"$text_index":7}` |
//!
//! In `$pairs`, a third element is the index of the key into a table of texts. Only profiles have such tables.
//!
//! # Documents
//!
//! Fields are left out when they are empty. Ids are lower-case hexadecimal digits.
//!
//! | column | document |
//! |---|---|
//! | `resource` | `{"attributes":{},"schema_url":"","dropped_attributes_count":0,"entity_refs":[]}` |
//! | `scope` | `{"name":"","version":"","attributes":{},"schema_url":"","dropped_attributes_count":0}`; with `"is_absent":true` when only a schema was sent |
//! | `events` | `[{"time_unix_nano":1,"name":"","attributes":{},"dropped_attributes_count":0}]` |
//! | `links` | `[{"trace_id":"","span_id":"","trace_state":"","attributes":{},"dropped_attributes_count":0,"flags":0}]` |
//! | `other_attributes` | a map, as above |

mod documents;
mod value;

pub(crate) use documents::{
    event_names_from_json, events_from_json, events_to_json, links_from_json, links_to_json,
    resource_from_json, resource_to_json, scope_from_json, scope_to_json,
};
pub(crate) use value::{attributes_from_json, attributes_to_json, value_from_json, value_to_json};

#[cfg(test)]
mod tests;
