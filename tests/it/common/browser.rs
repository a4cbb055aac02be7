//! A headless Chromium, driven by its own protocol (CDP).

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use super::Running;

/// A browser with one page.
pub(crate) struct Browser {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    calls: u64,
    /// Every address that was asked for.
    pub(crate) asked: Vec<String>,
    /// What the browser or the page complained of.
    pub(crate) complaints: Vec<String>,
    _process: Running,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let browser = Running::start(&mut command);
        let file = profile.path().join("DevToolsActivePort");
        let port = within(Duration::from_mins(1), || {
            let text = std::fs::read_to_string(&file).ok()?;
            text.lines().next()?.parse::<u16>().ok()
        });
        let url = within(Duration::from_secs(30), || {
            let pages: Value = serde_json::from_str(&get(port, "/json")?).ok()?;
            let page = pages.as_array()?.iter().find(|page| page["type"] == "page")?.clone();
            page["webSocketDebuggerUrl"].as_str().map(ToOwned::to_owned)
        });
        let (socket, _) = tungstenite::connect(url).unwrap();
        let (asked, complaints) = (Vec::new(), Vec::new());
        let mut browser =
            Browser { socket, calls: 0, asked, complaints, _process: browser, _profile: profile };
        for domain in ["Log", "Runtime", "Page", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Calls a method and notes what happens meanwhile.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let call = json!({ "id": self.calls, "method": method, "params": parameters });
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["id"] == self.calls {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            let details = &message["params"];
            match message["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    self.asked.push(details["request"]["url"].as_str().unwrap().to_owned());
                }
                Some("Log.entryAdded" | "Runtime.exceptionThrown") => {
                    self.complaints.push(details.to_string());
                }
                _ => {}
            }
        }
    }

    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
    }

    /// The value of an expression.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", &parameters);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        // While a page is loaded there may be nothing that it could be true of.
        let parameters = json!({ "expression": expression, "returnByValue": true });
        while self.call("Runtime.evaluate", &parameters)["result"]["value"] != Value::Bool(true) {
            assert!(Instant::now() < deadline, "it does not come to {expression}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What comes within a time.
pub(crate) fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + time;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing came within {time:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The body of an answer over plain HTTP at a port of the loopback.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    let answer = ask(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"))?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// The whole answer to a request whose head is given without its end.
pub(crate) fn ask(port: u16, head: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).ok()?;
    let (mut answer, mut block) = (Vec::new(), [0; 4096]);
    // Not every server closes although it is asked to.
    while !is_whole(&answer) {
        match stream.read(&mut block).ok()? {
            0 => break,
            read => answer.extend_from_slice(&block[..read]),
        }
    }
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether an answer is as long as it says.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length = length.and_then(|length| length.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= head.len() + 4 + length)
}
