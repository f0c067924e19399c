//! What records share: their resource and their scope.

use crate::{
    attribute,
    otlp::{
        common::{InstrumentationScope, any_value::Value},
        resource::Resource,
    },
};

/// The service of a resource that names none.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// The entity that a record is about, with the schema of its attributes. Immutable once made: rows share it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceContext {
    /// As it came; empty when the sender gave none.
    pub resource: Resource,
    /// The schema of the resource, not of its records; empty when unknown.
    pub schema_url: String,
    service: String,
}

impl ResourceContext {
    /// Takes a resource and finds out its service.
    #[must_use]
    pub fn new(resource: Resource, schema_url: String) -> Self {
        let service = service_of(Some(&resource)).to_owned();
        Self {
            resource,
            schema_url,
            service,
        }
    }

    /// The attribute `service.name`, or [`UNKNOWN_SERVICE`] when it is absent, empty or not a string.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl Default for ResourceContext {
    fn default() -> Self {
        Self::new(Resource::default(), String::new())
    }
}

/// The service that a resource names, or [`UNKNOWN_SERVICE`].
pub(crate) fn service_of(resource: Option<&Resource>) -> &str {
    let attributes = resource
        .map(|resource| resource.attributes.as_slice())
        .unwrap_or_default();
    match attribute(attributes, "service.name") {
        Some(Value::StringValue(name)) if !name.is_empty() => name,
        _ => UNKNOWN_SERVICE,
    }
}

/// The library that made a record, with the schema of the record. Immutable once made: rows share it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeContext {
    /// As it came. An absent scope and an empty one are kept apart.
    pub scope: Option<InstrumentationScope>,
    /// The schema of the records; empty when unknown.
    pub schema_url: String,
}

impl ScopeContext {
    /// The name of the scope, empty when there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.scope.as_ref().map_or("", |scope| &scope.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::common::{AnyValue, KeyValue};

    fn service_of(values: &[Value]) -> String {
        let attributes = values.iter().map(|value| KeyValue {
            key: "service.name".to_owned(),
            value: Some(AnyValue {
                value: Some(value.clone()),
            }),
            ..KeyValue::default()
        });
        let resource = Resource {
            attributes: attributes.collect(),
            ..Resource::default()
        };
        ResourceContext::new(resource, String::new())
            .service()
            .to_owned()
    }

    #[test]
    fn the_service_is_the_first_service_name() {
        let text = |text: &str| Value::StringValue(text.to_owned());
        assert_eq!(service_of(&[text("cart"), text("other")]), "cart");
    }

    #[test]
    fn a_resource_without_a_usable_service_name_is_an_unknown_service() {
        assert_eq!(service_of(&[]), "unknown_service");
        assert_eq!(
            service_of(&[Value::StringValue(String::new())]),
            "unknown_service"
        );
        assert_eq!(service_of(&[Value::IntValue(7)]), "unknown_service");
    }
}
