//! The live page, the metrics and the health checks, over HTTP.
//!
//! ```text
//! Monitor ── a snapshot 4 times a second, while there are viewers ─► one text ─► every viewer
//! ```
//!
//! A thread of its own with one runtime. A viewer costs the pipeline nothing: the text is made once
//! for all, and a viewer that is slow misses some. Connections, and the time that a request may
//! take to arrive, are bounded. It reads what the [`Monitor`] knows; it never asks the database,
//! and nothing can be changed through it. It does no encryption and knows no users: it listens on
//! the loopback unless another address is asked for.

mod guard;
mod metrics;
mod state;

pub use guard::AllowedHosts;
pub use metrics::{METRICS, MetricDoc};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use monitor::Monitor;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

/// How many connections there are at a time.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections of viewers and other clients; they may stay.
    open: usize,
    /// Of these, viewers that follow the events: they stay for hours, and may never read.
    viewers: usize,
    /// Beside the open ones, each for one request: health checks get through however many viewers
    /// there are. Further connections wait.
    brief: usize,
}

const LIMITS: Limits = Limits { open: 448, viewers: 384, brief: 64 };
/// How long a brief connection may last.
const BRIEF_TIME: Duration = Duration::from_secs(5);
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How often viewers get a new state.
const TICK: Duration = Duration::from_millis(250);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}; --listen names another port (0: any free one) or address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No thread or no runtime.
    #[error("starting the server failed")]
    Start(#[source] std::io::Error),
}

/// What is said of the job beside what the [`Monitor`] knows.
#[derive(Clone, Debug)]
pub struct JobInfo {
    /// The job's name.
    pub job: String,
    /// The topic's name.
    pub topic: String,
    /// `kafka` or `files`.
    pub source: &'static str,
    /// Where the tables are, without any secret.
    pub database: String,
}

/// A server that runs until it is dropped.
pub struct Server {
    address: SocketAddr,
    /// Dropped to end the thread.
    ending: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What every request may look at.
struct ServerState {
    monitor: Arc<Monitor>,
    about: JobInfo,
    /// The newest state, as an event.
    events: watch::Sender<Bytes>,
    /// Places for those who follow the events.
    viewers: Arc<Semaphore>,
}

impl Server {
    /// Listens, then serves on a thread of its own.
    pub fn start(
        address: SocketAddr,
        names: AllowedHosts,
        about: JobInfo,
        monitor: Arc<Monitor>,
    ) -> Result<Self, ServerError> {
        Self::start_within(LIMITS, address, names, about, monitor)
    }

    fn start_within(
        limits: Limits,
        address: SocketAddr,
        names: AllowedHosts,
        about: JobInfo,
        monitor: Arc<Monitor>,
    ) -> Result<Self, ServerError> {
        let fault = |source| ServerError::Listen { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let bound = listener.local_addr().map_err(fault)?;
        monitor.watch();
        let (events, _) = watch::channel(Bytes::new());
        let viewers = Arc::new(Semaphore::new(limits.viewers));
        let shared = Arc::new(ServerState { monitor, about, events, viewers });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ServerError::Start)?;
        let (ending, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
            runtime.block_on(serve(limits, listener, shared, names, ended));
        });
        let thread = Some(thread.map_err(ServerError::Start)?);
        Ok(Server { address: bound, ending: Some(ending), thread })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.ending.take());
        // A panic has ended the process already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Accepts until `ended`; then all connections are closed.
async fn serve(
    limits: Limits,
    listener: std::net::TcpListener,
    shared: Arc<ServerState>,
    names: AllowedHosts,
    mut ended: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let app = routes(Arc::clone(&shared), names);
    let open = Arc::new(Semaphore::new(limits.open));
    let brief = Arc::new(Semaphore::new(limits.brief));
    let mut tasks = JoinSet::new();
    tasks.spawn(tell(shared));
    loop {
        let accepted = tokio::select! {
            _ = &mut ended => return,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Too many files open, or the like: it passes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let service = TowerToHyperService::new(app.clone());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new());
        // A viewer that breaks off is no fault of ours.
        if let Ok(place) = Arc::clone(&open).try_acquire_owned() {
            http.header_read_timeout(HEAD_TIME);
            tasks.spawn(async move {
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
                drop(place);
            });
            continue;
        }
        let place = tokio::select! {
            _ = &mut ended => return,
            place = Arc::clone(&brief).acquire_owned() => place,
        };
        http.header_read_timeout(BRIEF_TIME).keep_alive(false);
        tasks.spawn(async move {
            let served = http.serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(BRIEF_TIME, served).await;
            drop(place);
        });
    }
}

/// Notes the speed, and makes the text that all viewers get while there are any.
async fn tell(shared: Arc<ServerState>) {
    loop {
        tokio::time::sleep(TICK).await;
        shared.monitor.sample();
        if shared.events.receiver_count() > 0 {
            shared.events.send_replace(shared.event());
        }
    }
}

impl ServerState {
    fn state(&self) -> Vec<u8> {
        state::json(&self.monitor.snapshot(), &self.about)
    }

    fn event(&self) -> Bytes {
        [b"retry: 1000\nevent: state\ndata: ", &*self.state(), b"\n\n"].concat().into()
    }
}

fn routes(shared: Arc<ServerState>, names: AllowedHosts) -> Router {
    let page = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    Router::new()
        .route("/", page("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/page.css", page("text/css; charset=utf-8", include_str!("page/page.css")))
        .route("/page.js", page("text/javascript; charset=utf-8", include_str!("page/page.js")))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/state", get(state_json))
        .route("/api/v1/events", get(follow))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such page\n") })
        .with_state(shared)
        .layer(axum::middleware::from_fn_with_state(Arc::new(names), guard::check))
}

/// Ready once the tables are restored, as long as both sides answer.
async fn ready(State(shared): State<Arc<ServerState>>) -> Response {
    let snapshot = shared.monitor.snapshot();
    if snapshot.is_ready() {
        return format!("ready{}{}\n", state::role(&snapshot), state::paused(&snapshot))
            .into_response();
    }
    let (_, text) = state::status(&snapshot, &shared.about);
    (StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n")).into_response()
}

async fn metrics(State(shared): State<Arc<ServerState>>) -> Response {
    match metrics::text(&shared.monitor, &shared.about) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(std::fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn state_json(State(shared): State<Arc<ServerState>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], shared.state()).into_response()
}

/// The state now, and again with each tick.
async fn follow(State(shared): State<Arc<ServerState>>) -> Response {
    let Ok(place) = Arc::clone(&shared.viewers).try_acquire_owned() else {
        let text = "too many viewers follow this job; try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let mut events = shared.events.subscribe();
    events.mark_changed();
    shared.events.send_if_modified(|event| {
        let is_first = event.is_empty();
        if is_first {
            *event = shared.event();
        }
        is_first
    });
    let stream = futures_util::stream::unfold((events, place), |(mut events, place)| async {
        events.changed().await.ok()?;
        let event = events.borrow_and_update().clone();
        Some((Ok::<_, Infallible>(event), (events, place)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

#[cfg(test)]
mod tests {
    use super::{JobInfo, Limits, Server};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    fn ask(server: &Server, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(9))).expect("it takes a time");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
    }

    fn status(mut stream: TcpStream) -> String {
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("it answers");
        String::from_utf8_lossy(&head[9..]).into_owned()
    }

    /// Neither viewers that never read nor connections that say nothing keep a health check out.
    #[test]
    fn health_checks_have_places_of_their_own() {
        let text = String::new;
        let about = JobInfo { job: text(), topic: text(), source: "kafka", database: text() };
        let limits = Limits { open: 12, viewers: 8, brief: 4 };
        let address = "127.0.0.1:0".parse().expect("an address");
        let server =
            Server::start_within(limits, address, Vec::new(), about, std::sync::Arc::default());
        let server = server.expect("it starts");
        let viewers: Vec<_> = (0..8).map(|_| ask(&server, "/api/v1/events")).collect();
        for viewer in &viewers {
            assert_eq!(status(viewer.try_clone().expect("a stream")), "200");
        }
        assert_eq!(status(ask(&server, "/api/v1/events")), "503");
        let silent = || TcpStream::connect(server.address()).expect("it listens");
        let silent: Vec<_> = (0..5).map(|_| silent()).collect();
        for path in ["/healthz", "/metrics", "/healthz"] {
            let began = Instant::now();
            assert_eq!(status(ask(&server, path)), "200");
            assert!(began.elapsed() < Duration::from_secs(2), "{path}");
        }
        drop(viewers);
        let began = Instant::now();
        while status(ask(&server, "/api/v1/events")) != "200" {
            assert!(began.elapsed() < Duration::from_secs(9), "places come back");
        }
        drop(silent);
    }
}
