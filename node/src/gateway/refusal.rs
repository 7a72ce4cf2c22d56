use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// An answer to a request that is wrong: a status, and a text that says why, as the peer's clients
/// show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    /// Empty: no body, and no type of one.
    text: Cow<'static, str>,
    /// What the answer has besides; `None`: nothing.
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// With the text `why`, which may be empty.
    pub fn new(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: why.into(), header: None }
    }

    /// With this header too.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The request makes no sense.
    pub(super) fn bad_request(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// There is no such thing, as the peer says it.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = match self.text {
            text if text.is_empty() => self.status.into_response(),
            // A text of axum's has the type `text/plain; charset=utf-8`.
            text => (self.status, text).into_response(),
        };
        answer.headers_mut().extend(self.header);
        answer
    }
}
