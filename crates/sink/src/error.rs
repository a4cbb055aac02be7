//! What can go wrong with a database, and what each fault means.
//!
//! One function classifies ([`SinkError::is_transient`]), with the reason beside each code.

use types::fault::Fault;
use types::transaction::Position;

/// What to do about tables that are beyond repair.
const AGAIN: &str = "`run --rebuild` counts the topic again (a file of tables: begin a new one)";

/// A fault of a sink.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The address of the database is no address.
    #[error(
        "--database is not an address: {reason}; write mysql://user@host:3306/database or sqlite:FILE"
    )]
    Url {
        /// What is wrong with it. Never the address itself, it may hold a password.
        reason: String,
    },
    /// The file of tables does not open.
    #[error(
        "cannot open {} as a file of tables; is its folder there and writable, and is it one?",
        .path.display()
    )]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The library's words.
        source: rusqlite::Error,
    },
    /// There is no file of tables.
    #[error(
        "there is no file of tables at {}: no job has written one; check --database", .path.display()
    )]
    NoFile {
        /// Where it was looked for.
        path: std::path::PathBuf,
    },
    /// Another process works on the same file.
    #[error("another process works on {}; stop it first, or use another file", .path.display())]
    HeldFile {
        /// The file.
        path: std::path::PathBuf,
    },
    /// SQLite answered with an error.
    #[error("the file of tables failed while {doing}: {message}")]
    Sqlite {
        /// What was going on.
        doing: &'static str,
        /// The class of the error, where it is one of SQLite's.
        code: Option<rusqlite::ErrorCode>,
        /// The library's words.
        message: String,
    },
    /// No connection came about.
    #[error("cannot reach the database at {address}; is it running, and is --database right?")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The driver's words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The account wants to sign in in a way that this program does not know.
    #[error(
        "the database asks for a way to sign in that this program does not know: {reason}; use an \
         account with a password by caching_sha2_password, mysql_native_password or ed25519"
    )]
    SignIn {
        /// The driver's words.
        reason: String,
    },
    /// The connection was lost, or an answer did not come in time.
    #[error("the connection to the database was lost while {doing}")]
    Lost {
        /// What was going on.
        doing: &'static str,
        /// The driver's words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server answered with an error.
    #[error("the database refused while {doing}: {message} (error {code}){}", hint(*code))]
    Server {
        /// What was going on.
        doing: &'static str,
        /// The server's error number.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// Another process has taken over, or the server went back to an older state.
    #[error(
        "the tables are at generation {} commit {}{}, this process is at generation {} commit {}: \
         another process has taken over, or the server lost commits; start again to go on from \
         what is stored", .found.generation, .found.commit_no,
        if .found.writer == .ours.writer { "" } else { " by another process" },
        .ours.generation, .ours.commit_no
    )]
    Fenced {
        /// What this process had committed.
        ours: Position,
        /// What is stored.
        found: Position,
    },
    /// The compare-and-set did not find its row; [`super::Sink::position`] tells why.
    #[error("the commit did not find generation {} commit {}", .0.generation, .0.commit_no)]
    Outdated(Position),
    /// Another process is alive and holds the job.
    #[error(
        "another process holds job {job:?} in this database (connection {holder}); stop it first, \
         or choose another --job and database"
    )]
    Held {
        /// The job's name.
        job: String,
        /// The server's number of the other connection.
        holder: u64,
    },
    /// The rows mean something else than this configuration would make of them.
    #[error(
        "the tables were made with other settings: {}; give the stored settings again, or run once \
         with --rebuild, which counts the topic again (with --files or sqlite: into another database \
         or --table-prefix)",
        super::fingerprint::differences(.stored, .now)
    )]
    Fingerprint {
        /// What is stored.
        stored: String,
        /// What this start asks for.
        now: String,
    },
    /// Nothing was ever committed under that name.
    #[error("there is no job {job:?} in this database; check --job, --table-prefix and --database")]
    NoJob {
        /// The job's name.
        job: String,
    },
    /// The database has no such table.
    #[error("there is no table {table} in this database; check --table-prefix and --database")]
    NoTable {
        /// The table's name, with its prefix.
        table: String,
    },
    /// The tables are those of another job.
    #[error(
        "the tables belong to job {other:?}, its row is in {table}; start it with --job {other}, or \
         choose another --table-prefix or database for job {job:?}"
    )]
    OtherJob {
        /// The table that says so.
        table: String,
        /// The job of this start.
        job: String,
        /// The job that is stored.
        other: String,
    },
    /// The server gave back fewer rows of a table than it counts, or more.
    #[error(
        "the database gave {rows} rows of table {table} and counts {stored}; connect to the server \
         itself: a proxy between may cut answers short"
    )]
    Incomplete {
        /// The table's name.
        table: String,
        /// Rows that came.
        rows: u64,
        /// Rows that it counts at the same moment.
        stored: u64,
    },
    /// A table of that name exists and is not ours.
    #[error("table {table} is not as this program makes it: {difference}; {fix}")]
    Foreign {
        /// The table's name.
        table: String,
        /// What differs.
        difference: String,
        /// The statement, or what else to do.
        fix: String,
    },
    /// A session's setting is not as it was set.
    #[error(
        "the database keeps {name} at {found:?} although it was set to {wanted:?}; connect to the \
         server itself: a proxy between may not pass settings on"
    )]
    Session {
        /// The variable.
        name: &'static str,
        /// What was read back.
        found: String,
        /// What it was set to.
        wanted: &'static str,
    },
    /// The server takes less at a time than a row may need.
    #[error(
        "the database's max_allowed_packet is {found} bytes; set it to {least} or more (16 MiB is \
         usual)"
    )]
    SmallPackets {
        /// The server's value, in bytes.
        found: usize,
        /// The least that is worked with, in bytes.
        least: usize,
    },
    /// What was counted takes a number below zero.
    #[error(
        "the tables are not what was counted from the topic: {row} would follow; were they changed \
         by hand, or did the topic lose records? {AGAIN}"
    )]
    Impossible {
        /// The table and the row.
        row: String,
    },
    /// A stored row has no meaning.
    #[error("no job of this program writes such a row: {row}; was it changed by hand? {AGAIN}")]
    Unreadable {
        /// The table and the row.
        row: String,
    },
    /// A rebuild would drop what is not this program's.
    #[error(
        "--rebuild replaces the tables and would drop with them: {list}; nothing was changed: drop \
         these yourself, and make them again afterwards"
    )]
    Attached {
        /// What and of which table.
        list: String,
    },
    /// The process was to stop, and the database did not answer.
    #[error(
        "stopped while the database did not answer; what was read and not committed is read again \
         at the next start"
    )]
    Stopped,
    /// The process was to stop before anything was read.
    #[error("stopped before the tables were read")]
    StoppedAtStart,
    /// A test or a bug ended the sink.
    #[error("the sink is gone: {0}")]
    Gone(&'static str),
}

impl SinkError {
    /// Whether a commit that failed so may have been applied nevertheless.
    pub fn leaves_doubt(&self) -> bool {
        !matches!(self, SinkError::Outdated(_) | SinkError::Unreachable { .. })
    }
}

impl Fault for SinkError {
    /// Whether the attempt may succeed on a new connection.
    fn is_transient(&self) -> bool {
        match self {
            SinkError::Unreachable { .. }
            | SinkError::Lost { .. }
            | SinkError::Outdated(_)
            // Too many files open, or its folder is away for a while.
            | SinkError::File { .. } => true,
            SinkError::Server { code, .. } => is_transient_code(*code),
            SinkError::Sqlite { code: Some(code), .. } => is_transient_class(*code),
            _ => false,
        }
    }

    fn is_config_error(&self) -> bool {
        match self {
            SinkError::Url { .. }
            | SinkError::Fingerprint { .. }
            | SinkError::Foreign { .. }
            | SinkError::NoJob { .. }
            | SinkError::NoTable { .. }
            | SinkError::NoFile { .. }
            | SinkError::OtherJob { .. }
            | SinkError::Attached { .. }
            | SinkError::Incomplete { .. }
            | SinkError::SignIn { .. }
            | SinkError::SmallPackets { .. }
            | SinkError::File { .. }
            | SinkError::Session { .. } => true,
            SinkError::Server { code, .. } => is_config_code(*code),
            _ => false,
        }
    }
}

/// The codes that no restart cures: the account, its rights, or the database are not as named.
#[allow(clippy::match_same_arms, reason = "one reason a line")]
fn is_config_code(code: u16) -> bool {
    match code {
        // No right to the database, table, column or statement.
        1044 | 1142 | 1143 | 1227 => true,
        // Wrong user, password or host, or no such way to authenticate.
        1045 | 1130 | 1251 | 1524 | 1698 => true,
        // The account is locked (MySQL, MariaDB), or its password has expired.
        3118 | 4151 | 1820 | 1862 => true,
        // The server insists on TLS.
        3159 => true,
        // No such database.
        1049 => true,
        _ => false,
    }
}

/// The codes after which the same transaction may well succeed on a new connection.
#[allow(clippy::match_same_arms, reason = "one reason a line")]
fn is_transient_code(code: u16) -> bool {
    match code {
        // Too many connections, or too many of this account: others will go.
        1040 | 1203 | 1226 => true,
        // The server is shutting down, or an administrator killed the connection or statement.
        1053 | 1317 | 1927 | 3169 => true,
        // A limit of time on statements (MariaDB, MySQL): a busy moment may have been the reason.
        1969 | 3024 => true,
        // Lock wait timed out: the statement was rolled back, the transaction was not.
        1205 => true,
        // Deadlock: the whole transaction was rolled back.
        1213 => true,
        // Newer MariaDB: the row changed since the transaction's snapshot; rolled back.
        1020 => true,
        // Disk full, table full, cannot write the log: an administrator frees space.
        // 1030: the storage engine's own error, which is mostly that; 1878: no temporary file.
        1021 | 1026 | 1030 | 1114 | 1878 | 3 | 20 | 28 => true,
        // Read-only or offline for a while: a switch to another primary.
        1290 | 1792 | 1836 | 3032 => true,
        // A cluster (Galera, group replication) that is joining, or that rejected the transaction.
        1047 | 1180 | 3100 | 3101 => true,
        // The connection broke while the server read or wrote.
        1152 | 1158..=1161 | 1184 => true,
        // Idle for longer than the server waits (4031), or a proxy closed the connection.
        2006 | 2013 | 4031 => true,
        _ => false,
    }
}

/// The classes of SQLite's errors after which the same transaction may well succeed.
#[allow(clippy::match_same_arms, reason = "one reason a line")]
fn is_transient_class(code: rusqlite::ErrorCode) -> bool {
    use rusqlite::ErrorCode as Code;
    match code {
        // Another process writes, or holds what a write needs.
        Code::DatabaseBusy | Code::DatabaseLocked => true,
        // A full disk, a disk that fails for a while, a folder that is read-only for a while: an
        // administrator mends it.
        Code::DiskFull | Code::SystemIoFailure | Code::ReadOnly | Code::CannotOpen => true,
        _ => false,
    }
}

/// What to do about a server's error.
fn hint(code: u16) -> &'static str {
    match code {
        1044 | 1142 | 1143 | 1227 => {
            "; `tweetflow schema` prints the tables and the rights that the account needs"
        }
        1045 | 1698 => {
            "; check the user and the password of --database (?require_ssl=true if the account asks \
             for TLS)"
        }
        1049 => "; create the database first, or correct its name in --database",
        3159 => "; add ?require_ssl=true to --database",
        1820 | 1862 => "; give the account a new password",
        1290 | 1792 | 1836 => "; the server is read-only: write to its primary, or lift read_only",
        1153 => "; raise max_allowed_packet",
        1114 | 1021 => "; free some disk space",
        _ => "",
    }
}
