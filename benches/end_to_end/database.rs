//! The database of the benchmark, and a look at it from outside.

use crate::Result;
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Opts, OptsBuilder};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Dropped and created again by every measurement.
const NAME: &str = "tweetflow_bench";

/// A connection to a database.
pub(crate) struct Database {
    url: String,
    runtime: Runtime,
    connection: Conn,
}

impl Database {
    /// An empty database on the server of `url`.
    pub(crate) fn create(url: &str) -> Result<Self> {
        let mut server = Self::connect(url)?;
        server.run(&format!("DROP DATABASE IF EXISTS {NAME}"))?;
        server.run(&format!("CREATE DATABASE {NAME}"))?;
        let (base, options) = url.split_once('?').unwrap_or((url, ""));
        let (address, _) = base.rsplit_once('/').ok_or("TEST_MYSQL names no database")?;
        let options = if options.is_empty() { String::new() } else { format!("?{options}") };
        Self::connect(&format!("{address}/{NAME}{options}"))
    }

    /// A connection to the database of `url`.
    pub(crate) fn connect(url: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let opts = OptsBuilder::from_opts(Opts::from_url(url)?).prefer_socket(false);
        let connection = runtime.block_on(Conn::new(opts))?;
        Ok(Database { url: url.to_owned(), runtime, connection })
    }

    /// Where `tweetflow run` finds it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A statement without an answer.
    pub(crate) fn run(&mut self, sql: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.connection.query_drop(sql))?)
    }

    /// All rows of a query.
    pub(crate) fn rows<T: FromRow + Send + 'static>(&mut self, sql: &str) -> Result<Vec<T>> {
        Ok(self.runtime.block_on(self.connection.query(sql))?)
    }

    /// The first row of a query.
    pub(crate) fn first<T: FromRow + Send + 'static>(&mut self, sql: &str) -> Result<Option<T>> {
        Ok(self.runtime.block_on(self.connection.query_first(sql))?)
    }
}

/// The server takes `LOAD DATA LOCAL`, until this is dropped.
pub(crate) struct LocalInfile {
    server: Database,
    was_on: bool,
}

impl LocalInfile {
    pub(crate) fn switch_on(url: &str) -> Result<Self> {
        let mut server = Database::connect(url)?;
        let was_on = server.first::<bool>("SELECT @@GLOBAL.local_infile")?.unwrap_or_default();
        server.run("SET GLOBAL local_infile = 1")?;
        Ok(LocalInfile { server, was_on })
    }
}

impl Drop for LocalInfile {
    fn drop(&mut self) {
        if !self.was_on {
            let _ = self.server.run("SET GLOBAL local_infile = 0");
        }
    }
}

/// The longest time between two commits, seen from outside every 20 ms.
pub(crate) struct Gaps {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Option<Duration>>,
}

impl Gaps {
    /// Watches until [`Gaps::longest`] is called.
    pub(crate) fn watch(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, stopped) = (url.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || watch(&url, &stopped).ok().flatten());
        Gaps { stop, thread }
    }

    /// The longest gap, if there were two commits.
    pub(crate) fn longest(self) -> Option<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().flatten()
    }
}

fn watch(url: &str, stop: &AtomicBool) -> Result<Option<Duration>> {
    let mut database = Database::connect(url)?;
    let (mut last, mut longest): (Option<(u64, Instant)>, _) = (None, None);
    while !stop.load(Ordering::Relaxed) {
        // The table is missing at first.
        let number = database.first::<u64>("SELECT commit_no FROM tweetflow_commit");
        let number = number.ok().flatten().filter(|number| *number > 0);
        match (number, last) {
            (Some(number), Some((before, since))) if number > before => {
                longest = longest.max(Some(since.elapsed()));
                last = Some((number, Instant::now()));
            }
            (Some(number), None) => last = Some((number, Instant::now())),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(longest)
}
