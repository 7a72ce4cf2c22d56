//! What the path and the query of a request say, read as the peer reads it.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{self, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;

/// The query, as fields of `T`; unknown names are ignored unless `T` denies them, a name that
/// stands twice is refused.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        serde_urlencoded::from_str(query)
            .map(Self)
            .map_err(|error| Refusal::bad_request(format!("Query deserialize error: {error}")))
    }
}

/// The segments of the path that the route names: `Path<i32>`, `Path<(i32, i32)>`. A number that
/// is none is something that is not there: 404.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match extract::Path::from_request_parts(parts, state).await {
            Ok(extract::Path(segments)) => Ok(Self(segments)),
            Err(PathRejection::FailedToDeserializePathParams(failed)) => {
                Err(refusal(failed.into_kind()))
            }
            // The route has no such segments.
            Err(_) => Err(Refusal::not_found()),
        }
    }
}

fn refusal(kind: ErrorKind) -> Refusal {
    match kind {
        ErrorKind::ParseErrorAtKey { value, expected_type, .. }
        | ErrorKind::ParseErrorAtIndex { value, expected_type, .. }
        | ErrorKind::ParseError { value, expected_type } => Refusal::new(
            StatusCode::NOT_FOUND,
            format!("can not parse {value:?} to a {expected_type}"),
        ),
        ErrorKind::InvalidUtf8InPathParam { .. } => Refusal::bad_request("the path is not UTF-8"),
        _ => Refusal::not_found(),
    }
}
