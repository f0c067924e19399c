//! The table of addresses.
//!
//! | address | what |
//! |---|---|
//! | `GET /` | every service and what changed, or how to send something |
//! | `GET /service`, `GET /map` | one service, and which service calls which |
//! | `GET /traces`, `GET /trace/{id}` | search, one trace |
//! | `GET /trace/{id}.json`, `GET /trace/{id}/logs.json` | its spans and its logs as OTLP/JSON |
//! | `GET /trace/{id}/spans.csv`, `GET /trace/{id}/spans.ndjson` | its spans as a table |
//! | `GET /compare` | two traces side by side |
//! | `GET /traces/live`, `GET /traces/tail` | the live page, its events |
//! | `GET /logs`, `GET /logs/live`, `GET /logs/tail` | search, the live page, its events |
//! | `GET /complete` | what may stand next in a query, for the script of the query box |
//! | `GET /pipeline` | transport, partitions, store |
//! | `POST /sample` | sends a sample trace |
//! | `POST /theme` | keeps the choice of light or dark |
//! | `GET /open`, `POST /open` | a file with traces to look at |
//! | `GET /api`, `GET /api/v1/…` | the JSON interface and its description, see `api` |
//! | `GET /api/…`, `POST /api/transform` | what front ends of Jaeger ask, see `jaeger` |
//! | `GET /metrics` | for Prometheus, see `metrics` |
//! | `GET /static/…`, `GET /healthz` | files, a sign of life |

mod interfaces;
mod template;

use std::{convert::Infallible, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, header};
use warp::{
    Filter, Rejection,
    filters::{BoxedFilter, path::FullPath},
    reject,
    reply::{Reply, Response},
};

pub(crate) use self::template::{OTHER, template};
use crate::{
    app::App,
    complete,
    fault::Fault,
    pages,
    params::Params,
    reply, sample,
    visitor::{THEME_COOKIE, Theme, Visitor, own_address},
};

/// The addresses that take POST only.
const ACTIONS: [&str; 3] = ["/sample", "/theme", "/api/transform"];

/// The addresses that take GET and POST.
const FORMS: [&str; 1] = ["/open"];

/// What a request asks.
#[derive(Debug)]
struct Call {
    app: Arc<App>,
    path: String,
    visitor: Visitor,
    params: Result<Params, Fault>,
    headers: HeaderMap,
}

/// All routes as one filter.
pub(crate) fn all(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let calls = calls(app);
    let alive = warp::path!("healthz")
        .and(warp::get())
        .map(|| "ok\n".into_response());
    pages(&calls)
        .or(actions(&calls))
        .unify()
        .or(interfaces::all(&calls))
        .unify()
        .or(files(app))
        .unify()
        .or(alive)
        .unify()
        .or(fallback(&calls))
        .unify()
        .boxed()
}

fn pages(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    let get = || calls.clone();
    let home = warp::path::end()
        .and(warp::get())
        .and(get())
        .then(|call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::home::page(&call.app, &call.visitor, params).await,
                Err(fault) => Err(fault.clone()),
            };
            call.page(answer)
        });
    let traces = warp::path!("traces")
        .and(warp::get())
        .and(get())
        .then(|call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::traces::page(&call.app, &call.visitor, params).await,
                Err(fault) => Err(fault.clone()),
            };
            call.page(answer)
        });
    let live_traces = warp::path!("traces" / "live")
        .and(warp::get())
        .and(get())
        .then(|call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::live::traces::page(&call.app, &call.visitor, params).await,
                Err(fault) => Err(fault.clone()),
            };
            call.page(answer)
        });
    let tail_of_traces = warp::path!("traces" / "tail")
        .and(warp::get())
        .and(get())
        .then(|call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::live::traces::tail(&call.app, params, &call.headers).await,
                Err(fault) => Err(fault.clone()),
            };
            answer.unwrap_or_else(|fault| reply::fault_json(&call.app.log, &fault))
        });
    let trace = warp::path!("trace" / String)
        .and(warp::get())
        .and(get())
        .then(|id: String, call: Call| async move {
            let answer = match (&call.params, id.strip_suffix(".json")) {
                (Ok(params), Some(id)) => pages::trace::spans_json(&call.app, params, id).await,
                (Ok(params), None) => {
                    pages::trace::page(&call.app, &call.visitor, params, &id).await
                }
                (Err(fault), _) => Err(fault.clone()),
            };
            call.page(answer)
        });
    let compare =
        warp::path!("compare")
            .and(warp::get())
            .and(get())
            .then(|call: Call| async move {
                let answer = match &call.params {
                    Ok(params) => pages::compare::page(&call.app, &call.visitor, params).await,
                    Err(fault) => Err(fault.clone()),
                };
                call.page(answer)
            });
    let trace_logs = warp::path!("trace" / String / "logs.json")
        .and(warp::get())
        .and(get())
        .then(|id: String, call: Call| async move {
            let answer = pages::trace::logs_json(&call.app, &id).await;
            call.page(answer)
        });
    let trace_spans = warp::path!("trace" / String / String)
        .and(warp::get())
        .and_then(|id: String, file: String| async move {
            let format = file
                .strip_prefix("spans.")
                .and_then(pages::trace::Format::named);
            match format {
                Some(format) => Ok((id, format)),
                None => Err(reject::not_found()),
            }
        })
        .untuple_one()
        .and(get())
        .then(|id: String, format, call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::trace::table::answer(&call.app, params, &id, format).await,
                Err(fault) => Err(fault.clone()),
            };
            call.page(answer)
        });
    let logs = warp::path!("logs")
        .and(warp::get())
        .and(get())
        .then(|call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::logs::page(&call.app, &call.visitor, params).await,
                Err(fault) => Err(fault.clone()),
            };
            call.page(answer)
        });
    let live = warp::path!("logs" / "live")
        .and(warp::get())
        .and(get())
        .then(|call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::live::page(&call.app, &call.visitor, params).await,
                Err(fault) => Err(fault.clone()),
            };
            call.page(answer)
        });
    let tail = warp::path!("logs" / "tail")
        .and(warp::get())
        .and(get())
        .then(|call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::live::tail(&call.app, params, &call.headers).await,
                Err(fault) => Err(fault.clone()),
            };
            answer.unwrap_or_else(|fault| reply::fault_json(&call.app.log, &fault))
        });
    let service =
        warp::path!("service")
            .and(warp::get())
            .and(get())
            .then(|call: Call| async move {
                let answer = match &call.params {
                    Ok(params) => pages::service::page(&call.app, &call.visitor, params).await,
                    Err(fault) => Err(fault.clone()),
                };
                call.page(answer)
            });
    let map = warp::path!("map")
        .and(warp::get())
        .and(get())
        .then(|call: Call| async move {
            let answer = match &call.params {
                Ok(params) => pages::map::page(&call.app, &call.visitor, params).await,
                Err(fault) => Err(fault.clone()),
            };
            call.page(answer)
        });
    let complete =
        warp::path!("complete")
            .and(warp::get())
            .and(get())
            .then(|call: Call| async move {
                let answer = match &call.params {
                    Ok(params) => complete::answer(&call.app, params).await,
                    Err(fault) => Err(fault.clone()),
                };
                answer.unwrap_or_else(|fault| reply::fault_json(&call.app.log, &fault))
            });
    let pipeline =
        warp::path!("pipeline")
            .and(warp::get())
            .and(get())
            .then(|call: Call| async move {
                let answer = pages::pipeline::page(&call.app, &call.visitor).await;
                call.page(answer)
            });
    home.or(service)
        .unify()
        .or(map)
        .unify()
        .or(complete)
        .unify()
        .or(traces)
        .unify()
        .or(live_traces)
        .unify()
        .or(tail_of_traces)
        .unify()
        .or(trace)
        .unify()
        .or(trace_logs)
        .unify()
        .or(trace_spans)
        .unify()
        .or(compare)
        .unify()
        .or(logs)
        .unify()
        .or(live)
        .unify()
        .or(tail)
        .unify()
        .or(pipeline)
        .unify()
        .boxed()
}

/// What changes something and takes no body.
fn actions(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    let sample = warp::path!("sample")
        .and(warp::post())
        .and(calls.clone())
        .then(|call: Call| async move {
            let answer = sample::send(&call.app).await;
            call.page(answer)
        });
    let theme = warp::path!("theme")
        .and(warp::post())
        .and(calls.clone())
        .map(|call: Call| {
            let answer = call
                .params
                .as_ref()
                .map_err(Clone::clone)
                .and_then(choose_theme);
            call.page(answer)
        });
    sample.or(theme).unify().boxed()
}

fn files(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    warp::path!("static" / String)
        .and(warp::get())
        .and_then(move |file: String| {
            let found = app.assets.find(&file).cloned();
            async move {
                let asset = found.ok_or_else(reject::not_found)?;
                let mut response = Response::new(asset.content.into());
                let headers = response.headers_mut();
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static(asset.content_type),
                );
                // The address changes with the content.
                let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
                headers.insert(header::CACHE_CONTROL, forever);
                Ok::<_, Rejection>(response)
            }
        })
        .boxed()
}

/// What every route needs to know of a request.
fn calls(app: &Arc<App>) -> BoxedFilter<(Call,)> {
    let app = Arc::clone(app);
    let query = warp::query::raw().or_else(|_| async { Ok::<_, Infallible>((String::new(),)) });
    warp::path::full()
        .and(query)
        .and(warp::header::headers_cloned())
        .map(move |path: FullPath, query: String, headers: HeaderMap| {
            let params = Params::parse(&query);
            let none = Params::default();
            let visitor = Visitor::new(
                path.as_str(),
                &query,
                &headers,
                params.as_ref().unwrap_or(&none),
            );
            Call {
                app: Arc::clone(&app),
                path: path.as_str().to_owned(),
                visitor,
                params,
                headers,
            }
        })
        .boxed()
}

impl Call {
    /// A page, or the fault as a page.
    fn page(&self, answer: Result<Response, Fault>) -> Response {
        answer.unwrap_or_else(|fault| {
            reply::fault_page(&self.app.views, &self.visitor, &self.app.log, &fault)
        })
    }
}

/// Everything else: an address that does not exist, or not for this method.
fn fallback(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    warp::method()
        .and(calls.clone())
        .map(|method: Method, call: Call| {
            let path = call.path.as_str();
            let allowed = if ACTIONS.contains(&path) {
                (method != Method::POST).then_some("POST")
            } else if FORMS.contains(&path) {
                Some("GET, HEAD, POST")
            } else {
                (method != Method::GET).then_some("GET, HEAD")
            };
            let fault = match allowed {
                Some(_) => Fault::method(),
                None => Fault::missing("there is no page under this address"),
            };
            let mut response = if call.path.starts_with("/api/") {
                reply::fault_json(&call.app.log, &fault)
            } else {
                call.page(Err(fault))
            };
            if let Some(allowed) = allowed {
                response
                    .headers_mut()
                    .insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            response
        })
        .boxed()
}

/// Keeps the choice of light or dark in a cookie, and goes back to where the visitor was.
fn choose_theme(params: &Params) -> Result<Response, Fault> {
    let theme = params
        .read("to", |text| {
            Theme::parse(text).ok_or_else(|| format!("`{text}` is not one of auto, light, dark"))
        })?
        .unwrap_or_default();
    let mut response = reply::see_other(own_address(&params.text("back")));
    let cookie = format!(
        "{THEME_COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax",
        theme.name()
    );
    // A theme's name is a plain word, so the header is always valid.
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}
