//! Answers: pages, JSON, redirects, and errors as either.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use slog::{Logger, error};
use warp::reply::{Reply, Response};

use crate::{
    fault::Fault,
    views::{Shell, Views},
    visitor::Visitor,
};

/// A page.
pub(crate) fn html(status: StatusCode, text: String) -> Response {
    let mut response = warp::reply::html(text).into_response();
    *response.status_mut() = status;
    // Light and dark are written by the server.
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("cookie"));
    response
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = warp::reply::json(value).into_response();
    // Serialization fails only for types that are not JSON, which is a fault of ours and has its own status.
    if response.status().is_success() {
        *response.status_mut() = status;
    }
    response
}

/// A JSON document that is written already.
pub(crate) fn json_text(text: String) -> Response {
    let mut response = text.into_response();
    as_json(&mut response);
    response
}

/// Says that an answer is JSON.
pub(crate) fn as_json(response: &mut Response) {
    as_type(response, "application/json");
}

/// Says of what type an answer is.
pub(crate) fn as_type(response: &mut Response, content_type: &'static str) {
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
}

/// Says that an answer is to be saved in a file; the name must be plain ASCII without quotes.
pub(crate) fn as_file(response: &mut Response, name: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, value);
    }
}

/// On to another page, by GET.
pub(crate) fn see_other(address: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // Addresses of ours are percent-encoded, so they are always a valid header.
    let location = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// A fault as a page.
pub(crate) fn fault_page(
    views: &Views,
    visitor: &Visitor,
    log: &Logger,
    fault: &Fault,
) -> Response {
    report(log, fault);
    let shell = Shell {
        title: fault.title(),
        section: "",
        refresh_s: None,
    };
    let view = serde_json::json!({
        "status": fault.status().as_u16(),
        "heading": fault.title(),
        "message": fault.message(),
        "advice": fault.advice(),
        "again": fault.retry_after_s().is_some(),
    });
    let response = match views.page("notice.html", &shell, visitor, &view) {
        Ok(page) => html(fault.status(), page),
        // The template of the error page itself is wrong, which a test excludes.
        Err(_) => {
            warp::reply::with_status(fault.message().to_owned(), fault.status()).into_response()
        }
    };
    with_retry_after(response, fault)
}

/// A fault as JSON.
pub(crate) fn fault_json(log: &Logger, fault: &Fault) -> Response {
    let body = serde_json::json!({
        "error": {
            "status": fault.status().as_u16(),
            "message": fault.message(),
            "advice": fault.advice(),
        }
    });
    fault_as(log, fault, &body)
}

/// A fault in a document of its own shape.
pub(crate) fn fault_as(log: &Logger, fault: &Fault, body: &serde_json::Value) -> Response {
    report(log, fault);
    with_retry_after(json(fault.status(), body), fault)
}

fn with_retry_after(mut response: Response, fault: &Fault) -> Response {
    if let Some(seconds) = fault.retry_after_s() {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn report(log: &Logger, fault: &Fault) {
    if fault.status() == StatusCode::INTERNAL_SERVER_ERROR {
        error!(log, "a page failed"; "reason" => fault.message());
    }
}
