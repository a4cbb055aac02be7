//! `tweetflow schema`: the tables as DDL and the least rights that `run` needs on them, or the
//! rights of an account that only reads them.
//!
//! Output is SQL for the server's own client. Names are not qualified: it is for the database that
//! the client has selected. Nothing is sent to the server; with `--database` it is asked for its
//! version only.

use super::choices::ServerKind;
use super::job::{DatabaseArgs, TablesArgs, UnreadableUrl};
use clap::Args;
use dataflows::catalogue::Tables;
use sink::mysql::{MySqlSink, Server, ServerFamily};
use sink::{SinkError, ddl};
use std::fmt::Write;
use types::dead_letter;
use types::fault::Fault;
use types::fault::one_line;
use types::prefix::Prefix;

/// Examples of `--help`.
pub(crate) const EXAMPLES: &str = "Examples:\n  \
    tweetflow schema --server mysql --user tweetflow | mysql data\n  \
    TWEETFLOW_DATABASE=mysql://user:secret@127.0.0.1:3306/data tweetflow schema --table-prefix a_\n  \
    tweetflow schema --server mysql --superset         # an account that only reads";

/// Arguments of `schema`.
#[derive(Args, Clone)]
pub(super) struct SchemaArgs {
    #[command(flatten)]
    place: DatabaseArgs,
    /// Kind of server, instead of asking the database for it
    #[arg(long, value_name = "KIND")]
    server: Option<ServerKind>,
    #[command(flatten)]
    tables: TablesArgs,
    /// Account that `run` connects as, NAME or NAME@HOST; it must exist
    #[arg(long, value_name = "NAME", default_value = "tweetflow", value_parser = account)]
    user: String,
    /// Print instead the rights of an account that only reads, NAME or NAME@HOST [if given without
    /// one: superset]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "superset",
        value_parser = account)]
    superset: Option<String>,
}

/// Why there is no schema.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    /// The tables do not fit together.
    #[error("{0}")]
    Tables(String),
    /// The file of the database's URL.
    #[error(transparent)]
    DatabaseFile(#[from] UnreadableUrl),
    /// The server does not answer as it should.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The server does not say which one it is.
    #[error(
        "the server does not say which one it is; name it with --server mariadb or --server mysql, \
         then nothing is asked: {reason}"
    )]
    Ask {
        /// Why.
        reason: String,
    },
    /// No runtime for the connection.
    #[error("the connection's runtime did not start")]
    Runtime(#[source] std::io::Error),
}

impl SchemaError {
    /// 2 for arguments that could never have worked, else 1.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            SchemaError::Tables(_) | SchemaError::DatabaseFile(_) => 2,
            SchemaError::Sink(error) if error.is_config_error() => 2,
            SchemaError::Sink(_) | SchemaError::Ask { .. } | SchemaError::Runtime(_) => 1,
        }
    }
}

/// The text that the command prints.
pub(super) fn run(args: &SchemaArgs) -> Result<String, SchemaError> {
    let tables = Tables::choose(&args.tables.choice()).map_err(SchemaError::Tables)?;
    let server = if let Some(kind) = args.server.map(ServerFamily::from) {
        kind_text(kind).to_owned()
    } else {
        let server = ask(&args.place.url()?)?;
        if let Some(warning) = server.warning() {
            tracing::warn!("{warning}");
        }
        format!("{} ({})", kind_text(server.kind), server.version)
    };
    Ok(match &args.superset {
        Some(reader) => reading(&server, &args.place.table_prefix, &tables, reader),
        None => text(&server, &args.place.table_prefix, &tables, &args.user),
    })
}

fn ask(url: &str) -> Result<Server, SchemaError> {
    let sink = MySqlSink::new(url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.map_err(SchemaError::Runtime)?.block_on(sink.server());
    answer.map_err(|error| match error {
        // Its own hint is to run this command.
        SinkError::Server { message, code, .. } => {
            SchemaError::Ask { reason: format!("{message} (error {code})") }
        }
        error => SchemaError::Ask { reason: one_line(&error) },
    })
}

fn kind_text(kind: ServerFamily) -> &'static str {
    match kind {
        ServerFamily::MariaDb => "MariaDB",
        ServerFamily::MySql => "MySQL",
    }
}

/// One text for both kinds of server; only the heading tells them apart.
fn text(server: &str, prefix: &Prefix, tables: &Tables, account: &str) -> String {
    let mut text = format!(
        "-- The tables of tweetflow and the least rights of {account} on them, for {server}.\n\
         -- For the selected database, by an account that may create tables and grant rights.\n\
         -- The account must exist: CREATE USER {account} IDENTIFIED BY '…'\n"
    );
    let shapes = ddl::shapes(prefix, &tables.all());
    for shape in &shapes {
        let _ = write!(text, "\n{};\n", shape.create());
    }
    text.push('\n');
    for shape in &shapes {
        let _ = writeln!(text, "{};", shape.grant(account));
    }
    text
}

/// The rights of an account that only reads; not what `dead_letters` holds, which is whole
/// payloads. The old program's tables may not be there, and a right on a table that is not there is
/// refused: those stay comments.
fn reading(server: &str, prefix: &Prefix, tables: &Tables, account: &str) -> String {
    let mut text = format!(
        "-- An account that reads the tables of tweetflow, for {server}.\n\
         -- For the selected database, where the tables are, by an account that may grant rights.\n\
         -- The account must exist: CREATE USER {account} IDENTIFIED BY '…'\n\n"
    );
    let mut shown = tables.all();
    shown.retain(|table| table.name != dead_letter::TABLE_NAME);
    for shape in ddl::shapes(prefix, &shown) {
        let _ = writeln!(text, "{};", shape.grant_select(account));
    }
    text.push_str("-- Where `tweetflow legacy` has renamed old tables:\n");
    for table in ["legacy_hashtags", "legacy_users"] {
        let _ = writeln!(text, "-- GRANT SELECT ON `{table}` TO {account};");
    }
    text
}

/// An account as SQL writes it, `'name'@'host'`, of `NAME` or `NAME@HOST`. What a quoted text would
/// need an escape for is refused: escapes hang on the client's `sql_mode`.
fn account(text: &str) -> Result<String, String> {
    let (name, host) = text.rsplit_once('@').unwrap_or((text, "%"));
    let plain = |part: &str| !part.is_empty() && !part.contains(['\'', '"', '`', '\\']);
    if !plain(name) || !plain(host) || text.chars().any(char::is_control) {
        return Err("expected NAME or NAME@HOST, without quotes and backslashes".to_owned());
    }
    Ok(format!("'{name}'@'{host}'"))
}

#[cfg(test)]
mod tests {
    use super::{Tables, account, reading, text};

    #[test]
    fn the_whole_text() {
        let prefix = "p_".parse().expect("it is a prefix");
        let text = text("MySQL", &prefix, &Tables::every(), "'tweetflow'@'%'");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_reader_may_only_read() {
        let prefix = "p_".parse().expect("it is a prefix");
        let text = reading("MySQL", &prefix, &Tables::every(), "'superset'@'%'");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn an_account_is_a_name_and_a_host() {
        assert_eq!(account("a"), Ok("'a'@'%'".to_owned()));
        assert_eq!(account("a@b@10.0.0.%"), Ok("'a@b'@'10.0.0.%'".to_owned()));
        for bad in ["", "@h", "a@", "a'b", "a\\", "a`", "a\nb"] {
            assert!(account(bad).is_err(), "{bad:?}");
        }
    }
}
