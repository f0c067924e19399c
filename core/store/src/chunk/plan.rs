//! Where in a chunk an attribute can be found, worked out once a chunk instead of once a row.

use std::sync::Arc;

use log_tracer_record::{ResourceContext, ScopeContext};

use super::{attributes::Attributes, column::at, context::Contexts};
use crate::fields::{any_at_resource, any_at_scope};

/// Where a path can be found in a chunk.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    path: String,
    /// By the number of the key: where in the path begins what is to be found below the attribute; none when its key is
    /// not on the path.
    keys: Vec<Option<u32>>,
    /// By the number of the resource and of the scope: whether it has the path.
    resources: Vec<bool>,
    scopes: Vec<bool>,
    is_absent: bool,
    is_of_attributes_only: bool,
}

impl FieldPlan {
    pub(super) fn new(
        path: &str,
        attributes: &Attributes,
        resources: &Contexts<ResourceContext>,
        scopes: &Contexts<ScopeContext>,
    ) -> Self {
        let keys = attributes.keys_on(path);
        let has = &mut |_: log_tracer_query::Value<'_>| true;
        let resources = has_path(resources.all(), |resource| {
            any_at_resource(resource, path, has)
        });
        let scopes = has_path(scopes.all(), |scope| any_at_scope(scope, path, has));
        let is_of_attributes_only = !resources.iter().chain(&scopes).any(|has| *has);
        let is_absent = is_of_attributes_only && !keys.iter().any(Option::is_some);
        Self {
            path: path.to_owned(),
            keys,
            resources,
            scopes,
            is_absent,
            is_of_attributes_only,
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether no row of the chunk has it.
    pub(crate) fn is_absent(&self) -> bool {
        self.is_absent
    }

    /// Whether no resource and no scope has it.
    #[inline]
    pub(crate) fn is_of_attributes_only(&self) -> bool {
        self.is_of_attributes_only
    }

    /// Whether all rows of a resource have the same of it.
    pub(crate) fn is_of_resources_only(&self) -> bool {
        !self.keys.iter().any(Option::is_some) && !self.scopes.iter().any(|has| *has)
    }

    /// What of the path is to be found below an attribute with this key.
    #[inline]
    pub(super) fn below(&self, key: u32) -> Option<&str> {
        self.path.get(at(&self.keys, key as usize)? as usize..)
    }

    #[inline]
    pub(super) fn is_at_resource(&self, number: usize) -> bool {
        at(&self.resources, number)
    }

    #[inline]
    pub(super) fn is_at_scope(&self, number: usize) -> bool {
        at(&self.scopes, number)
    }
}

fn has_path<C>(contexts: &[Arc<C>], mut test: impl FnMut(&C) -> bool) -> Vec<bool> {
    contexts.iter().map(|context| test(context)).collect()
}
