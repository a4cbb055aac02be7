//! Requests: a stream whose body is read as it arrives, or a small reply as a whole.
//!
//! Each request has a connection of its own, which ends when what it returned is dropped. The token
//! crosses a network only encrypted. Redirects are not followed: the token is for one server.

use crate::address::Address;
use crate::error::StreamError;
use crate::reply::{Reply, Trouble, classify};
use crate::token::Token;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, RETRY_AFTER,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE, USER_AGENT,
};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use types::fault::one_line;

/// How long a connection may take until it is encrypted.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long the head of a reply may take.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// The least of it where waits are shortened.
const LEAST_TIME: Duration = Duration::from_secs(1);
/// How long a small reply may take.
const REPLY_TIME: Duration = Duration::from_secs(30);
/// The largest part of a small reply that is read.
const REPLY_BYTES: usize = 8 << 20;

/// The largest message of a web socket.
const FRAME_BYTES: usize = 16 << 20;

/// An open web socket.
pub(crate) type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// A connection, encrypted or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// What every request needs.
pub(crate) struct Client {
    tls: TlsConnector,
    token: Option<Token>,
    /// How long the head of a reply may take.
    head_time: Duration,
}

impl Client {
    /// A client with a token, and with certificates beside those that browsers trust. All waits are
    /// `speed` times shorter.
    pub(crate) fn new(
        token: Option<Token>,
        ca: Option<&Path>,
        speed: u32,
    ) -> Result<Self, StreamError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca {
            let fault = || StreamError::Ca { path: path.to_owned() };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|_| fault())?;
            let certificates: Result<Vec<_>, _> = certificates.collect();
            let (added, _) = roots.add_parsable_certificates(certificates.map_err(|_| fault())?);
            if added == 0 {
                return Err(fault());
            }
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| StreamError::System {
            doing: "setting up TLS",
            source: std::io::Error::other(error),
        })?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            token,
            head_time: (HEAD_TIME / speed).max(LEAST_TIME),
        })
    }

    /// A small reply, or its beginning, without the token.
    async fn reply(&self, address: &Address, response: Response<Incoming>) -> Reply {
        let reply = read_reply(address, response).await;
        Reply { body: self.hidden(&reply.body), ..reply }
    }

    /// A server's words, without the token.
    pub(crate) fn hidden(&self, words: &[u8]) -> Vec<u8> {
        self.token.as_ref().map_or_else(|| words.to_vec(), |token| token.hidden(words))
    }

    /// The token, for an address that may have it.
    pub(crate) fn token_for(&self, address: &Address) -> Option<&Token> {
        let is_safe = address.is_encrypted || address.is_loopback();
        self.token.as_ref().filter(|_| is_safe)
    }

    /// A connection that is ready to speak.
    pub(crate) async fn dial(&self, address: &Address) -> Result<Box<dyn Io>, Trouble> {
        let name = address.name();
        let lost = |error: &dyn std::error::Error| {
            let reason = format!("{name} cannot be reached: {}", one_line(error));
            Trouble::network("unreachable", reason)
        };
        let host = address.host.trim_matches(['[', ']']).to_owned();
        let dialing = async {
            let stream = TcpStream::connect((host.clone(), address.port)).await;
            let stream = stream.map_err(|error| lost(&error))?;
            let _ = stream.set_nodelay(true);
            if !address.is_encrypted {
                return Ok(Box::new(stream) as Box<dyn Io>);
            }
            let server = ServerName::try_from(host.clone()).map_err(|error| lost(&error))?;
            let stream = self.tls.connect(server, stream).await.map_err(|error| lost(&error))?;
            Ok(Box::new(stream) as Box<dyn Io>)
        };
        timeout(CONNECT_TIME, dialing).await.unwrap_or_else(|_| {
            let reason = format!("{name} did not answer within {} s", CONNECT_TIME.as_secs());
            Err(Trouble::network("unreachable", reason))
        })
    }

    /// Sends a request; the reply's body is still to be read.
    async fn send(
        &self,
        method: Method,
        address: &Address,
        path: &str,
        (body, more): (Option<String>, &[(HeaderName, &str)]),
    ) -> Result<(Response<Incoming>, JoinSet<()>), Trouble> {
        let io = self.dial(address).await?;
        let name = address.name();
        let lost = |error: hyper::Error| {
            let reason = format!("{name} ended the connection: {}", one_line(&error));
            Trouble::network("lost", reason)
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(lost)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.with_upgrades().await) });
        let mut request = Request::builder().method(method).uri(path).header(HOST, address.name());
        request = request.header(USER_AGENT, concat!("tweetflow/", env!("CARGO_PKG_VERSION")));
        request = request.header(ACCEPT, "*/*");
        if let Some(token) = self.token_for(address) {
            request = request.header(AUTHORIZATION, token.header());
        }
        for (header, value) in more {
            request = request.header(header, *value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).map_err(|error| {
            Trouble::network("request", format!("the request is no request: {error}"))
        })?;
        let response =
            timeout(self.head_time, sender.send_request(request)).await.map_err(|_| {
                let reason = format!("{name} did not answer within {} s", HEAD_TIME.as_secs());
                Trouble::network("silent", reason)
            })?;
        Ok((response.map_err(lost)?, tasks))
    }

    /// A stream. Whatever is no stream of `form` (a part of its content type) is trouble.
    pub(crate) async fn stream(
        &self,
        address: &Address,
        path: &str,
        refused_form: &str,
    ) -> Result<Body, Trouble> {
        let (response, tasks) = self.send(Method::GET, address, path, (None, &[])).await?;
        let form = response.headers().get(CONTENT_TYPE).and_then(|form| form.to_str().ok());
        let is_page = form.is_some_and(|form| form.contains(refused_form));
        if response.status().as_u16() == 200 && !is_page {
            let server = address.name();
            return Ok(Body { incoming: response.into_body(), server, _tasks: tasks });
        }
        Err(classify(self.reply(address, response).await))
    }

    /// A small reply, whatever its status.
    pub(crate) async fn ask(
        &self,
        method: Method,
        address: &Address,
        path: &str,
        body: Option<String>,
    ) -> Result<Reply, Trouble> {
        let (response, _tasks) = self.send(method, address, path, (body, &[])).await?;
        Ok(self.reply(address, response).await)
    }

    /// A web socket, or the reply of a server that does not give one.
    pub(crate) async fn web_socket(
        &self,
        address: &Address,
        path: &str,
        protocol: Option<&str>,
    ) -> Result<Result<WebSocket, Reply>, Trouble> {
        let key = generate_key();
        let mut headers = vec![
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, &key),
        ];
        headers.extend(protocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)));
        let sending = self.send(Method::GET, address, path, (None, &headers));
        let (response, tasks) = sending.await?;
        if response.status().as_u16() != 101 {
            return Ok(Err(self.reply(address, response).await));
        }
        let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        let failed =
            |reason: &str| Trouble::network("handshake", format!("{}: {reason}", address.name()));
        if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes()).as_str()) {
            return Err(failed("the answer is not the one of a web socket"));
        }
        let upgraded =
            hyper::upgrade::on(response).await.map_err(|error| failed(&one_line(&error)))?;
        drop(tasks);
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES))
            .max_frame_size(Some(FRAME_BYTES));
        let io = TokioIo::new(upgraded);
        Ok(Ok(WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await))
    }

    /// The body of a reply of status 200 or 201.
    pub(crate) async fn fetch(&self, address: &Address, path: &str) -> Result<Vec<u8>, Trouble> {
        let reply = self.ask(Method::GET, address, path, None).await?;
        if matches!(reply.status, 200 | 201) { Ok(reply.body) } else { Err(classify(reply)) }
    }
}

/// Reads a small reply, or its beginning.
async fn read_reply(address: &Address, response: Response<Incoming>) -> Reply {
    let (server, status) = (address.name(), response.status().as_u16());
    let told = told(response.headers(), SystemTime::now());
    let (mut incoming, mut body) = (response.into_body(), Vec::new());
    let reading = async {
        while let Some(Ok(frame)) = incoming.frame().await {
            let room = REPLY_BYTES.saturating_sub(body.len());
            let Ok(bytes) = frame.into_data() else { continue };
            body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() >= room {
                break;
            }
        }
    };
    // A body that does not end is judged by its beginning.
    let _ = timeout(REPLY_TIME, reading).await;
    Reply { server, status, told, body }
}

/// How long a server asks to wait.
fn told(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = |secs: i64| u64::try_from(secs).ok().map(Duration::from_secs);
    let wait_until = |rfc2822: &str| {
        let date = jiff::fmt::rfc2822::parse(rfc2822).ok()?;
        Some(until(date.timestamp().as_second())?.saturating_sub(now))
    };
    let retry_after = text(RETRY_AFTER.as_str()).map(str::trim);
    let retry_after = retry_after
        .and_then(|it| it.parse().ok().map(Duration::from_secs).or_else(|| wait_until(it)));
    let reset = text("x-rate-limit-reset").and_then(|secs| until(secs.trim().parse().ok()?));
    // Mastodon's is a date.
    let date = text("x-ratelimit-reset").and_then(|date| date.trim().parse().ok());
    let reset = reset.or_else(|| until(date.map(jiff::Timestamp::as_second)?));
    retry_after.or_else(|| Some(reset?.saturating_sub(now)))
}

/// The body of a stream.
pub(crate) struct Body {
    incoming: Incoming,
    server: String,
    /// The connection; dropped with the body.
    _tasks: JoinSet<()>,
}

impl Body {
    /// The next bytes, as they were received. It may be dropped while it waits.
    pub(crate) async fn chunk(&mut self) -> Result<Bytes, Trouble> {
        loop {
            match Pin::new(&mut self.incoming).frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(bytes);
                    }
                }
                Some(Err(error)) => {
                    let reason =
                        format!("the connection to {} was lost: {}", self.server, one_line(&error));
                    return Err(Trouble::network("lost", reason));
                }
                None => {
                    let reason = format!("{} closed the stream", self.server);
                    return Err(Trouble::network("closed", reason));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_say_how_long_to_wait() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (name, value, expected) in [
            ("retry-after", "7", Some(7)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("x-rate-limit-reset", "784111800", Some(23)),
            ("x-rate-limit-reset", "1", Some(0)),
            ("x-ratelimit-reset", "1994-11-06T08:50:07.000Z", Some(30)),
            ("retry-after", "soon", None),
            ("x-rate-limit-reset", "-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(told(&headers, now), expected.map(Duration::from_secs), "{name} {value}");
        }
        assert_eq!(told(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_token_is_not_for_everyone_to_read() {
        let client = Client::new(Some(Token::new("t").unwrap()), None, 1).unwrap();
        let has_token = |url| client.token_for(&Address::parse(url).unwrap()).is_some();
        assert!(has_token("https://x.com") && has_token("http://127.0.0.1:9"));
        assert!(!has_token("http://x.com"));
    }
}
