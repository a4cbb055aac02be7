//! Inputs, read to their end through the thread's loop.

use super::*;
use std::io::{Cursor, Read, Write};

fn reading(bytes: Box<dyn Read + Send>) -> Reading {
    let file = FileInput::new("test".to_owned(), Raw::new(bytes));
    let (skip, position) = Default::default();
    let origin = Origin::File(Box::new(file));
    Reading { origin, require_location: false, is_hashed: true, skip, position }
}

fn batches(reading: Reading) -> Vec<Result<InputBatch, ProduceError>> {
    let (sender, batches) = sync_channel(1000);
    feed(reading, &sender, &|| {});
    drop(sender);
    batches.iter().collect()
}

/// Ids and payloads.
fn read(text: &[u8]) -> Vec<(Option<u64>, Vec<u8>)> {
    let batches = batches(reading(Box::new(Cursor::new(text.to_vec()))));
    let batches: Vec<InputBatch> = batches.into_iter().map(Result::unwrap).collect();
    let records = batches.iter().flat_map(InputBatch::records);
    records.map(|record| (record.key, record.payload.to_vec())).collect()
}

#[test]
fn lines_leave_as_they_are_and_blank_ones_do_not() {
    let text =
        b"\n{\"id\":7}\r\n \t \r\n {\"id\":1,\"id_str\":\"9\"} \n\r\nno json\n{\"limit\":{\"track\":1}}\n\
        {\"delete\":{\"status\":{\"id\":7,\"user_id\":1}}}";
    let expected: [(Option<u64>, &[u8]); 5] = [
        (Some(7), b"{\"id\":7}"),
        (Some(9), b" {\"id\":1,\"id_str\":\"9\"} "),
        (None, b"no json"),
        (None, b"{\"limit\":{\"track\":1}}"),
        // In the partition of its tweet.
        (Some(7), b"{\"delete\":{\"status\":{\"id\":7,\"user_id\":1}}}"),
    ];
    let seen = read(text);
    let seen: Vec<_> = seen.iter().map(|(id, payload)| (*id, payload.as_slice())).collect();
    assert_eq!(seen, expected);
    assert!(read(b"").is_empty() && read(b"\n\r\n  ").is_empty());
}

#[test]
fn a_page_among_lines_is_its_statuses() {
    let text =
        b"{\"id\":7}\n{\"statuses\":[{\"id\":8},{\"id\":9}]}\n{\"statuses\":[]}\n{\"id\":10}";
    let ids: Vec<_> = read(text).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [Some(7), Some(8), Some(9), Some(10)]);
}

#[test]
fn lines_of_any_length_and_any_bytes_leave_once() {
    let lines = (0..300_usize)
        .map(|number| vec![b'a' + u8::try_from(number % 26).unwrap(); 1 + number * number])
        .chain([vec![b'x'; 10 << 20], b"\xff\xfe\0\x01".to_vec(), b"last".to_vec()]);
    let lines: Vec<_> = std::iter::once(b"{}".to_vec()).chain(lines).collect();
    let seen: Vec<Vec<u8>> =
        read(&lines.join(&b"\n"[..])).into_iter().map(|(_, payload)| payload).collect();
    assert!(seen == lines);
}

#[test]
fn what_is_at_hand_does_not_wait_for_what_is_not() {
    for (text, more) in [
        (&b"{\"id\":1}\n{\"id\":2}\n{\"id\":"[..], &b"3}"[..]),
        (b"[{\"id\":1},{\"id\":2},{\"id\":", b"3}]"),
        (b"{\"id\":1}{\"id\":2}{\"id\":", b"3}"),
    ] {
        let (first, mut writer) = std::io::pipe().unwrap();
        let (sender, batches) = sync_channel(4);
        let thread = std::thread::spawn(move || feed(reading(Box::new(first)), &sender, &|| {}));
        writer.write_all(text).unwrap();
        let batch = batches.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
        assert_eq!(
            batch.records().map(|record| record.key).collect::<Vec<_>>(),
            [Some(1), Some(2)]
        );
        writer.write_all(more).unwrap();
        drop(writer);
        let last = batches.recv().unwrap().unwrap();
        assert_eq!(last.records().next().map(|record| record.key), Some(Some(3)));
        thread.join().unwrap();
    }
}

#[test]
fn what_was_read_before_a_failure_leaves() {
    let seen = batches(reading(Box::new(Cursor::new(b"[{\"id\":1},{\"id\":2},{".to_vec()))));
    assert_eq!(seen[0].as_ref().unwrap().records().count(), 2);
    let failure = seen.last().unwrap().as_ref().err().unwrap().to_string();
    assert!(failure.contains("test") && failure.contains("byte 20"), "{failure}");
}

#[test]
fn tweets_without_location_are_left_out_and_counted() {
    let text = b"{\"id\":1,\"text\":\"t\",\"user\":{\"id\":5}}\n\
        {\"id\":2,\"text\":\"t\",\"user\":{\"location\":\"x\"}}\n{\"delete\":{}}\nx\n";
    let mut reading = reading(Box::new(Cursor::new(text.to_vec())));
    reading.require_location = true;
    let batches: Vec<InputBatch> = batches(reading).into_iter().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.left_out).sum::<u64>(), 1);
    let seen = batches.iter().flat_map(InputBatch::records);
    let seen: Vec<_> = seen.map(|record| (record.key, record.position.records)).collect();
    assert_eq!(seen, [(Some(2), 2), (None, 3), (None, 4)]);
}

#[test]
fn what_holds_no_tweets_is_refused_before_anything_leaves() {
    for text in [
        &b"id,text\n1,x\n"[..],
        b"PK\x03\x04\0\0",
        b"BZh9",
        b"\xff\xfe{\0",
        b"window.YTD.tweets.part0 = [ {\n",
    ] {
        // In pieces of any size.
        for cut in 1..text.len() {
            let bytes = Cursor::new(text[..cut].to_vec()).chain(Cursor::new(text[cut..].to_vec()));
            let seen = batches(reading(Box::new(bytes)));
            assert!(matches!(seen[..], [Err(ProduceError::Foreign { .. })]), "{cut}: {text:?}");
        }
    }
    let alive = read(b"keep-alive\r\n{\"id\":1}\n");
    assert_eq!(alive.last().map(|(key, _)| *key), Some(Some(1)));
}

#[test]
fn a_run_goes_on_behind_any_record_of_the_same_input() {
    let text = b"[{\"id\":1},{\"id\":2},\n{\"id\":3}]";
    let open = |bytes: &[u8]| reading(Box::new(Cursor::new(bytes.to_vec())));
    let whole = batches(open(text)).remove(0).unwrap();
    let all: Vec<_> = whole.records().map(|record| record.position).collect();
    for (at, position) in all.iter().enumerate() {
        let mut same = open(text);
        same.skip_to(*position).unwrap();
        let later = batches(same);
        let later = later.iter().flat_map(|batch| batch.as_ref().unwrap().records());
        let later: Vec<_> = later.map(|record| record.position).collect();
        assert_eq!(later, all[at + 1..]);
    }
    for other in [&b"[{\"id\":1},{\"id\":20},\n{\"id\":3}]"[..], b"{\"id\":1}", b""] {
        let mut other = open(other);
        other.skip_to(all[2]).unwrap();
        assert!(matches!(batches(other)[..], [Err(ProduceError::Changed { records: 3, .. })]));
    }
}

#[test]
fn synthetic_tweets_go_on_with_their_seed_only() {
    let stream = |seed: u64, deletes: &str| {
        let (deletes, duplicates) = (deletes.parse().unwrap(), "20%".parse().unwrap());
        Reading::synthetic(Synthetic::new(seed).with(deletes, duplicates))
    };
    let open = |seed: u64| stream(seed, "50%");
    let take = |reading: &mut Reading, count: usize| {
        let mut batch = InputBatch::default();
        (0..count).for_each(|_| assert!(matches!(reading.take(&mut batch), Ok(Taken::Record))));
        let seen = |record: InputRecord<'_>| (record.key, record.position, record.payload.to_vec());
        batch.records().map(seen).collect::<Vec<_>>()
    };
    let all = take(&mut open(3), 10);
    let mut later = open(3);
    later.skip_to(all[5].1).unwrap();
    assert_eq!(take(&mut later, 4), all[6..]);
    assert!(
        open(4).skip_to(all[5].1).is_err() && open(4).skip_to(InputPosition::default()).is_ok()
    );
    let error = stream(3, "7.5%").skip_to(all[5].1).unwrap_err().to_string();
    assert!(error.contains("--seed 3 --deletes 7.5% --duplicates 20%"), "{error}");
    // Where there are only tweets, a run of an earlier version is resumed.
    let mut only_tweets = Reading::synthetic(Synthetic::new(3));
    assert!(only_tweets.skip_to(InputPosition { records: 5, hash: 3, place: None }).is_ok());
}

#[test]
fn synthetic_tweets_without_a_location_are_left_out() {
    let sent = |require_location| {
        let reading = Reading::synthetic(Synthetic::new(3));
        let mut reading = Reading { require_location, ..reading };
        let mut batch = InputBatch::default();
        for _ in 0..1_000 {
            reading.take(&mut batch).unwrap();
        }
        let records = batch.records().map(|record| (record.position, record.payload.to_vec()));
        (records.collect::<Vec<_>>(), batch.left_out)
    };
    let ((all, none), (mut some, left_out)) = (sent(false), sent(true));
    assert!((all.len(), none) == (1_000, 0) && (200..500).contains(&left_out), "{left_out}");
    some.extend(all.into_iter().filter(|(_, tweet)| facts(tweet).lacks_location));
    some.sort_by_key(|(position, _)| position.records);
    assert_eq!(some, sent(false).0);
}
