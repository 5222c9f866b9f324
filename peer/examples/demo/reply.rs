//! Refusals: a status and a sentence that says what was wrong.

use axum::Json;
use axum::extract::rejection::{BytesRejection, StringRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tincan_peer::driver::DriverError;

/// A 4xx or 5xx with its reason.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }

    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl From<DriverError> for Refusal {
    fn from(error: DriverError) -> Self {
        let status = match &error {
            DriverError::Connection(_) => StatusCode::BAD_REQUEST,
            DriverError::PeerClosed => StatusCode::GONE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(
            rejection.status(),
            format!("The body can't be taken: {}.", rejection.body_text()),
        )
    }
}

impl From<StringRejection> for Refusal {
    fn from(rejection: StringRejection) -> Self {
        Self::new(
            rejection.status(),
            format!("The body can't be taken: {}.", rejection.body_text()),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (
            self.status,
            Json(serde_json::json!({ "error": self.reason })),
        )
            .into_response()
    }
}
