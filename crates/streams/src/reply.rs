//! What a server's answer means: from the status, the headers and the body of a reply, or from a
//! notice within the stream, to a [`Trouble`].
//!
//! The body is read before anything is waited for: a used-up month and one connection too many are
//! both 429. Problems are matched by the last segment of their `type`: both `api.x.com` and
//! `api.twitter.com` occur before it. Texts of the server are shortened and without control
//! characters.

use crate::backoff::Failure;
use crate::error::StreamError;
use serde_json::Value;
use std::time::Duration;

/// A reply that is no stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    /// Who answered, for people.
    pub(crate) server: String,
    /// The status of HTTP.
    pub(crate) status: u16,
    /// `Retry-After` or `x-rate-limit-reset`, from now on.
    pub(crate) told: Option<Duration>,
    /// The body, or its beginning.
    pub(crate) body: Vec<u8>,
}

/// Why a connection did not begin or go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is tried again after a wait.
    Passing {
        /// How long to wait.
        failure: Failure,
        /// What happened, in words.
        reason: String,
        /// For metrics: one word.
        label: &'static str,
    },
    /// The account has as many connections as it may have.
    TooManyConnections {
        /// What the server says.
        reason: String,
    },
    /// The server no longer has what the cursor names.
    CursorTooOld {
        /// What the server says.
        reason: String,
    },
    /// Waiting does not help.
    Final(StreamError),
}

impl Trouble {
    /// The network, or the server by closing.
    pub(crate) fn network(label: &'static str, reason: impl Into<String>) -> Self {
        Self::Passing { failure: Failure::Network, reason: reason.into(), label }
    }

    /// The error of a question that is asked once.
    pub(crate) fn unanswered(self) -> StreamError {
        match self {
            Self::Final(error) => error,
            passing => StreamError::Unanswered { reason: passing.reason() },
        }
    }

    /// What happened, in words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Passing { reason, .. }
            | Self::TooManyConnections { reason }
            | Self::CursorTooOld { reason } => reason.clone(),
            Self::Final(error) => error.to_string(),
        }
    }
}

/// The problem of a body: the last segment of its type, and its words.
struct Problem {
    kind: String,
    detail: String,
}

/// What a reply means that is not the stream.
pub(crate) fn classify(reply: Reply) -> Trouble {
    let problem = problem(&reply.body);
    let Reply { server, status, told, .. } = reply;
    let detail = match problem.detail.as_str() {
        "" => String::new(),
        detail => format!(": {detail}"),
    };
    let passing = |failure, label| {
        let reason = format!("{server} answered {status}{detail}");
        Trouble::Passing { failure, reason, label }
    };
    let final_error = match (status, problem.kind.as_str()) {
        (_, "UsageCapExceeded" | "usage-capped") => StreamError::UsageCap { detail },
        (402, _) | (_, "CreditsDepleted") => StreamError::Credits { detail },
        (429, "ConnectionException") | (_, "TooManyConnections") => {
            let reason = format!("{server} has a connection of this account already{detail}");
            return Trouble::TooManyConnections { reason };
        }
        (400, "CursorTooOld") => {
            let reason = format!("{server} no longer has events from this cursor on{detail}");
            return Trouble::CursorTooOld { reason };
        }
        (420, _) => return passing(Failure::Rate(told), "420"),
        (429, _) => return passing(Failure::Rate(told), "429"),
        (408 | 500.., _) => return passing(Failure::Server(told), "server-error"),
        // A proxy or a page in the way: as if the server had failed.
        (200..=299, _) => return passing(Failure::Server(None), "no-stream"),
        (401, _) => StreamError::Unauthorized { server, detail },
        (403, _) => {
            let hint = match problem.kind.as_str() {
                "client-forbidden" => "the app must be in a project of the developer console",
                "unsupported-authentication" => "use the app's bearer token",
                _ => "it may lack a right, or the service's plan does not include this stream",
            };
            StreamError::Forbidden { server, detail, hint }
        }
        (409, _) => StreamError::NoRules { server },
        _ => StreamError::Refused { server, status, detail },
    };
    Trouble::Final(final_error)
}

/// What a message within a stream means, if it ends it: `{"errors":[…]}` of the second API,
/// `{"disconnect":…}` of the first.
pub(crate) fn notice(message: &[u8]) -> Option<Trouble> {
    // Cheap for the messages that are none.
    let start = message.get(..message.len().min(64))?;
    let may_be = [&b"\"errors\""[..], b"\"disconnect\"", b"\"title\"", b"\"type\""];
    if !may_be.iter().any(|name| start.windows(name.len()).any(|bytes| bytes == *name)) {
        return None;
    }
    let value: Value = serde_json::from_slice(message).ok()?;
    if value.get("data").is_some() || value.get("id").is_some() {
        return None;
    }
    let Problem { kind, detail } = problem(message);
    let operational = value["errors"].as_array().into_iter().flatten().chain([&value]);
    let is_operational = operational.into_iter().any(|error| {
        error["disconnect_type"].is_string() || error["title"] == "operational-disconnect"
    });
    if let Some(disconnect) = value.get("disconnect").filter(|it| it.is_object()) {
        let cause = words(&disconnect["reason"]);
        let reason = format!("the server says that it ends the connection: {cause}");
        return Some(match disconnect["code"].as_u64() {
            // Of the first API: one account has one connection.
            Some(2 | 7) => Trouble::TooManyConnections { reason },
            _ => Trouble::network("disconnect", reason),
        });
    }
    match kind.as_str() {
        "UsageCapExceeded" | "usage-capped" => {
            let detail = format!(": {detail}");
            Some(Trouble::Final(StreamError::UsageCap { detail }))
        }
        "CreditsDepleted" => {
            let detail = format!(": {detail}");
            Some(Trouble::Final(StreamError::Credits { detail }))
        }
        "ConnectionException" | "TooManyConnections" => {
            Some(Trouble::TooManyConnections { reason: detail })
        }
        _ if is_operational => {
            let reason = format!("the server says that it ends the connection: {detail}");
            Some(Trouble::network("disconnect", reason))
        }
        _ => None,
    }
}

/// The problem that a body describes, in any of the forms in use.
fn problem(body: &[u8]) -> Problem {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let is_html = body.trim_ascii_start().first() == Some(&b'<');
        let detail = if is_html { "a page of HTML".to_owned() } else { String::new() };
        return Problem { kind: String::new(), detail };
    };
    // An envelope of several: the first one has the say.
    let inner = value["errors"].get(0).unwrap_or(&value);
    let text = |name: &str| inner[name].as_str().or_else(|| value[name].as_str());
    let kind = text("type").and_then(|kind| kind.rsplit('/').next()).unwrap_or_default();
    // Bluesky names it `error`; X has more exact words beside the type.
    let exact = ["connection_issue", "error", "title"].into_iter().filter_map(text);
    let mut exact = exact.filter(|exact| {
        ["TooManyConnections", "UsageCapExceeded", "CreditsDepleted", "CursorTooOld"]
            .contains(exact)
    });
    let kind = exact.next().unwrap_or(kind).to_owned();
    let detail = ["detail", "message", "error_description", "error", "title"];
    let detail = detail.into_iter().find_map(text).map(plain).unwrap_or_default();
    Problem { kind, detail }
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| "no reason given".to_owned(), plain)
}

/// The server's words on one line, and not too many of them.
fn plain(text: &str) -> String {
    let text: String =
        text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
