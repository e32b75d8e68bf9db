//! What went wrong, for programs: RFC 9457 problem documents with a stable `code`. One table of what gives which status.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::access::{AccessError, Refused};
use crate::service::control::ControlError;
use crate::store::StoreError;

/// A problem document (RFC 9457, section 3).
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Where this kind of problem is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, the same text each time.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Stable name for programs.
    pub code: &'static str,
    /// What happened, what it means for the recording, what to do.
    pub detail: String,
    /// The field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The permission that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_permission: Option<&'static str>,
    /// Seconds to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// Of a stale edit: what is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub current: Option<Box<Value>>,
    /// Of a stale edit: what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub yours: Option<Box<Value>>,
    /// Of what is on another node: on which.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OnNode>)]
    pub on_node: Option<Box<OnNode>>,
}

/// A node that has what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct OnNode {
    /// Its id.
    pub id: String,
    /// Its name; empty if unknown.
    pub name: String,
    /// Where it is reached, `host:port`; none if unknown.
    pub addresses: Vec<String>,
}

impl Problem {
    /// A problem of this status, with a stable code, a title and a sentence.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/help#{code}"),
            title,
            status: status.as_u16(),
            code,
            detail: detail.into(),
            field: None,
            missing_permission: None,
            retry_after_seconds: None,
            current: None,
            yours: None,
            on_node: None,
        }
    }

    /// Nobody knows who asks.
    pub fn unauthenticated() -> Self {
        let detail = "Log in, or send a token as `Authorization: Bearer …`. Recording is not touched.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Not logged in", detail)
    }

    /// There is no such thing, or it is not for them to see.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", format!("There is no such {what} here."))
    }

    /// A value that cannot be, by field.
    pub fn unprocessable(field: &str, why: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", "A value cannot be used", why);
        Self { field: Some(field.to_owned()), ..problem }
    }

    /// It cannot be at present.
    pub fn conflict(why: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Not possible now", why)
    }

    /// Someone else changed it meanwhile.
    pub fn stale(current: Value, yours: Value) -> Self {
        let detail = "Someone changed this after you opened it. Nothing was written: compare and send again with the current version.";
        let problem = Self::new(StatusCode::CONFLICT, "stale_edit", "Changed meanwhile", detail);
        Self { current: Some(Box::new(current)), yours: Some(Box::new(yours)), ..problem }
    }

    /// A bug, or the machine's doing. The reason goes to the log, not to the caller.
    pub fn internal(why: &str) -> Self {
        tracing::error!(why, "a request failed");
        let detail = "The node could not do this; its log says why. Recording is not touched.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The node failed", detail)
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if self.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::unauthenticated(),
            Refused::Forbidden(permission) => {
                let detail =
                    format!("This needs the permission {permission}. Ask whoever runs this system to give it to you.");
                let problem = Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail);
                Self { missing_permission: Some(permission.name()), ..problem }
            }
            Refused::NotFound => Self::not_found("thing"),
            Refused::NotThemself => {
                Self::new(StatusCode::FORBIDDEN, "person_needed", "A person is needed", refused.to_string() + ".")
            }
            Refused::PasswordIsGiven => {
                let detail =
                    "Your password was given to you: choose one of your own first (PUT /api/v1/auth/password).";
                Self::new(StatusCode::FORBIDDEN, "password_change_needed", "Choose a password", detail)
            }
            Refused::Wrong => {
                let detail = "What you typed is not right. Recording is not touched.";
                Self::new(StatusCode::UNAUTHORIZED, "wrong_password", "Not logged in", detail)
            }
            Refused::Wait { seconds } => {
                let detail = format!("Too many tries. Wait {seconds} s and try again. Recording is not touched.");
                let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "wait", "Too many tries", detail);
                Self { retry_after_seconds: Some(seconds), ..problem }
            }
            Refused::Store(error) => error.into(),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let told = error.to_string();
        match error {
            AccessError::Bad { field, why } => Self::unprocessable(field, why),
            AccessError::NotFound => Self::not_found("thing"),
            AccessError::Taken | AccessError::NobodyLeft => Self::conflict(told),
            AccessError::OwnersOnly => Self::new(StatusCode::FORBIDDEN, "owners_only", "Not allowed", told),
            AccessError::Refused(refused) => refused.into(),
            AccessError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let told = error.to_string();
        match error {
            StoreError::Full(_) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", "No room on the disk", told)
            }
            StoreError::Busy => Self {
                retry_after_seconds: Some(1),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", told)
            },
            StoreError::Unusable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "records_unusable", "The records cannot be used", told)
            }
            StoreError::Invalid { field, why } => Self::unprocessable(field, why),
            StoreError::Stale => Self::conflict(told),
            StoreError::Refused(why) => Self::internal(&why),
        }
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let told = error.to_string();
        match error {
            ControlError::NotRunning(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "recorder_down", "The recorder does not answer", told)
            }
            ControlError::NotFound => Self::not_found("recording"),
            ControlError::Impossible(_) => Self::conflict(told),
            ControlError::Invalid { field, text } => Self::unprocessable(field, text),
            ControlError::Failed(why) => Self::internal(&why),
        }
    }
}
