use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rebuilder_actors::actor::coordinator::{AskError, Gone};
use serde::Serialize;

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
            Self::Asked(text) => (StatusCode::BAD_REQUEST, text).into_response(),
            Self::Absent => StatusCode::NOT_FOUND.into_response(),
            Self::Later(text) => {
                let again = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
                (StatusCode::SERVICE_UNAVAILABLE, again, format!("{text}\n")).into_response()
            }
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
    let text = serde_json::to_vec(value).expect("answers have only text keys and numbers");
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (kind, text).into_response()
}
