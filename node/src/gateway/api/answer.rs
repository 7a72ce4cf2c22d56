use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rebuilder_actors::actor::coordinator::{AskError, Gone};
use serde::Serialize;

use super::super::{Json, Refusal};

/// Why there is no answer to a question.
#[derive(Debug)]
pub(super) enum Failure {
    /// The question cannot be understood; in words that name the field.
    Asked(String),
    /// There is no such thing.
    Absent,
    /// The coordinator is being started again, or reads its store.
    Later(String),
    /// Something of ours is broken; it was logged.
    Broken(String),
}

/// An answer, or why there is none.
pub(super) type Answer = Result<Response, Failure>;

impl From<Gone> for Failure {
    fn from(gone: Gone) -> Self {
        Self::Later(gone.to_string())
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Gone(gone) => gone.into(),
            AskError::Filter(error) => Self::Asked(error.to_string()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Asked(text) => Refusal::bad_request(text).into_response(),
            Self::Absent => Refusal::not_found().into_response(),
            Self::Later(text) => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n"))
                .with(header::RETRY_AFTER, HeaderValue::from_static("5"))
                .into_response(),
            Self::Broken(text) => {
                tracing::warn!(target: "rebuilder", "not answered over HTTP: {text}");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the data directory of this rebuilder is damaged\n",
                )
                    .into_response()
            }
        }
    }
}

/// A value as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Response {
    Json(value).into_response()
}
