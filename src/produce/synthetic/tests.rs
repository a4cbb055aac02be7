//! What the synthetic tweets promise, on 50,000 of them.
use super::*;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

#[test]
#[ignore = "speed"]
fn speed() {
    let synthetic = Synthetic::new(1);
    let mut out = Vec::with_capacity(1 << 20);
    let start = std::time::Instant::now();
    let n = 300_000;
    let mut bytes = 0;
    for index in 0..n {
        out.clear();
        synthetic.tweet(index, &mut out);
        bytes += out.len();
    }
    let s = start.elapsed().as_secs_f64();
    eprintln!("{:.0}/s mean {}", n as f64 / s, bytes as f64 / n as f64);
}
#[test]
fn valid() {
    let synthetic = Synthetic::new(1);
    let mut bytes = 0;
    for index in 0..5000 {
        let mut out = Vec::new();
        synthetic.tweet(index, &mut out);
        bytes += out.len();
        if let Err(e) = serde_json::from_slice::<Value>(&out) {
            panic!("{e} {}", String::from_utf8_lossy(&out));
        }
        if index < 3 {
            eprintln!("{}", String::from_utf8_lossy(&out));
        }
    }
    eprintln!("mean {}", bytes / 5000);
}
