//! Why a stream ends: errors with what to do, and ends that were asked for.

use std::path::PathBuf;

/// A stream ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// An option that the service does not have, or one that it needs.
    #[error("{0}")]
    Option(String),
    /// The address is none.
    #[error("--url {url:?} is no address of a stream: {hint}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong.
        hint: &'static str,
    },
    /// There is no token where one is needed.
    #[error("{stream} needs a token: set TWEETFLOW_TOKEN, or name its file by --token-file")]
    NoToken {
        /// The service.
        stream: &'static str,
    },
    /// The file of the token.
    #[error("the token cannot be read from {}; check --token-file", .path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The token's text.
    #[error("the token is not one line of printable characters; copy it once more")]
    Token,
    /// The certificates of `--ca`.
    #[error("there are no certificates in {}; --ca names a file in PEM form", .path.display())]
    Ca {
        /// The file.
        path: PathBuf,
    },
    /// The file of `--rules`.
    #[error("{}: {what}; check --rules", .path.display())]
    Rules {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file of `--record`.
    #[error("cannot write {}; check --record", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// 401.
    #[error("{server} does not accept the token (401{detail}); make a new one")]
    Unauthorized {
        /// Who said so.
        server: String,
        /// The server's words.
        detail: String,
    },
    /// 403.
    #[error("{server} refuses this account (403{detail}); {hint}")]
    Forbidden {
        /// Who said so.
        server: String,
        /// The server's words.
        detail: String,
        /// What to do.
        hint: &'static str,
    },
    /// 409 on the filtered stream.
    #[error("{server} has no rules for this account (409); give some by --rules FILE")]
    NoRules {
        /// Who said so.
        server: String,
    },
    /// A rule that the server refuses.
    #[error("{server} refuses the rule {rule:?}: {detail}")]
    BadRule {
        /// Who said so.
        server: String,
        /// The rule.
        rule: String,
        /// The server's words.
        detail: String,
    },
    /// Any other refusal that no waiting cures.
    #[error("{server} refuses the request ({status}{detail}); check --url and the options")]
    Refused {
        /// Who said so.
        server: String,
        /// The status of HTTP.
        status: u16,
        /// The server's words.
        detail: String,
    },
    /// The server has no live feed for this account.
    #[error("{server} gives no live posts: {detail}; choose another server or timeline")]
    NotLive {
        /// Who said so.
        server: String,
        /// What it says of itself.
        detail: String,
    },
    /// 402.
    #[error("the credits of this account are used up (402{detail}); buy some, then start again")]
    Credits {
        /// The server's words.
        detail: String,
    },
    /// The month's posts are used.
    #[error(
        "the month's posts of this account are used up{detail}; waiting does not help before \
         the next month"
    )]
    UsageCap {
        /// The server's words.
        detail: String,
    },
    /// A question that must be answered before the stream is followed.
    #[error("{reason}; try again later")]
    Unanswered {
        /// What happened.
        reason: String,
    },
    /// `--give-up`.
    #[error("no data for {tried} (--give-up): {reason}")]
    GaveUp {
        /// How long, for people.
        tried: String,
        /// The last failure.
        reason: String,
    },
    /// The operating system.
    #[error("{doing} failed")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl StreamError {
    /// 2 for what only the operator can cure, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Option(_)
            | Self::Url { .. }
            | Self::NoToken { .. }
            | Self::TokenFile { .. }
            | Self::Token
            | Self::Ca { .. }
            | Self::Rules { .. }
            | Self::Record { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NoRules { .. }
            | Self::BadRule { .. }
            | Self::Refused { .. }
            | Self::NotLive { .. } => 2,
            Self::Credits { .. }
            | Self::UsageCap { .. }
            | Self::Unanswered { .. }
            | Self::GaveUp { .. }
            | Self::System { .. } => 1,
        }
    }
}

/// Why a stream ended without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The receiver has enough, or a signal came.
    Stopped,
    /// `--for`.
    TimeIsUp,
    /// `--max-posts` or `--max-dollars`, in words.
    Cap(String),
    /// `--stop-on`, with the status.
    StatusOf(u16),
}
