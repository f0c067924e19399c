//! Records as they lie in a request, on their way into columns: what each kind of builder is told about them.

use log_tracer_record::wire::{OfResource, OfScope, Signal, Text};

/// The resource and the scope of a record in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Above<'a> {
    pub(super) resource: ContextView<'a>,
    pub(super) scope: ContextView<'a>,
}

/// A resource or a scope in a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContextView<'a> {
    /// Which of the request: a builder has to look at each of them only once.
    pub(super) place: u32,
    pub(super) message: Option<&'a [u8]>,
    pub(super) schema_url: Text<'a>,
}

impl<'a> Above<'a> {
    /// `resource_place` and `scope_place` count the resources, and the scopes of all resources, of a request.
    pub(crate) fn new<S: Signal>(
        (resource_place, resource): (u32, &OfResource<'a, S>),
        (scope_place, scope): (u32, &OfScope<'a, S>),
    ) -> Self {
        Self {
            resource: ContextView {
                place: resource_place,
                message: resource.resource,
                schema_url: resource.schema_url,
            },
            scope: ContextView {
                place: scope_place,
                message: scope.scope,
                schema_url: scope.schema_url,
            },
        }
    }
}
