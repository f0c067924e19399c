//! Resources and scopes as columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray, types::Int32Type};
use hashbrown::HashMap;
use log_tracer_record::{ResourceContext, ScopeContext};

use super::Picked;
use crate::block::{
    Storable,
    error::Malformed,
    json::{resource_to_json, scope_to_json},
};

/// The JSON of resources and scopes, made once for each of them.
#[derive(Debug, Default)]
pub(crate) struct ContextTexts {
    resources: Memo<ResourceContext>,
    scopes: Memo<ScopeContext>,
}

/// By address; holding the context keeps the address from being used again.
#[derive(Debug)]
struct Memo<C>(HashMap<usize, (Arc<C>, Arc<str>)>);

impl<C> Default for Memo<C> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<C> Memo<C> {
    fn text(
        &mut self,
        context: &Arc<C>,
        to_json: impl Fn(&C) -> serde_json::Result<String>,
    ) -> Result<Arc<str>, Malformed> {
        let address = Arc::as_ptr(context).addr();
        if let Some((_, text)) = self.0.get(&address) {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = to_json(context)?.into();
        self.0
            .insert(address, (Arc::clone(context), Arc::clone(&text)));
        Ok(text)
    }
}

impl ContextTexts {
    /// The columns `service`, `resource` and `scope`.
    pub(super) fn columns<'a, C: Storable>(
        &mut self,
        picked: Picked<'a, C>,
    ) -> Result<[ArrayRef; 3], Malformed> {
        let resource = |chunk: &'a C, row| chunk.resources().of(row);
        let services = column(picked, resource, |context: &Arc<ResourceContext>| {
            Ok(context.service().into())
        })?;
        let resources = column(picked, resource, |context| {
            self.resources.text(context, resource_to_json)
        })?;
        let scopes = column(
            picked,
            |chunk, row| chunk.scopes().of(row),
            |context| self.scopes.text(context, scope_to_json),
        )?;
        Ok([services, resources, scopes])
    }
}

/// A dictionary, so that long texts that many rows share are there once.
fn column<'a, C: Storable, X: 'a>(
    picked: Picked<'a, C>,
    context_of: impl Fn(&'a C, usize) -> &'a Arc<X>,
    mut text_of: impl FnMut(&Arc<X>) -> Result<Arc<str>, Malformed>,
) -> Result<ArrayRef, Malformed> {
    let mut by_address: HashMap<usize, i32> = HashMap::new();
    let mut by_text: HashMap<Arc<str>, i32> = HashMap::new();
    let mut texts: Vec<Arc<str>> = Vec::new();
    let mut numbers = Vec::with_capacity(picked.len());
    let mut last = None;
    for (chunk, row) in picked.iter() {
        let context = context_of(chunk, row);
        let address = Arc::as_ptr(context).addr();
        // Neighbours mostly share it, so that the tables are asked for few rows.
        let known = last.and_then(|(of, number)| (of == address).then_some(number));
        let number = match known.or_else(|| by_address.get(&address).copied()) {
            Some(number) => number,
            None => {
                let text = text_of(context)?;
                let next = i32::try_from(texts.len()).unwrap_or(i32::MAX);
                let number = *by_text.entry(Arc::clone(&text)).or_insert_with(|| {
                    texts.push(text);
                    next
                });
                by_address.insert(address, number);
                number
            }
        };
        last = Some((address, number));
        numbers.push(number);
    }
    let texts = StringArray::from_iter_values(texts.iter().map(AsRef::as_ref));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(
        Int32Array::from(numbers),
        Arc::new(texts),
    )?))
}
