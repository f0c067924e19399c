//! The events of spans as columns: a list for each span.

use arrow_buffer::ScalarBuffer;
use log_tracer_record::{
    otlp::trace::span::Event,
    wire::{Elements, EventView},
};

use super::{
    attributes::{Attributes, AttributesBuilder, attribute_views_bytes_max, attributes_bytes_max},
    column::{LabelBuilder, Labels, ListBuilder, Lists, at, freeze, number_bytes, room_like},
};

/// A growing column of events.
#[derive(Debug, Default)]
pub(crate) struct EventsBuilder {
    lists: ListBuilder,
    times: Vec<u64>,
    names: LabelBuilder,
    dropped_attributes: Vec<u32>,
    attributes: AttributesBuilder,
}

const FIXED_BYTES: usize = size_of::<u64>() + size_of::<u32>();

impl EventsBuilder {
    /// An empty one with room for what another column has.
    pub(super) fn like(events: &Events) -> Self {
        Self {
            lists: ListBuilder::like(&events.lists),
            times: room_like(&events.times),
            names: LabelBuilder::like(&events.names),
            dropped_attributes: room_like(&events.dropped_attributes),
            attributes: AttributesBuilder::like(&events.attributes),
        }
    }

    /// Adds the events of a span; answers how many bytes the columns grew by.
    pub(crate) fn append(&mut self, events: &[Event]) -> usize {
        let mut bytes = events.len() * FIXED_BYTES;
        for event in events {
            self.times.push(event.time_unix_nano);
            self.dropped_attributes.push(event.dropped_attributes_count);
            bytes += self.names.append(&event.name) + self.attributes.append(&event.attributes);
        }
        bytes + self.lists.end(self.times.len())
    }

    /// The same of the events of a span in a request.
    pub(super) fn append_views<'a>(&mut self, events: Elements<'a, EventView<'a>>) -> usize {
        let mut bytes = 0;
        for event in events.iter() {
            self.times.push(event.time_unix_nano);
            self.dropped_attributes.push(event.dropped_attributes_count);
            bytes += FIXED_BYTES
                + self.names.append_view(event.name)
                + self.attributes.append_views(event.attributes);
        }
        bytes + self.lists.end(self.times.len())
    }

    pub(crate) fn freeze(self) -> Events {
        Events {
            lists: self.lists.freeze(),
            times: freeze(self.times),
            names: self.names.freeze(),
            dropped_attributes: freeze(self.dropped_attributes),
            attributes: self.attributes.freeze(),
        }
    }

    pub(super) fn snapshot(&self) -> Events {
        Events {
            lists: self.lists.clone().freeze(),
            times: self.times.clone().into(),
            names: self.names.clone().freeze(),
            dropped_attributes: self.dropped_attributes.clone().into(),
            attributes: self.attributes.snapshot(),
        }
    }
}

/// What the name of an event and the end of its list take beside the text.
const LIST_AND_NAME: usize = 32;

/// At most so many bytes do the events of a span add to their columns.
pub(super) fn events_bytes_max(events: &[Event]) -> usize {
    let of_one = |event: &Event| {
        FIXED_BYTES + LIST_AND_NAME + event.name.len() + attributes_bytes_max(&event.attributes)
    };
    events.iter().map(of_one).sum()
}

/// The same of the events of a span in a request.
pub(super) fn event_views_bytes_max<'a>(events: Elements<'a, EventView<'a>>) -> usize {
    let of_one = |event: EventView<'_>| {
        let name = event.name.as_bytes().len();
        FIXED_BYTES + LIST_AND_NAME + name + attribute_views_bytes_max(event.attributes)
    };
    events.iter().map(of_one).sum()
}

/// A column of events.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) lists: Lists,
    pub(crate) times: ScalarBuffer<u64>,
    pub(crate) names: Labels,
    pub(crate) dropped_attributes: ScalarBuffer<u32>,
    pub(crate) attributes: Attributes,
}

impl Events {
    /// The events of a span as they came.
    pub(crate) fn row(&self, row: usize) -> Vec<Event> {
        let event = |item| Event {
            time_unix_nano: at(&self.times, item),
            name: self.names.value(item).to_owned(),
            attributes: self.attributes.row(item),
            dropped_attributes_count: at(&self.dropped_attributes, item),
        };
        self.lists.items(row).map(event).collect()
    }

    /// Hands the names of the events of a span to `visit`.
    pub(crate) fn any_name(&self, row: usize, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.lists
            .items(row)
            .any(|item| visit(self.names.value(item)))
    }

    /// Hands the names of the events of a span, and the texts of their attributes, to `visit`.
    pub(crate) fn any_text(&self, row: usize, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut items = self.lists.items(row);
        items.any(|item| visit(self.names.value(item)) || self.attributes.any_text(item, visit))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lists.bytes()
            + number_bytes(&self.times)
            + self.names.bytes()
            + number_bytes(&self.dropped_attributes)
            + self.attributes.bytes()
    }
}
