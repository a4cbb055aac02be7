//! Sends odd records into a topic until it is killed: `poison BROKERS TOPIC SEED PER_SECOND`.
//!
//! For `tests/soak`, beside a usual producer: ids that no tweet can have and ids up to an hour
//! ahead, dates a year ahead, record timestamps in seconds, of other time zones or none, blank
//! values and keep-alives, edited posts in any order; of all of these some come twice and some are
//! deleted, so that the ledger meets them. What comes of it is checked by `verify`, not here.

#![allow(clippy::unwrap_used, reason = "a test's tool fails by panicking")]

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first millisecond of ids, and bits of an id below its milliseconds.
const IDS: (u64, u32) = (1_288_834_974_657, 22);
const HOUR_MS: u64 = 3_600_000;

/// A linear congruential generator: a seed is the whole stream.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The id of a tweet that was written at this time.
fn id(ms: u64, random: &mut Random) -> u64 {
    ((ms - IDS.0) << IDS.1) + random.below(1 << IDS.1)
}

fn date(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(ms.cast_signed()).unwrap().to_string()
}

/// A post of the second API, with the versions that it replaces.
fn post(id: u64, at_ms: u64, history: &[u64], random: &mut Random) -> String {
    let history: Vec<_> = history.iter().map(|version| format!("\"{version}\"")).collect();
    let (at, history, tag) = (date(at_ms), history.join(","), random.below(40));
    format!(
        r##"{{"data":{{"id":"{id}","text":"#p{tag}","created_at":"{at}","author_id":"7","edit_history_tweet_ids":[{history}],"entities":{{"hashtags":[{{"tag":"p{tag}"}}]}}}}}}"##
    )
}

fn delete(id: u64) -> String {
    format!(r#"{{"delete":{{"status":{{"id":{id},"id_str":"{id}","user_id":7}}}}}}"#)
}

/// The next records of one kind, in order.
fn odd(random: &mut Random) -> Vec<String> {
    let now = now_ms();
    let usual = id(now, random);
    match random.below(8) {
        0 => {
            let absurd = (1 << (60 + random.below(4))) - 1 - random.below(3);
            let post = post(absurd, now, &[absurd], random);
            vec![post.clone(), post, delete(absurd)]
        }
        1 => {
            let ahead = id(now + random.below(HOUR_MS), random);
            vec![post(ahead, now, &[ahead], random), delete(ahead)]
        }
        2 => vec![post(usual, now + 365 * 24 * HOUR_MS, &[usual], random)],
        3 => vec![String::new(), " \n".to_owned(), "keep-alive".to_owned()],
        4 | 5 => {
            let newer = id(now + 1, random);
            let first = post(usual, now, &[usual], random);
            let second = post(newer, now, &[usual, newer], random);
            let mut versions = vec![first, second, delete(newer)];
            versions.rotate_left(usize::try_from(random.below(3)).unwrap());
            versions
        }
        6 => vec![delete(u64::MAX), delete(usual), post(usual, now, &[usual], random)],
        _ => {
            let post = post(usual, now, &[usual], random);
            vec![post.clone(), post]
        }
    }
}

/// The timestamp of a record, nearly as often wrong as right.
fn timestamp(random: &mut Random) -> i64 {
    let now = now_ms();
    let ms = match random.below(12) {
        0 => now / 1000,
        1 => 0,
        2 => now - 8 * HOUR_MS,
        3 => now + 8 * HOUR_MS,
        4 => now - HOUR_MS / 3,
        _ => now,
    };
    ms.cast_signed()
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [brokers, topic, seed, per_second] = &arguments[..] else {
        panic!("usage: poison BROKERS TOPIC SEED PER_SECOND");
    };
    let mut random = Random(seed.parse().unwrap());
    let pause = Duration::from_secs(1) / per_second.parse::<u32>().unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("enable.idempotence", "true");
    let producer: BaseProducer = config.create().unwrap();
    let mut kept = Vec::new();
    loop {
        let mut records = odd(&mut random);
        // Something that was sent before comes again.
        if random.below(4) == 0 && !kept.is_empty() {
            let at = usize::try_from(random.below(kept.len() as u64)).unwrap();
            records.push(kept.swap_remove(at));
        }
        for record in records {
            let partition = i32::try_from(random.below(4)).unwrap();
            let mut sent = BaseRecord::<[u8], str>::to(topic).payload(&record).partition(partition);
            sent.timestamp = Some(timestamp(&mut random));
            // A full queue means that the broker is away; what is not sent is not missed.
            let _ = producer.send(sent);
            if kept.len() < 1_000 {
                kept.push(record);
            }
        }
        producer.poll(pause);
        std::thread::sleep(pause);
        if producer.in_flight_count() > 10_000 {
            let _ = producer.flush(Duration::from_secs(30));
        }
    }
}
