//! `demo`, and the live page in a real browser.

use crate::common::browser::{Browser, ask, get, within};
use crate::common::{Running, assert_ended, program};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A running demo and its port.
struct Demo {
    running: Running,
    port: u16,
    /// Held open: the demo writes its last line there.
    _output: BufReader<std::process::ChildStdout>,
}

impl Demo {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let folder = folder.to_str().unwrap();
        let mut command = program(&[&["demo", "--dir", folder], more].concat(), "");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next());
        let port = port.and_then(|port| port.parse().ok()).expect(&line);
        Demo { running: Running(child), port, _output: output }
    }

    fn state(&self) -> Value {
        serde_json::from_str(&get(self.port, "/api/v1/state").unwrap()).unwrap()
    }

    fn records(&self) -> u64 {
        self.state()["records"]["total"].as_u64().unwrap()
    }

    fn ends_well(mut self) {
        self.running.signal(Signal::SIGINT);
        let status = within(Duration::from_secs(20), || self.running.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

/// Hashtags that a careless page would take for something else.
fn hostile() -> [String; 5] {
    [
        "<script>window.hacked=1</script>".to_owned(),
        "<img/src=x/onerror=window.hacked=1>".to_owned(),
        "\"onload=\"window.hacked=1".to_owned(),
        "🍣".repeat(140),
        "a\u{202e}cba\u{2066}".to_owned(),
    ]
}

fn tweets(path: &Path, count: u64) {
    let tags: Vec<_> = hostile().iter().map(|tag| json!({ "text": tag })).collect();
    let tweet = |n: u64| {
        let user = json!({ "id": n % 50, "name": "<b>&amp;\u{202e}", "friends_count": n });
        json!({ "id": n, "text": "", "entities": { "hashtags": tags }, "user": user }).to_string()
            + "\n"
    };
    std::fs::write(path, (0..count).map(tweet).collect::<Vec<_>>().concat()).unwrap();
}

/// Moving numbers within three seconds; hostile text stays text; no other host is asked; the page
/// recovers when the job is killed and started again.
#[test]
fn the_page_in_a_browser() {
    let place = tempfile::tempdir().unwrap();
    let (folder, input) = (place.path().join("demo"), place.path().join("tweets.ndjson"));
    tweets(&input, 20_000);
    let input = input.to_str().unwrap();
    let mut demo = Demo::start(&folder, &["--listen", "0", "--rate", "300", "--input", input]);
    let base = format!("http://127.0.0.1:{}/", demo.port);
    let mut browser = Browser::start();
    let small = json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true });
    browser.call("Emulation.setDeviceMetricsOverride", &small);
    browser.open(&base);
    browser.until("document.documentElement.dataset.state === 'connected'");
    let total = "Number(document.getElementById('records-total').dataset.value)";
    let before = browser.value(total).as_u64().unwrap_or_default();
    browser.until(&format!("{total} > {}", before + 300));

    let bars = "section[data-table=top_hashtags] bdi";
    browser.until(&format!("document.querySelectorAll('{bars}').length === 5"));
    let texts = format!("[...document.querySelectorAll('{bars}')].map(e => e.textContent).sort()");
    let mut wanted = hostile();
    wanted.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    assert_eq!(browser.value(&texts), json!(wanted));
    assert_eq!(browser.value("window.hacked === undefined && document.scripts.length"), json!(1));
    assert_eq!(browser.value("document.images.length"), json!(0));
    // One process is no cluster.
    assert_eq!(browser.value("document.getElementById('cluster').hidden"), json!(true));
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), json!(true));

    demo.running.signal(Signal::SIGKILL);
    demo.running.0.wait().unwrap();
    browser.until("document.documentElement.dataset.state === 'disconnected'");
    browser.until("document.getElementById('status').textContent.startsWith('disconnected')");
    let port = demo.port.to_string();
    let restarted = Demo::start(&folder, &["--listen", &port, "--rate", "300", "--input", input]);
    browser.until("document.documentElement.dataset.state === 'connected'");
    let restored = browser.value(total).as_u64().unwrap_or_default();
    browser.until(&format!("{total} > {restored}"));
    let asked = browser.asked.iter().filter(|url| !url.starts_with("data:"));
    for url in asked {
        assert!(url.starts_with(&base), "another host was asked: {url}");
    }
    // A lost connection is no complaint of the page.
    browser.complaints.retain(|text| !text.contains("ERR_") && !text.contains("api/v1/events"));
    assert_eq!(browser.complaints, Vec::<String>::new());
    restarted.ends_well();
}

/// Killed and started again it goes on; the tables are those of the tweets, each once.
#[test]
fn killed_and_started_again_every_tweet_counts_once() {
    let place = tempfile::tempdir().unwrap();
    let (folder, input) = (place.path().join("demo"), place.path().join("tweets.ndjson"));
    tweets(&input, 6_000);
    let input = input.to_str().unwrap();
    for _ in 0..4 {
        let demo = Demo::start(&folder, &["--listen", "0", "--rate", "2500", "--input", input]);
        std::thread::sleep(Duration::from_millis(400));
        demo.running.signal(Signal::SIGKILL);
    }
    let demo = Demo::start(&folder, &["--listen", "0", "--rate", "0", "--input", input]);
    let tweets = within(Duration::from_secs(30), || {
        let state = demo.state();
        let rows = state["tables"][0]["rows"].as_array()?;
        let tweets = rows.iter().find(|row| row[0] == "tweets")?[1].as_u64();
        tweets.filter(|tweets| *tweets >= 6_000 && state["lag"] == 0)
    });
    assert_eq!(tweets, 6_000);
    let top = demo.state()["tables"][1]["rows"].clone();
    assert!(top.as_array().unwrap().iter().all(|row| row[2] == 6_000), "{top}");
    demo.ends_well();
    verified(&folder);
}

/// `verify` finds no difference.
fn verified(folder: &Path) {
    let output = program(&["verify", "--demo", folder.to_str().unwrap()], "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.starts_with("equal "), "{output:?}");
}

/// Made-up tweets too, at whatever rates; what the ledger remembers is read again.
#[test]
fn made_up_tweets_go_on_after_a_kill() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("demo");
    for rate in ["1500", "0", "400"] {
        let demo = Demo::start(&folder, &["--listen", "0", "--rate", rate]);
        let before = within(Duration::from_secs(20), || Some(demo.records()).filter(|it| *it > 0));
        within(Duration::from_secs(20), || (demo.records() > before + 300).then_some(()));
        demo.running.signal(Signal::SIGKILL);
    }
    let (code, said) = run_to_the_end(&folder, &["--rate", "0", "--limit", "1001"]);
    assert!(code == Some(0) && said.contains("done records=1001 "), "{said}");
    assert!(said.contains(" dead_letters=0 ") && said.contains(" duplicates=0 "), "{said}");
    verified(&folder);
}

/// A record that could not be counted is read again from the input.
#[test]
fn a_dead_letter_is_tried_again() {
    let place = tempfile::tempdir().unwrap();
    let (folder, input) = (place.path().join("demo"), place.path().join("tweets.ndjson"));
    tweets(&input, 20);
    let text = std::fs::read_to_string(&input).unwrap();
    std::fs::write(&input, text.replace("\"id\":7,", "\"id\":\"x\",")).unwrap();
    let more = ["--rate", "0", "--limit", "20", "--input", input.to_str().unwrap()];
    let (code, said) = run_to_the_end(&folder, &more);
    assert!(code == Some(0) && said.contains(" dead_letters=1 "), "{said}");
    // As if it had been refused by an older decoder.
    let tables = folder.join("tables.sqlite");
    let database = rusqlite::Connection::open(&tables).unwrap();
    database.execute("UPDATE dead_letters SET detail = 'old'", []).unwrap();
    let url = format!("sqlite:{}", tables.display());
    assert!(program(&["dead-letters", "retry", "--all"], &url).status().unwrap().success());
    let demo = Demo::start(&folder, &["--listen", "0", "--input", input.to_str().unwrap()]);
    within(Duration::from_secs(20), || {
        let sql = "SELECT count(*) FROM dead_letters WHERE retry = 0 AND detail <> 'old'";
        let tried = database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (tried == 1).then_some(())
    });
    demo.ends_well();
    verified(&folder);
}

/// What was read before a bad place of the input is committed with its offset: nothing counts again
/// at the next start.
#[test]
fn a_bad_place_of_the_input_counts_nothing_twice() {
    let place = tempfile::tempdir().unwrap();
    let (folder, input) = (place.path().join("demo"), place.path().join("tweets.json"));
    let plain = place.path().join("tweets.ndjson");
    tweets(&plain, 300);
    let array = std::fs::read_to_string(&plain).unwrap().trim_end().replace('\n', ",");
    std::fs::write(&input, format!("[{array}]\nnot json\n")).unwrap();
    let more = ["--rate", "0", "--input", input.to_str().unwrap()];
    for _ in 0..2 {
        assert_ended(run_to_the_end(&folder, &more), 2, &["cannot read", "at byte"]);
        let verified = program(&["verify", "--demo", folder.to_str().unwrap()], "").output();
        let text = String::from_utf8(verified.unwrap().stdout).unwrap();
        assert!(text.contains("equal differences=0") && text.contains(" records=300 "), "{text}");
    }
}

/// A folder whose tables count other tweets is refused; `--fresh` begins anew.
#[test]
fn another_folder_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let input = place.path().join("tweets.ndjson");
    tweets(&input, 20);
    let input = input.to_str().unwrap();
    let run = |folder: &str, more: &[&str]| {
        let all = [&["--rate", "0", "--limit", "4"], more].concat();
        run_to_the_end(&place.path().join(folder), &all)
    };
    // As versions before have left it behind, before and after their first commit.
    std::fs::create_dir_all(place.path().join("topic/topic")).unwrap();
    std::fs::create_dir(place.path().join("tables")).unwrap();
    std::fs::write(place.path().join("tables/tables.sqlite"), "").unwrap();
    for name in ["topic", "tables"] {
        let (code, said) = run(name, &[]);
        assert!(code == Some(2) && said.contains("does not say which tweets"), "{said}");
        assert!(said.contains("--fresh"), "{said}");
    }
    let (code, said) = run("topic", &["--fresh"]);
    assert!(code == Some(0) && !place.path().join("topic/topic").exists(), "{said}");
    assert_ended(
        run("topic", &["--input", input]),
        2,
        &["counts made-up tweets; leave out --input"],
    );
    assert_eq!(run("input", &["--input", input]).0, Some(0));
    assert_ended(run("input", &[]), 2, &["name it by --input"]);
    // The same name, but its last record that was read is another.
    tweets(Path::new(input), 3);
    let other = ["is not the file that was read before"];
    assert_ended(run("input", &["--input", input]), 1, &other);
}

#[test]
fn what_is_asked_over_http() {
    let place = tempfile::tempdir().unwrap();
    let demo = Demo::start(place.path(), &["--listen", "0"]);
    let began = Instant::now();
    within(Duration::from_secs(3), || (demo.records() > 0).then_some(()));
    println!("records after {:?}", began.elapsed());
    let port = demo.port;
    assert_eq!(get(port, "/healthz").unwrap(), "alive\n");
    // It may add which partitions wait for others.
    assert!(get(port, "/readyz").unwrap().starts_with("ready"));
    let metrics = within(Duration::from_secs(10), || {
        get(port, "/metrics").filter(|text| text.contains("tweetflow_lag{"))
    });
    // No dead letter stands, and there are no other processes.
    let is_there = |name: &str| {
        name != "dead_letters" && !name.starts_with("process_") && !name.starts_with("mesh_")
    };
    for metric in server::METRICS.iter().filter(|metric| is_there(metric.name)) {
        assert!(metrics.contains(&format!("\n{}", metric.full_name())), "{}", metric.full_name());
    }
    assert!(metrics.ends_with("# EOF\n"));
    let status = |head: &str| ask(port, head).unwrap()[9..12].to_owned();
    assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\n"), "200");
    assert_eq!(status("GET / HTTP/1.1\r\nHost: evil.example\r\n"), "421");
    assert_eq!(status("GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n"), "404");
    assert_eq!(status("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"), "405");
    let foreign =
        "GET /api/v1/state HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\n";
    assert_eq!(status(foreign), "403");
    let whole = ask(port, "GET / HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    assert!(whole.contains("content-security-policy: default-src 'none'"), "{whole}");
    // Connections that say nothing take all places, for a bounded time.
    let silent: Vec<_> =
        (0..520).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let crowded_at = Instant::now();
    assert_eq!(get(port, "/healthz").unwrap(), "alive\n");
    assert!(crowded_at.elapsed() < Duration::from_secs(20), "{:?}", crowded_at.elapsed());
    drop(silent);
    demo.ends_well();
}

#[test]
fn what_cannot_work_is_said_in_one_line() {
    let place = tempfile::tempdir().unwrap();
    let demo = Demo::start(&place.path().join("a"), &["--listen", "0"]);
    let taken = demo.port.to_string();
    let other = place.path().join("b");
    let (other, image) = (other.to_str().unwrap(), place.path().join("image.png"));
    std::fs::write(&image, b"\x89PNG\r\n\x1a\n and so on, no JSON at all").unwrap();
    let image = image.to_str().unwrap();
    for (arguments, code, words) in [
        (vec!["--dir", other, "--listen", &taken], 2, "cannot listen on 127.0.0.1:"),
        (vec!["--dir", "/proc/none", "--listen", "0"], 2, "cannot use the folder /proc/none"),
        (
            vec!["--dir", other, "--listen", "0", "--input", image],
            2,
            "image.png is not one JSON object a line",
        ),
        (vec!["--dir", other, "--listen", "0", "--input", "none"], 2, "none"),
        (vec!["--dir", other, "--listen", "0", "--rate=-1"], 2, "--rate"),
        (vec!["--dri", other], 2, "--dri"),
    ] {
        let output = program(&[&["demo"], &*arguments].concat(), "").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        let lines = said.lines().filter(|line| line.starts_with("tweetflow: ")).count();
        assert!(lines == 1 || words == "--dri", "{arguments:?}: {said}");
    }
    demo.ends_well();
}

/// Runs a demo that ends by itself; its exit code and last line.
fn run_to_the_end(folder: &Path, more: &[&str]) -> (Option<i32>, String) {
    let folder = folder.to_str().unwrap();
    let arguments = [&["demo", "--dir", folder, "--listen", "0"], more].concat();
    let mut command = program(&arguments, "");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    let status = within(Duration::from_secs(20), || running.0.try_wait().unwrap());
    let mut said = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// Each of the first lines in turn is no JSON.
#[test]
fn a_limit_is_reached_whatever_the_lines_are() {
    let place = tempfile::tempdir().unwrap();
    for bad in 1..4 {
        let input = place.path().join("tweets.ndjson");
        tweets(&input, 8);
        let lines = std::fs::read_to_string(&input).unwrap();
        let line = |(number, line)| if number == bad { "no JSON" } else { line };
        let lines: Vec<_> = lines.lines().enumerate().map(line).collect();
        std::fs::write(&input, lines.join("\n")).unwrap();
        let folder = place.path().join(bad.to_string());
        let more = ["--rate", "0", "--limit", "8", "--input", input.to_str().unwrap()];
        let (code, said) = run_to_the_end(&folder, &more);
        assert_eq!(code, Some(0), "line {bad}: {said}");
        assert!(said.contains(" records=8 ") && said.contains(" dead_letters=1 "), "{said}");
    }
}
