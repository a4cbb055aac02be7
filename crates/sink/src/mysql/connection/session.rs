//! A connection's settings: set, then read back; and which server it is.
//!
//! What SQL text means depends on the session, and a server's defaults may be anything. A proxy may
//! take a `SET` and forget it, so nothing is believed that was not read back. Which variables a
//! server has is asked, not guessed: families and versions differ. Left alone is what needs a right
//! that an account need not have, and what changes no meaning.

use super::Connection;
use crate::{SinkError, sql};
use std::collections::{BTreeMap, BTreeSet};

const DOING: &str = "reading back the session's settings";
/// Strict, so that nothing is cut short or bent in silence. Without `NO_BACKSLASH_ESCAPES`, which
/// changes what a text is, and `ANSI_QUOTES`, which changes what a name is.
const SQL_MODE: &str = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION";
/// No bound on rows: the greatest number, because the default is what the server was told.
const ALL: &str = "18446744073709551615";

/// What each session is set to first, so that the rest can be asked and set. The comments are read
/// as SQL by one kind of server each: without a limit of time, so that a server's own limit does
/// not end the reading of a large table.
pub(in crate::mysql) const SETUP: [&str; 2] = [
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
    "SET SESSION sql_select_limit=18446744073709551615, \
     max_join_size=18446744073709551615, sql_big_selects=1, \
     sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00', wait_timeout=60, \
     autocommit=1/*M!100108 , max_statement_time=0 *//*!80000 , max_execution_time=0 */",
];

/// Each variable that changes what a statement of this program means, or whether it may run, and
/// its value as the server writes it. Those that a server does not have are left out there; those
/// that differ are set in this order.
const SETTINGS: [(&str, &str); 32] = [
    ("sql_mode", SQL_MODE),
    ("time_zone", "+00:00"),
    // What text is on its way, and how it compares.
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("collation_connection", "utf8mb4_bin"),
    // How many rows a SELECT gives, and whether it may. (The first of the two sets the second.)
    ("sql_select_limit", ALL),
    ("max_join_size", ALL),
    ("sql_big_selects", "ON"),
    ("max_sort_length", "1024"),
    ("max_statement_time", "0"),
    ("max_execution_time", "0"),
    ("sql_auto_is_null", "OFF"),
    // Of which moment: a table of MariaDB may keep its history.
    ("system_versioning_asof", "DEFAULT"),
    ("transaction_isolation", "REPEATABLE-READ"),
    ("tx_isolation", "REPEATABLE-READ"),
    // Whether a transaction may write, and what COMMIT begins or ends.
    ("transaction_read_only", "OFF"),
    ("tx_read_only", "OFF"),
    ("autocommit", "ON"),
    ("completion_type", "NO_CHAIN"),
    // What UPDATE, INSERT and DELETE refuse, and what they check.
    ("sql_safe_updates", "OFF"),
    ("foreign_key_checks", "ON"),
    ("unique_checks", "ON"),
    ("check_constraint_checks", "ON"),
    // What DDL of MariaDB means.
    ("sql_if_exists", "OFF"),
    ("old_mode", ""),
    ("system_versioning_alter_history", "ERROR"),
    // A dead client's locks are gone within a minute; a slow one is waited for.
    ("wait_timeout", "60"),
    ("net_read_timeout", "600"),
    ("net_write_timeout", "600"),
    // No wait for a lock is longer than one for an answer.
    ("innodb_lock_wait_timeout", "10"),
    ("lock_wait_timeout", "30"),
];

/// The least `max_allowed_packet` that is worked with: statements are cut at half of it, and no row
/// of a table is as long as the other half.
const LEAST_PACKET: usize = 16 << 10;

/// What the server says of its variables, by name.
type SessionValues = BTreeMap<String, String>;

/// Sets the session, refuses one that does not stay so; else the bytes after which a statement is
/// to be ended.
pub(in crate::mysql) async fn prepare(connection: &mut Connection) -> Result<usize, SinkError> {
    let mut found = read(connection).await?;
    if let Some(statement) = corrections(&found) {
        connection.run("setting the session", statement).await?;
        found = read(connection).await?;
    }
    compare(&found)
}

async fn read(connection: &mut Connection) -> Result<SessionValues, SinkError> {
    let names = SETTINGS.iter().map(|(name, _)| *name).chain(["max_allowed_packet"]);
    let names: Vec<_> = names.map(|name| format!("'{name}'")).collect();
    let names = names.join(", ");
    let sql = format!("SHOW SESSION VARIABLES WHERE Variable_name IN ({names})");
    Ok(connection.all::<(String, String)>(DOING, sql).await?.into_iter().collect())
}

/// The statement that sets what is not as it should be.
fn corrections(found: &SessionValues) -> Option<String> {
    let differs = |(name, wanted): &&(&str, &str)| {
        found.get(*name).is_some_and(|found| !is_same(found, wanted))
    };
    let set = |(name, wanted): &(&str, &str)| {
        let is_word = *wanted == "DEFAULT" || wanted.parse::<u64>().is_ok();
        if is_word { format!("{name}={wanted}") } else { format!("{name}='{wanted}'") }
    };
    let sets: Vec<_> = SETTINGS.iter().filter(differs).map(set).collect();
    (!sets.is_empty()).then(|| format!("SET SESSION {}", sets.join(", ")))
}

fn compare(found: &SessionValues) -> Result<usize, SinkError> {
    for (name, wanted) in SETTINGS {
        if let Some(found) = found.get(name).filter(|found| !is_same(found, wanted)) {
            return Err(SinkError::Session { name, found: found.clone(), wanted });
        }
    }
    // Those that every server has: an answer that lacks them says nothing.
    for (name, wanted) in SETTINGS.iter().filter(|(name, _)| EVERYWHERE.contains(name)) {
        if !found.contains_key(*name) {
            return Err(SinkError::Session { name, found: String::new(), wanted });
        }
    }
    let packet = found.get("max_allowed_packet").and_then(|bytes| bytes.parse().ok());
    let packet = packet.unwrap_or_default();
    if packet < LEAST_PACKET {
        return Err(SinkError::SmallPackets { found: packet, least: LEAST_PACKET });
    }
    Ok((packet / 2).min(sql::STATEMENT_BYTES))
}

/// Variables that both families have in every version.
const EVERYWHERE: [&str; 6] = [
    "sql_mode",
    "time_zone",
    "sql_select_limit",
    "sql_big_selects",
    "completion_type",
    "autocommit",
];

/// Modes are a set: a server may write them in another order. A number may have a fraction.
fn is_same(found: &str, wanted: &str) -> bool {
    let words = |text: &str| text.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    let zero = |text: &str| text.parse::<f64>() == Ok(0.0);
    words(found) == words(wanted) || (zero(found) && zero(wanted))
}

/// Which of the two families a server belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFamily {
    /// MariaDB
    MariaDb,
    /// MySQL
    MySql,
}

/// A server by its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its family.
    pub kind: ServerFamily,
    /// What it says its version is.
    pub version: String,
}

impl Server {
    /// Asks for the version.
    pub(in crate::mysql) async fn of(connection: &mut Connection) -> Result<Self, SinkError> {
        let version = connection.first(DOING, "SELECT VERSION()").await?;
        Ok(Server::from_version(version.unwrap_or_default()))
    }

    fn from_version(version: String) -> Self {
        let kind =
            if version.contains("MariaDB") { ServerFamily::MariaDb } else { ServerFamily::MySql };
        Server { kind, version }
    }

    /// One line for a server that is older than those that are tried.
    pub fn warning(&self) -> Option<String> {
        let mut numbers = self.version.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next().and_then(|text| text.parse().ok()).unwrap_or(0_u32);
        let found = (number(), number());
        let (name, oldest) = match self.kind {
            ServerFamily::MariaDb => ("MariaDB", (10, 11)),
            ServerFamily::MySql => ("MySQL", (8, 4)),
        };
        (found < oldest).then(|| {
            let (version, (major, minor)) = (&self.version, oldest);
            format!(
                "this is {name} {version}; versions before {name} {major}.{minor} are not tested"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{SETTINGS, Server, ServerFamily, SessionValues, compare, corrections};

    #[test]
    fn a_server_is_known_by_its_version() {
        let old = |version: &str| {
            let server = Server::from_version(version.to_owned());
            (server.kind, server.warning().is_some())
        };
        assert_eq!(old("10.11.19-MariaDB-0+deb12u1"), (ServerFamily::MariaDb, false));
        assert_eq!(old("10.6.22-MariaDB-log"), (ServerFamily::MariaDb, true));
        assert_eq!(old("11.8.3-MariaDB"), (ServerFamily::MariaDb, false));
        assert_eq!(old("9.7.4-2"), (ServerFamily::MySql, false));
        assert_eq!(old("8.4.0"), (ServerFamily::MySql, false));
        assert_eq!(old("8.0.45-0ubuntu0.24.04.1"), (ServerFamily::MySql, true));
        assert_eq!(old(""), (ServerFamily::MySql, true));
    }

    /// A server that has everything as it should be, but for these.
    fn found(but: &[(&str, &str)]) -> SessionValues {
        let settings = SETTINGS.into_iter().chain([("max_allowed_packet", "16777216")]);
        let all = settings.chain(but.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_setting_that_did_not_stick_is_refused() {
        let compared =
            |but: &[(&str, &str)]| compare(&found(but)).map_err(|error| error.to_string());
        let mode = "NO_ENGINE_SUBSTITUTION,STRICT_ALL_TABLES";
        assert_eq!(compared(&[("sql_mode", mode)]), Ok(super::sql::STATEMENT_BYTES));
        assert_eq!(compared(&[("max_allowed_packet", "16384")]), Ok(8 << 10));
        for (name, value, says) in [
            ("max_allowed_packet", "1024", "max_allowed_packet is 1024 bytes"),
            ("sql_mode", "ANSI_QUOTES", "ANSI_QUOTES"),
            ("time_zone", "SYSTEM", "time_zone at \"SYSTEM\""),
            ("sql_select_limit", "100", "sql_select_limit at \"100\""),
        ] {
            let error = compared(&[(name, value)]).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let mut lacking = found(&[]);
        lacking.remove("completion_type");
        assert!(compare(&lacking).is_err());
    }

    #[test]
    fn what_differs_is_set_and_what_a_server_lacks_is_not() {
        let mut found = found(&[("max_statement_time", "0.000000"), ("sql_select_limit", "100")]);
        assert_eq!(
            corrections(&found).as_deref(),
            Some("SET SESSION sql_select_limit=18446744073709551615")
        );
        found.remove("sql_select_limit");
        assert_eq!(corrections(&found), None);
        found.insert("system_versioning_asof".to_owned(), "2020-01-01".to_owned());
        found.insert("completion_type".to_owned(), "CHAIN".to_owned());
        assert_eq!(
            corrections(&found).as_deref(),
            Some("SET SESSION system_versioning_asof=DEFAULT, completion_type='NO_CHAIN'")
        );
    }

    #[test]
    fn the_setup_sets_what_is_checked() {
        assert!(super::SETUP[1].contains(&format!("sql_mode='{}'", super::SQL_MODE)));
        assert!(super::SETUP[1].contains(&format!("sql_select_limit={}", super::ALL)));
    }
}
