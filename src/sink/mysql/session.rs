//! A connection's settings: set, then read back; and which server it is.
//!
//! What SQL text means hangs on the session, and a server's defaults may be anything. A proxy may
//! take a `SET` and forget it, so nothing is believed that was not read back.

use super::{SinkError, first, sql};
use mysql_async::Conn;
use std::collections::BTreeSet;

const DOING: &str = "reading back the session's settings";
/// Strict, so that nothing is cut short or bent in silence. Without `NO_BACKSLASH_ESCAPES`, which
/// changes what a text is, and `ANSI_QUOTES`, which changes what a name is.
const SQL_MODE: &str = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION";

/// What each session is set to. A dead client's locks are gone within a minute. The comments are
/// read as SQL by one kind of server each: without a limit of time, so that a server's own limit
/// does not end the reading of a large table.
pub(super) const SETUP: [&str; 3] = [
    "SET NAMES utf8mb4",
    "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00', \
     wait_timeout=60, innodb_lock_wait_timeout=10, autocommit=1\
     /*M!100108 , max_statement_time=0 *//*!80000 , max_execution_time=0 */",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
];

/// What was read back, in the order of the query below.
type Settings = (String, String, String, String, String, String, String, usize);

/// The least `max_allowed_packet` that is worked with: statements are cut at half of it, and no row
/// of a table is as long as the other half.
const LEAST_PACKET: usize = 16 << 10;

/// Refuses a session that is not as [`SETUP`] has set it; else the bytes after which a statement is
/// to be ended.
pub(super) async fn check(connection: &mut Conn) -> Result<usize, SinkError> {
    let sql = "SELECT @@SESSION.sql_mode, @@SESSION.time_zone, @@SESSION.character_set_client, \
        @@SESSION.character_set_connection, @@SESSION.wait_timeout, \
        @@SESSION.innodb_lock_wait_timeout, @@SESSION.autocommit, \
        @@SESSION.max_allowed_packet";
    let found: Option<Settings> = first(connection, DOING, sql.to_owned()).await?;
    compare(found.unwrap_or_default())
}

fn compare(found: Settings) -> Result<usize, SinkError> {
    let (mode, zone, client, text, wait, lock_wait, autocommit, packet) = found;
    let settings = [
        ("sql_mode", mode, SQL_MODE),
        ("time_zone", zone, "+00:00"),
        ("character_set_client", client, "utf8mb4"),
        ("character_set_connection", text, "utf8mb4"),
        ("wait_timeout", wait, "60"),
        ("innodb_lock_wait_timeout", lock_wait, "10"),
        ("autocommit", autocommit, "1"),
    ];
    for (name, found, wanted) in settings {
        if words(&found) != words(wanted) {
            return Err(SinkError::Session { name, found, wanted });
        }
    }
    if packet < LEAST_PACKET {
        return Err(SinkError::SmallPackets { found: packet, least: LEAST_PACKET });
    }
    Ok((packet / 2).min(sql::STATEMENT_BYTES))
}

/// Modes are a set: a server may write them in another order.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(',').collect()
}

/// Which of the two families a server belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// MariaDB
    #[value(name = "mariadb")]
    MariaDb,
    /// MySQL
    #[value(name = "mysql")]
    MySql,
}

/// A server by its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its family.
    pub kind: Kind,
    /// What it says its version is.
    pub version: String,
}

impl Server {
    /// Asks for the version.
    pub(super) async fn of(connection: &mut Conn) -> Result<Self, SinkError> {
        let version = first(connection, DOING, "SELECT VERSION()".to_owned()).await?;
        Ok(Server::from_version(version.unwrap_or_default()))
    }

    fn from_version(version: String) -> Self {
        let kind = if version.contains("MariaDB") { Kind::MariaDb } else { Kind::MySql };
        Server { kind, version }
    }

    /// One line for a server that is older than those that are tried.
    pub fn warning(&self) -> Option<String> {
        let mut numbers = self.version.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next().and_then(|text| text.parse().ok()).unwrap_or(0_u32);
        let found = (number(), number());
        let (name, oldest) = match self.kind {
            Kind::MariaDb => ("MariaDB", (10, 11)),
            Kind::MySql => ("MySQL", (8, 4)),
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
    use super::{Kind, SQL_MODE, Server, compare};

    #[test]
    fn a_server_is_known_by_its_version() {
        let old = |version: &str| {
            let server = Server::from_version(version.to_owned());
            (server.kind, server.warning().is_some())
        };
        assert_eq!(old("10.11.19-MariaDB-0+deb12u1"), (Kind::MariaDb, false));
        assert_eq!(old("10.6.22-MariaDB-log"), (Kind::MariaDb, true));
        assert_eq!(old("11.8.3-MariaDB"), (Kind::MariaDb, false));
        assert_eq!(old("9.7.4-2"), (Kind::MySql, false));
        assert_eq!(old("8.4.0"), (Kind::MySql, false));
        assert_eq!(old("8.0.45-0ubuntu0.24.04.1"), (Kind::MySql, true));
        assert_eq!(old(""), (Kind::MySql, true));
    }

    #[test]
    fn a_setting_that_did_not_stick_is_refused() {
        let found = |mode: &str, zone: &str, packet: usize| {
            let [mode, zone, utf8] = [mode, zone, "utf8mb4"].map(ToOwned::to_owned);
            let [wait, lock_wait, autocommit] = ["60", "10", "1"].map(ToOwned::to_owned);
            compare((mode, zone, utf8.clone(), utf8, wait, lock_wait, autocommit, packet))
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            found("NO_ENGINE_SUBSTITUTION,STRICT_ALL_TABLES", "+00:00", 1 << 24),
            Ok(super::sql::STATEMENT_BYTES)
        );
        assert_eq!(found(SQL_MODE, "+00:00", 16 << 10), Ok(8 << 10));
        let error = found(SQL_MODE, "+00:00", 1024).unwrap_err();
        assert!(error.contains("max_allowed_packet is 1024 bytes"), "{error}");
        let error = found(&format!("{SQL_MODE},ANSI_QUOTES"), "+00:00", 1 << 24).unwrap_err();
        assert!(error.contains("sql_mode") && error.contains("ANSI_QUOTES"), "{error}");
        let error = found(SQL_MODE, "SYSTEM", 1 << 24).unwrap_err();
        assert!(error.contains("time_zone at \"SYSTEM\""), "{error}");
    }

    #[test]
    fn the_setup_sets_what_is_checked() {
        assert!(super::SETUP[1].contains(&format!("sql_mode='{}'", super::SQL_MODE)));
    }
}
