//! Pages of other sites may read what is served, where the operator wants it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

/// Seconds for which a browser need not ask again; browsers take less.
const MAX_AGE: &str = "86400";
/// All methods that any path has.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";

/// True for the question of a browser whether a page may ask something.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to it: yes. A page sends the admin cookie only if it was given it, as no browser
/// keeps that header.
pub(super) fn preflight() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    permit(&mut answer);
    answer
}

/// Lets every page read `answer`, without what a browser would add of its own (credentials).
pub(super) fn permit(answer: &mut Response<Body>) {
    let any = HeaderValue::from_static("*");
    answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    answer.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, any);
}
