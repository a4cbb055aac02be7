//! The address of a server: `https://HOST[:PORT][/PATH]`, also `http`, `wss` and `ws`.
//!
//! An address with a user or a password is refused: it would stand in the process list.

use crate::error::StreamError;
use std::net::IpAddr;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether TLS is spoken.
    pub(crate) is_encrypted: bool,
    /// A name or an IP address.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Path and query; empty where the address ends at the host.
    pub(crate) path: String,
}

impl Address {
    /// Reads an address.
    pub fn parse(url: &str) -> Result<Self, StreamError> {
        let fault = |hint| StreamError::Url { url: url.to_owned(), hint };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| fault("https://HOST is"))?;
        let is_encrypted = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(fault("it begins with https, http, wss or ws")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') || path.contains("access_token=") {
            let without_secret = format!("{scheme}://…");
            let hint = "a token goes into TWEETFLOW_TOKEN";
            return Err(StreamError::Url { url: without_secret, hint });
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| fault("its port is no port"))?)
            }
            _ => (authority, if is_encrypted { 443 } else { 80 }),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(fault("its host is no name"));
        }
        let is_path = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !path.bytes().all(is_path) {
            return Err(fault("its path holds what must be escaped"));
        }
        let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
        Ok(Self { is_encrypted, host: host.to_owned(), port, path })
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// Host, and port where it is not the usual one.
    pub(crate) fn name(&self) -> String {
        let usual = if self.is_encrypted { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Its own path, or another where it has none.
    pub(crate) fn path_or<'a>(&'a self, other: &'a str) -> &'a str {
        if self.path.trim_matches('/').is_empty() { other } else { &self.path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (url, name, path) in [
            ("https://api.x.com", "api.x.com", "/2"),
            ("https://api.x.com/", "api.x.com", "/2"),
            ("wss://h:443/a?b=c", "h", "/a?b=c"),
            ("http://127.0.0.1:80?b=c", "127.0.0.1", "/?b=c"),
            ("ws://[::1]:8080/x", "[::1]:8080", "/x"),
            ("ws://[::1]", "[::1]", "/2"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((&*address.name(), address.path_or("/2")), (name, path), "{url}");
        }
        let is_loopback = |url| Address::parse(url).unwrap().is_loopback();
        assert!(is_loopback("http://localhost:1") && is_loopback("http://[::1]:1"));
        assert!(!is_loopback("http://127.0.0.1.example.com"));
        for odd in ["", "x.com", "ftp://h", "https://", "https://h:x", "https://h/ü", "https://a b"]
        {
            assert_eq!(Address::parse(odd).unwrap_err().exit_code(), 2, "{odd}");
        }
        for url in ["https://me:secret@h/", "https://h/?access_token=secret"] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains("TWEETFLOW_TOKEN") && !error.contains("secret"), "{error}");
        }
    }
}
