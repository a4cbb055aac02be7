//! Where the live page is served.

use super::job::JobError;
use clap::Args;
use monitor::Monitor;
use server::{JobInfo, Server};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Arguments of the commands that have a live page.
#[derive(Args)]
pub(super) struct ListenArgs {
    /// Serve the live page, /metrics and health checks at this port of the loopback, or
    /// ADDRESS:PORT; 0 = any free port. There is neither a password nor encryption: put a proxy
    /// before it
    #[arg(long, env = "TWEETFLOW_LISTEN", value_name = "PORT", value_parser = address)]
    listen: Option<SocketAddr>,
    /// A name beside addresses and localhost by which browsers reach the page; may be repeated
    #[arg(
        long = "listen-name",
        env = "TWEETFLOW_LISTEN_NAME",
        value_name = "NAME",
        value_delimiter = ','
    )]
    listen_name: Vec<String>,
}

impl ListenArgs {
    /// Serves, if that is asked for.
    pub(super) fn start(
        &self,
        about: JobInfo,
        monitor: &Arc<Monitor>,
    ) -> Result<Option<Server>, JobError> {
        let Some(address) = self.listen else { return Ok(None) };
        Ok(Some(Server::start(address, self.listen_name.clone(), about, monitor.clone())?))
    }
}

/// `PORT` or `ADDRESS:PORT`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| "expected PORT or ADDRESS:PORT, as in 8080 or 0.0.0.0:8080".to_owned())
}
