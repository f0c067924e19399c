//! What of a trace a page shows, in its address.

use super::{operations, shape::Angle, spans};
use crate::{
    fault::Fault,
    lines::{from_hex, hex},
    pages::logs::level,
    params::{Link, Params},
    sorting::{Column, Order},
    trace::{tree::Id, visible::Fold, zoom::Zoom},
};

/// Spans that can be toggled in the address at most, so that it stays short.
const TOGGLED_MAX: usize = 100;

/// Characters of the field that spans are counted by.
const GROUP_CHARS_MAX: usize = 200;

/// A way to look at a trace. A new one is a variant here and in `Body`, a module beside this one, and a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// The waterfall.
    #[default]
    Timeline,
    /// Every span as a row of a table.
    Spans,
    /// Spans that are counted together.
    Operations,
    /// The merged tree of paths as boxes.
    Flame,
    /// What calls what.
    Graph,
    /// The list of log records.
    Logs,
}

impl View {
    /// In the order of the tabs.
    pub(crate) const ALL: [Self; 6] = [
        Self::Timeline,
        Self::Spans,
        Self::Operations,
        Self::Flame,
        Self::Graph,
        Self::Logs,
    ];

    /// Its value of the parameter `tab`, which links leave away for the default.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Timeline => "timeline",
            Self::Spans => "spans",
            Self::Operations => "operations",
            Self::Flame => "flame",
            Self::Graph => "graph",
            Self::Logs => "logs",
        }
    }

    /// What its tab is called.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Timeline => "Timeline",
            Self::Spans => "Spans",
            Self::Operations => "Operations",
            Self::Flame => "Flame graph",
            Self::Graph => "Graph",
            Self::Logs => "Logs",
        }
    }

    /// Whether the filter of spans applies to it.
    pub(crate) fn takes_filter(self) -> bool {
        self != Self::Logs
    }

    /// The columns that it can be sorted by, and which it is sorted by unless asked otherwise.
    pub(crate) fn columns(self) -> (&'static [Column], &'static str) {
        match self {
            Self::Spans => (&spans::COLUMNS, spans::SORT_DEFAULT),
            Self::Operations => (&operations::COLUMNS, operations::SORT_DEFAULT),
            Self::Timeline | Self::Flame | Self::Graph | Self::Logs => (&[], ""),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|view| view.key() == text)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.into_iter().map(Self::key).collect();
                format!(
                    "`{text}` is not a view of a trace; it is one of {}",
                    known.join(", ")
                )
            })
    }
}

/// What of a trace is shown: the state of the page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) id: [u8; 16],
    pub(crate) view: View,
    pub(crate) span: Option<Id>,
    /// The first row that is shown.
    pub(crate) from: Option<usize>,
    /// Of a table that was gone back in: the row after the last; then `from` says nothing.
    pub(crate) before: Option<usize>,
    pub(crate) fold: Fold,
    pub(crate) toggled: Vec<Id>,
    pub(crate) inline_logs: bool,
    /// The part of the trace's time that the timeline shows.
    pub(crate) zoom: Option<Zoom>,
    pub(crate) filter: String,
    /// What the log records are narrowed by: a query, and the least severity, or nothing.
    pub(crate) log_query: String,
    pub(crate) level: &'static str,
    /// What a table is sorted by.
    pub(crate) order: Order,
    /// The page of a table or list, from 1 on.
    pub(crate) page: u64,
    /// What spans are counted together by: a field, or their operation when empty.
    pub(crate) group: String,
    /// How the flame graph and the graph look at it.
    pub(crate) angle: Angle,
}

impl State {
    /// `id` is the last part of the path.
    pub(crate) fn read(id: &str, params: &Params) -> Result<Self, Fault> {
        let view = params.read("tab", View::parse)?.unwrap_or_default();
        Self::read_as(id, params, view)
    }

    /// The state of one view, whatever `tab` says.
    pub(crate) fn read_as(id: &str, params: &Params, view: View) -> Result<Self, Fault> {
        let id = from_hex::<16>(id).ok_or_else(|| {
            Fault::missing(format!(
                "`{}` is not a trace id: 32 hexadecimal digits, not all of them 0",
                crate::units::clip(id, 60)
            ))
        })?;
        let span_id = |text: &str| {
            from_hex::<8>(text)
                .ok_or_else(|| format!("`{text}` is not a span id: 16 hexadecimal digits"))
        };
        let fold = params.read("fold", |text| match text {
            "open" => Ok(Fold::Open),
            "closed" => Ok(Fold::Closed),
            _ => Err(format!("`{text}` is neither open nor closed")),
        })?;
        let toggled = params.read("t", |text| {
            text.split('.').take(TOGGLED_MAX).map(span_id).collect()
        })?;
        let (columns, default) = view.columns();
        Ok(Self {
            id,
            view,
            // Where nothing is sorted, a `sort` means nothing.
            order: if columns.is_empty() {
                Order::by(default)
            } else {
                Order::read(params, columns, default)?
            },
            page: params.number("page", 1, u64::from(u32::MAX))?.unwrap_or(1),
            group: params
                .read("group", |text| match text.chars().count() {
                    0..=GROUP_CHARS_MAX => Ok(text.to_owned()),
                    _ => Err(format!("a field has at most {GROUP_CHARS_MAX} characters")),
                })?
                .unwrap_or_default(),
            span: params.read("span", span_id)?,
            from: params
                .number("from", 0, u64::from(u32::MAX))?
                .map(|from| from as usize),
            before: params
                .number("before", 0, u64::from(u32::MAX))?
                .map(|before| before as usize),
            fold: fold.unwrap_or_default(),
            toggled: toggled.unwrap_or_default(),
            inline_logs: params.get("logs") != Some("0"),
            zoom: params.read("zoom", Zoom::parse)?,
            filter: params.text("f"),
            log_query: params.text("lq"),
            level: level::read(params)?,
            angle: Angle::read(params)?,
        })
    }

    /// The address of this state on its own page, which leaves the path away.
    pub(crate) fn link(&self) -> Link {
        self.link_to(String::new())
    }

    /// Its whole address.
    pub(crate) fn address(&self) -> String {
        self.link_to(format!("/trace/{}", hex(&self.id)))
            .to_string()
    }

    fn link_to(&self, path: String) -> Link {
        let toggled: Vec<String> = self.toggled.iter().map(|id| hex(id)).collect();
        let link = Link::to(path)
            .with(
                "tab",
                if self.view == View::default() {
                    ""
                } else {
                    self.view.key()
                },
            )
            .with("span", self.span.map_or_else(String::new, |id| hex(&id)))
            .with(
                "from",
                self.from.map_or_else(String::new, |from| from.to_string()),
            )
            .with(
                "before",
                self.before.map_or_else(String::new, |row| row.to_string()),
            )
            .with(
                "fold",
                match self.fold {
                    Fold::Auto => "",
                    Fold::Open => "open",
                    Fold::Closed => "closed",
                },
            )
            .with("t", toggled.join("."))
            .with("logs", if self.inline_logs { "" } else { "0" })
            .with(
                "zoom",
                self.zoom.map_or_else(String::new, |zoom| zoom.to_string()),
            )
            .with("f", &*self.filter)
            .with("lq", &*self.log_query)
            .with("level", self.level)
            .with("sort", self.order.write(self.view.columns().1))
            .with(
                "page",
                if self.page == 1 {
                    String::new()
                } else {
                    self.page.to_string()
                },
            )
            .with("group", &*self.group);
        self.angle.write(link)
    }

    /// The same from the beginning of its rows.
    pub(crate) fn rewound(&self) -> Self {
        Self {
            from: None,
            before: None,
            page: 1,
            ..self.clone()
        }
    }

    /// The same in another view, from its beginning.
    pub(crate) fn seen_as(&self, view: View) -> Self {
        Self {
            view,
            order: Order::by(view.columns().1),
            ..self.rewound()
        }
    }

    /// With a span opened that was closed, or the other way round.
    pub(crate) fn toggle(&self, id: Id) -> Self {
        let mut toggled = self.toggled.clone();
        match toggled.iter().position(|other| *other == id) {
            Some(at) => {
                toggled.remove(at);
            }
            None => {
                // The address has an end: the oldest toggle gives way.
                if toggled.len() >= TOGGLED_MAX {
                    toggled.remove(0);
                }
                toggled.push(id);
            }
        }
        Self {
            toggled,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "5b8efff798038103d269b633813fc60c";

    fn read(raw: &str) -> Result<State, Fault> {
        State::read(ID, &Params::parse(raw).unwrap())
    }

    #[test]
    fn a_path_that_is_no_trace_id_is_not_found() {
        for id in ["", "xyz", "00000000000000000000000000000000", "5b8efff7"] {
            let fault = State::read(id, &Params::default()).unwrap_err();
            assert_eq!(fault.status(), StatusCode::NOT_FOUND);
        }
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (raw, key) in [
            ("span=1", "span"),
            ("t=1.2", "t"),
            ("fold=half", "fold"),
            ("from=-1", "from"),
            ("before=x", "before"),
            ("tab=picture", "tab"),
            ("tab=spans&sort=colour", "sort"),
            ("tab=operations&sort=-depth", "sort"),
            ("page=0", "page"),
            ("zoom=2ms..1ms", "zoom"),
            ("level=loud", "level"),
        ] {
            assert!(read(raw).unwrap_err().message().starts_with(key), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn a_state_survives_its_link(
            span in prop::option::of(any::<[u8; 8]>()),
            toggled in prop::collection::btree_set(1_u8.., 0..5),
            from in prop::option::of(0_usize..1000),
            logs: bool,
            view in prop::sample::select(View::ALL.to_vec()),
            filter in "[a-z:>\"&+%]{0,12}",
            column in 0_usize..20,
            turned: bool,
            page in 1_u64..9,
            group in "[a-z.&\"]{0,9}",
            zoom in prop::option::of((0_u64..1 << 50, 1_u64..1 << 50)),
        ) {
            let (columns, default) = view.columns();
            let order = match columns.get(column % columns.len().max(1)) {
                Some(column) => Order { key: column.key, turned },
                None => Order::by(default),
            };
            let state = State {
                id: from_hex(ID).unwrap(),
                view,
                span: span.filter(|id| *id != [0; 8]),
                from,
                before: turned.then_some(column),
                fold: Fold::Closed,
                toggled: toggled.into_iter().map(|id| [id; 8]).collect(),
                inline_logs: logs,
                zoom: zoom.map(|(from, length)| Zoom { from, to: from + length }),
                log_query: filter.clone(),
                level: if turned { "warn" } else { "" },
                filter,
                order,
                page,
                group,
                angle: Angle {
                    root: from.map(|from| from as u64),
                    ..Angle::default()
                },
            };
            let link = state.link().to_string();
            prop_assert_eq!(read(link.trim_start_matches('?')).unwrap(), state);
        }
    }
}
