//! Resources, scopes, events and links.

use std::borrow::Cow;

use bytes::Bytes;
use log_tracer_query::text::hex;
use log_tracer_record::{
    ResourceContext, ScopeContext,
    otlp::{
        common::{EntityRef, InstrumentationScope, KeyValue},
        resource::Resource,
        trace::span::{Event, Link},
    },
};
use serde::{Deserialize, Serialize, Serializer};

use super::value::{PairsIn, PairsOut, unhex};

/// Attributes in a document, of one that is written or of one that is read.
#[derive(Default)]
enum Attributes<'a> {
    #[default]
    None,
    Out(&'a [KeyValue]),
    In(PairsIn),
}

impl<'a> Attributes<'a> {
    fn of(attributes: &'a [KeyValue]) -> Self {
        if attributes.is_empty() {
            Self::None
        } else {
            Self::Out(attributes)
        }
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    fn into_pairs(self) -> Vec<KeyValue> {
        match self {
            Self::In(pairs) => pairs.0,
            Self::Out(pairs) => pairs.to_vec(),
            Self::None => Vec::new(),
        }
    }
}

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => PairsOut(&[]).serialize(serializer),
            Self::Out(pairs) => PairsOut(pairs).serialize(serializer),
            Self::In(pairs) => PairsOut(&pairs.0).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Attributes<'_> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PairsIn::deserialize(deserializer).map(Self::In)
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityDocument {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    schema_url: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    r#type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    id_keys: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    description_keys: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, bound(deserialize = ""))]
struct ResourceDocument<'a> {
    #[serde(skip_serializing_if = "Attributes::is_none")]
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "String::is_empty")]
    schema_url: String,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entity_refs: Vec<EntityDocument>,
}

pub(crate) fn resource_to_json(context: &ResourceContext) -> serde_json::Result<String> {
    let resource = &context.resource;
    let entity = |entity: &EntityRef| EntityDocument {
        schema_url: entity.schema_url.clone(),
        r#type: entity.r#type.clone(),
        id_keys: entity.id_keys.clone(),
        description_keys: entity.description_keys.clone(),
    };
    serde_json::to_string(&ResourceDocument {
        attributes: Attributes::of(&resource.attributes),
        schema_url: context.schema_url.clone(),
        dropped_attributes_count: resource.dropped_attributes_count,
        entity_refs: resource.entity_refs.iter().map(entity).collect(),
    })
}

pub(crate) fn resource_from_json(text: &str) -> serde_json::Result<ResourceContext> {
    let document: ResourceDocument<'_> = serde_json::from_str(text)?;
    let entity = |entity: EntityDocument| EntityRef {
        schema_url: entity.schema_url,
        r#type: entity.r#type,
        id_keys: entity.id_keys,
        description_keys: entity.description_keys,
    };
    let resource = Resource {
        attributes: document.attributes.into_pairs(),
        dropped_attributes_count: document.dropped_attributes_count,
        entity_refs: document.entity_refs.into_iter().map(entity).collect(),
    };
    Ok(ResourceContext::new(resource, document.schema_url))
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, bound(deserialize = ""))]
struct ScopeDocument<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Attributes::is_none")]
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "String::is_empty")]
    schema_url: String,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_absent: bool,
}

pub(crate) fn scope_to_json(context: &ScopeContext) -> serde_json::Result<String> {
    let mut document = ScopeDocument {
        schema_url: context.schema_url.clone(),
        is_absent: context.scope.is_none(),
        ..ScopeDocument::default()
    };
    if let Some(scope) = &context.scope {
        document.name.clone_from(&scope.name);
        document.version.clone_from(&scope.version);
        document.attributes = Attributes::of(&scope.attributes);
        document.dropped_attributes_count = scope.dropped_attributes_count;
    }
    serde_json::to_string(&document)
}

pub(crate) fn scope_from_json(text: &str) -> serde_json::Result<ScopeContext> {
    let document: ScopeDocument<'_> = serde_json::from_str(text)?;
    let scope = (!document.is_absent).then(|| InstrumentationScope {
        name: document.name,
        version: document.version,
        attributes: document.attributes.into_pairs(),
        dropped_attributes_count: document.dropped_attributes_count,
    });
    Ok(ScopeContext {
        scope,
        schema_url: document.schema_url,
    })
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, bound(deserialize = ""))]
struct EventDocument<'a> {
    time_unix_nano: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Attributes::is_none")]
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
}

pub(crate) fn events_to_json(events: &[Event]) -> serde_json::Result<String> {
    let document = |event: &Event| -> serde_json::Result<String> {
        serde_json::to_string(&EventDocument {
            time_unix_nano: event.time_unix_nano,
            name: event.name.clone(),
            attributes: Attributes::of(&event.attributes),
            dropped_attributes_count: event.dropped_attributes_count,
        })
    };
    array_of(events, document)
}

pub(crate) fn events_from_json(text: &str) -> serde_json::Result<Vec<Event>> {
    let documents: Vec<EventDocument<'_>> = serde_json::from_str(text)?;
    let event = |document: EventDocument<'_>| Event {
        time_unix_nano: document.time_unix_nano,
        name: document.name,
        attributes: document.attributes.into_pairs(),
        dropped_attributes_count: document.dropped_attributes_count,
    };
    Ok(documents.into_iter().map(event).collect())
}

/// The names of events alone, which costs a fraction.
pub(crate) fn event_names_from_json(text: &str) -> serde_json::Result<Vec<Cow<'_, str>>> {
    let documents: Vec<EventName<'_>> = serde_json::from_str(text)?;
    Ok(documents.into_iter().map(|event| event.name).collect())
}

#[derive(Deserialize)]
struct EventName<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, bound(deserialize = ""))]
struct LinkDocument<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    trace_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    span_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    trace_state: String,
    #[serde(skip_serializing_if = "Attributes::is_none")]
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "is_zero")]
    flags: u32,
}

pub(crate) fn links_to_json(links: &[Link]) -> serde_json::Result<String> {
    let document = |link: &Link| -> serde_json::Result<String> {
        serde_json::to_string(&LinkDocument {
            trace_id: hex(&link.trace_id),
            span_id: hex(&link.span_id),
            trace_state: link.trace_state.clone(),
            attributes: Attributes::of(&link.attributes),
            dropped_attributes_count: link.dropped_attributes_count,
            flags: link.flags,
        })
    };
    array_of(links, document)
}

pub(crate) fn links_from_json(text: &str) -> serde_json::Result<Vec<Link>> {
    let documents: Vec<LinkDocument<'_>> = serde_json::from_str(text)?;
    let link = |document: LinkDocument<'_>| {
        Ok(Link {
            trace_id: id_from_hex(&document.trace_id)?,
            span_id: id_from_hex(&document.span_id)?,
            trace_state: document.trace_state,
            attributes: document.attributes.into_pairs(),
            dropped_attributes_count: document.dropped_attributes_count,
            flags: document.flags,
        })
    };
    documents.into_iter().map(link).collect()
}

fn id_from_hex(digits: &str) -> serde_json::Result<Bytes> {
    let malformed = || serde::de::Error::custom("an id is not in hexadecimal digits");
    unhex(digits).map(Bytes::from).ok_or_else(malformed)
}

fn array_of<T>(
    items: &[T],
    document: impl Fn(&T) -> serde_json::Result<String>,
) -> serde_json::Result<String> {
    let mut text = String::from("[");
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&document(item)?);
    }
    text.push(']');
    Ok(text)
}
