//! The routes for programs, and the page of files, which takes a body as they do.

use std::time::Duration;

use bytes::Buf;
use futures_util::Stream;
use warp::{Filter, filters::BoxedFilter, reject, reply::Response};

use super::Call;
use crate::{api, body, fault::Fault, jaeger, metrics, pages, reply};

/// How long a body may take to arrive: a file comes over slower lines than a question.
const BODY_DEADLINE: Duration = Duration::from_secs(60);

/// All of them as one filter.
pub(super) fn all(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    own(calls)
        .or(of_jaeger(calls))
        .unify()
        .or(transform(calls))
        .unify()
        .or(metrics(calls))
        .unify()
        .or(files(calls))
        .unify()
        .boxed()
}

fn own(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    let page =
        warp::path!("api")
            .and(warp::get())
            .and(calls.clone())
            .then(|call: Call| async move {
                let answer = api::page::page(&call.app, &call.visitor, &call.headers);
                call.page(answer)
            });
    let answers = warp::path!("api" / "v1" / ..)
        .and(warp::path::tail())
        .and(warp::get())
        .and(calls.clone())
        .then(|tail: warp::path::Tail, call: Call| async move {
            let answer = match &call.params {
                Ok(params) => api::answer(&call.app, tail.as_str(), params).await,
                Err(fault) => Err(fault.clone()),
            };
            answer.unwrap_or_else(|fault| reply::fault_json(&call.app.log, &fault))
        });
    page.or(answers).unify().boxed()
}

fn of_jaeger(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    warp::path!("api" / ..)
        .and(warp::path::tail())
        .and(warp::get())
        .and(calls.clone())
        .and_then(|tail: warp::path::Tail, call: Call| async move {
            let answer = jaeger::answer(&call.app, tail.as_str(), &call.params).await;
            answer.ok_or_else(reject::not_found)
        })
        .boxed()
}

fn transform(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    warp::path!("api" / "transform")
        .and(warp::post())
        .and(calls.clone())
        .and(warp::body::stream())
        .then(|call: Call, body| async move {
            let slot = call.app.body_slot().await;
            let body = match &slot {
                Ok(_) => read(&call, body).await,
                Err(fault) => Err(fault.clone()),
            };
            jaeger::transform(&call.app, body).await
        })
        .boxed()
}

fn metrics(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    warp::path!("metrics")
        .and(warp::get())
        .and(calls.clone())
        .then(|call: Call| async move { metrics::answer(&call.app, &call.headers).await })
        .boxed()
}

fn files(calls: &BoxedFilter<(Call,)>) -> BoxedFilter<(Response,)> {
    let form = warp::path!("open")
        .and(warp::get())
        .and(calls.clone())
        .map(|call: Call| {
            let answer = pages::open::form(&call.app, &call.visitor);
            call.page(answer)
        });
    let file = warp::path!("open")
        .and(warp::post())
        .and(calls.clone())
        .and(warp::body::stream())
        .then(|call: Call, body| async move {
            let answer = open(&call, body).await;
            call.page(answer)
        });
    form.or(file).unify().boxed()
}

async fn open<B: Buf>(
    call: &Call,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Response, Fault> {
    let _slot = call.app.body_slot().await?;
    let body = read(call, body).await?;
    pages::open::open(&call.app, &call.visitor, &call.headers, body).await
}

async fn read<B: Buf>(
    call: &Call,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Vec<u8>, Fault> {
    body::read(body, call.app.config.upload_bytes_max, BODY_DEADLINE).await
}
