//! Two traces side by side by structure: what both do, what only one does, and what takes longer in which.
//!
//! A trace is named by its id or by an address of it, of this dashboard or of another front end. The traces are read one
//! after the other, and of each only its shape is kept, so that a comparison takes the memory of one trace page.

mod choose;
mod subject;
mod summary;
mod table;

use http::StatusCode;
use log_tracer_proto::v1::ServiceInfo;
use serde::Serialize;
use warp::reply::Response;

pub(crate) use self::subject::Subject;
use self::{
    choose::Choose,
    subject::subject,
    summary::{Card, SummaryView},
    table::TableView,
};
use crate::{
    app::App,
    fault::Fault,
    lines::{from_hex, hex},
    palette::Palette,
    params::{Link, Params},
    reply, sorting,
    trace::shape::compare::{Comparison, Order},
    units::clip,
    views::Shell,
    visitor::Visitor,
};

/// A trace's id, or the place of one of a file.
pub(crate) type Id = [u8; 16];

/// What is compared, and how it is listed: the state of the page.
#[derive(Clone, Debug, PartialEq)]
struct State {
    a: Option<Id>,
    b: Option<Id>,
    sort: &'static str,
    /// Whether the tree shows what is the same, too.
    all: bool,
    page: u64,
}

impl State {
    /// `a` and `b`, or two that are chosen from a list, each as `id`.
    fn read(params: &Params) -> Result<Self, Fault> {
        let mut chosen: Vec<Id> = Vec::new();
        for text in params.all("id") {
            let id = parse_id(text).map_err(|words| Fault::input(format!("id: {words}")))?;
            chosen.push(id);
        }
        if chosen.len() > 2 {
            return Err(Fault::input(format!(
                "id: {} traces are chosen; two can be compared",
                chosen.len()
            )));
        }
        let mut chosen = chosen.into_iter();
        let all = params.read("show", |text| match text {
            "all" => Ok(true),
            _ => Err(format!("`{}` is not all", clip(text, 60))),
        })?;
        let a = params.read("a", parse_id)?.or_else(|| chosen.next());
        let b = params.read("b", parse_id)?.or_else(|| chosen.next());
        Ok(Self {
            // One alone is the first.
            a: a.or(b),
            b: a.and(b),
            sort: sorting::read(params, &table::COLUMNS, table::SORT_DEFAULT)?,
            all: all.unwrap_or(false),
            page: params.number("page", 1, 1_000_000)?.unwrap_or(1),
        })
    }

    /// The first page of it.
    fn link(&self) -> Link {
        let id = |id: &Option<Id>| id.as_ref().map_or_else(String::new, |id| hex(id));
        let link = Link::to("/compare")
            .with("a", id(&self.a))
            .with("b", id(&self.b))
            .with("show", if self.all { "all" } else { "" });
        sorting::write(link, self.sort, table::SORT_DEFAULT)
    }
}

/// The order of a `sort` parameter.
pub(crate) fn order(sort: &str) -> Order {
    match sort {
        "spans" => Order::Spans,
        "errors" => Order::Errors,
        "total" => Order::Total,
        "self" => Order::Own,
        _ => Order::Tree,
    }
}

/// Reads the id of a trace, or an address that has one after `/trace/`. Other front ends leave zeros at the front away.
pub(crate) fn parse_id(text: &str) -> Result<Id, String> {
    let refused = || {
        format!(
            "`{}` is neither a trace id (32 hexadecimal digits, not all of them 0) nor an address of a trace",
            clip(text, 80)
        )
    };
    let rest = match text.rsplit_once("/trace/") {
        Some((_, rest)) => rest,
        None => text,
    };
    let digits: &str = rest
        .split(|letter: char| !letter.is_ascii_hexdigit())
        .next()
        .unwrap_or_default();
    // Alone, it must be nothing but the id.
    let is_alone = rest.len() == text.len();
    if digits.is_empty() || digits.len() > 32 || (is_alone && digits.len() != text.len()) {
        return Err(refused());
    }
    // Fewer than 16 digits are more likely a span or a number than a trace.
    if is_alone && digits.len() < 16 {
        return Err(refused());
    }
    from_hex::<16>(&format!("{digits:0>32}")).ok_or_else(refused)
}

/// Both traces, and what they have in common.
pub(crate) struct Both {
    pub(crate) a: Subject,
    pub(crate) b: Subject,
    pub(crate) comparison: Comparison,
}

/// Reads and compares two traces. The caller holds room for a trace page until it is done with them.
pub(crate) async fn both(app: &App, a: Id, b: Id) -> Result<Both, Fault> {
    let a = subject(app, a).await.map_err(|fault| fault.about("a"))?;
    let b = subject(app, b).await.map_err(|fault| fault.about("b"))?;
    blocking(move || {
        let longer = a.duration().max(b.duration());
        let comparison = Comparison::new(&a.shape, &b.shape, longer);
        Both { a, b, comparison }
    })
    .await
}

/// Work on a hundred thousand paths, on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Fault::internal(format!("comparing traces failed: {error}")))
}

/// Answers `/compare`.
pub(crate) async fn page(app: &App, visitor: &Visitor, params: &Params) -> Result<Response, Fault> {
    let state = State::read(params)?;
    let services = app.ask.services().await?;
    let view = match (state.a, state.b) {
        (Some(a), Some(b)) => {
            let _slot = app.trace_slot().await?;
            let both = both(app, a, b).await?;
            blocking(move || View::of_two(&state, &both, &services)).await?
        }
        (Some(a), None) => {
            let slot = app.trace_slot().await?;
            let subject = subject(app, a).await?;
            drop(slot);
            let choose = Choose::new(app, &subject, &services).await?;
            View::of_one(&subject, choose, &services)
        }
        (None, _) => View::default(),
    };
    let shell = Shell {
        title: "Compare traces",
        section: "traces",
        refresh_s: None,
    };
    Ok(reply::html(
        StatusCode::OK,
        app.views.page("compare.html", &shell, visitor, &view)?,
    ))
}

fn palette<'a>(services: &'a [ServiceInfo], shown: impl Iterator<Item = &'a str>) -> Palette {
    let known = services.iter().map(|service| service.service.as_str());
    Palette::new(known, shown)
}

#[derive(Debug, Default, Serialize)]
struct View {
    /// What stands in the fields of the form.
    a_field: String,
    b_field: String,
    a: Option<Card>,
    b: Option<Card>,
    swap_href: String,
    summary: Option<SummaryView>,
    table: Option<TableView>,
    choose: Option<Choose>,
}

impl View {
    fn of_two(state: &State, both: &Both, services: &[ServiceInfo]) -> Self {
        let steps = both.comparison.steps.iter();
        let palette = &palette(services, steps.map(|step| step.service.as_str()));
        let swapped = State {
            a: state.b,
            b: state.a,
            page: 1,
            ..state.clone()
        };
        Self {
            a_field: hex(&both.a.place),
            b_field: hex(&both.b.place),
            a: Some(Card::new(&both.a, palette)),
            b: Some(Card::new(&both.b, palette)),
            swap_href: swapped.link().to_string(),
            summary: Some(SummaryView::new(both, palette)),
            table: Some(TableView::new(state, both, palette)),
            choose: None,
        }
    }

    fn of_one(subject: &Subject, choose: Choose, services: &[ServiceInfo]) -> Self {
        let palette = &palette(services, std::iter::once(subject.service.as_str()));
        Self {
            a_field: hex(&subject.place),
            a: Some(Card::new(subject, palette)),
            choose: Some(choose),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "5b8efff798038103d269b633813fc60c";

    fn read(raw: &str) -> Result<State, Fault> {
        State::read(&Params::parse(raw).unwrap())
    }

    #[test]
    fn a_trace_is_named_by_its_id_or_by_an_address_of_it() {
        let id = from_hex::<16>(ID);
        for text in [
            ID.to_owned(),
            format!("/trace/{ID}"),
            format!("http://127.0.0.1:8080/trace/{ID}?span=0102030405060708#s1"),
            format!("https://jaeger.example/jaeger/trace/{ID}/"),
            format!("http://127.0.0.1:8080/trace/{ID}.json"),
        ] {
            assert_eq!(parse_id(&text).ok(), id, "{text}");
        }
        let short = parse_id("https://jaeger.example/trace/abc").unwrap();
        assert_eq!(hex(&short), "00000000000000000000000000000abc");
        for bad in [
            "",
            "abc",
            "/trace/",
            "/trace/xyz",
            "00000000000000000000000000000000",
            "5b8efff798038103d269b633813fc60c0",
            "5b8efff798038103 269b633813fc60c",
            "<script>",
        ] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_that_are_chosen_from_a_list_are_compared_and_three_are_refused() {
        let id = |digit: &str| digit.repeat(32);
        let state = read(&format!("id={}&id={}", id("a"), id("b"))).unwrap();
        assert_eq!((state.a, state.b), (Some([0xaa; 16]), Some([0xbb; 16])));
        let state = read(&format!("id={}", id("a"))).unwrap();
        assert_eq!((state.a, state.b), (Some([0xaa; 16]), None));
        let three = read(&format!("id={0}&id={0}&id={0}", id("a"))).unwrap_err();
        assert!(three.message().contains("3 traces"), "{}", three.message());
        let state = read(&format!("b={}", id("b"))).unwrap();
        assert_eq!((state.a, state.b), (Some([0xbb; 16]), None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = parse_id(&text);
            let _ = parse_id(&format!("/trace/{text}"));
        }

        #[test]
        fn a_state_survives_its_link(a: [u8; 16], b: [u8; 16], all: bool, sort in 0_usize..4) {
            prop_assume!(a != [0; 16] && b != [0; 16]);
            let sort = ["tree", "spans", "total", "self"][sort];
            let state = State { a: Some(a), b: Some(b), sort, all, page: 1 };
            let link = state.link().to_string();
            prop_assert_eq!(read(link.trim_start_matches("/compare?")).unwrap(), state);
        }
    }
}
