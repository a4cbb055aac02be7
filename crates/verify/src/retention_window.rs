//! The tables by time: what is older than they keep passes by uncounted, and the trends are made of
//! what is left.
//!
//! A tweet that came too late was below the floor of its moment, so it is below the last one too:
//! floors only rise. What should stand is therefore all tweets from the last floor on, and the
//! order in which they came needs not be known.

use super::VerifyPlan;
use super::runs::Entry;
use super::state::Tally;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Result;
use types::settings::TableSettings;
use types::{Row, Value};

/// The table that is made here, behind those that it is made of.
pub(super) const TRENDING: &str = "trending";
const FLOORS: &str = "floors";
const MINUTES: &str = "hashtags_by_minute";

/// What must be looked at so that a table can be.
pub(super) const NEEDS: &[(&str, &str)] =
    &[(MINUTES, FLOORS), (TRENDING, FLOORS), (TRENDING, MINUTES)];

/// Ranks that are shown.
const SHOWN: usize = 100;
const MINUTE_MS: i64 = 60_000;

/// What is known while the entries pass by: of `floors` first, then of the minutes.
struct RetentionWindow {
    settings: TableSettings,
    newest: i64,
    /// Uses now and before, by hashtag.
    trends: BTreeMap<Value, (u64, u64)>,
}

impl RetentionWindow {
    /// Notes the newest minute.
    fn see_newest(&mut self, row: Option<&Row>) {
        if let Some([Value::Text(name), Value::UInt(newest)]) = row.map(|row| &row[..])
            && &**name == "minutes"
        {
            self.newest = i64::try_from(*newest).unwrap_or(i64::MAX);
        }
    }

    /// Whether a minute is still kept; its uses are noted.
    fn keeps(&mut self, key: &Row, state: &Tally) -> bool {
        let [Value::Timestamp(ms), tag] = &key[..] else { return true };
        // A range is a difference already.
        let uses = state.count().and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        let (age, window) = (self.newest - ms / MINUTE_MS, i64::from(self.settings.trend_minutes));
        let is_kept = age <= i64::from(self.settings.minutes_span);
        if is_kept && age < 2 * window {
            let (now, before) = self.trends.entry(tag.clone()).or_default();
            *(if age < window { now } else { before }) += uses;
        }
        is_kept
    }

    /// The rows of the trends.
    fn rows(&mut self, table: u8) -> Vec<Result<Entry>> {
        let trends = std::mem::take(&mut self.trends).into_iter();
        let scored = trends.filter(|(_, (now, before))| now > before).map(|(tag, uses)| {
            let (now, before) = (u128::from(uses.0), u128::from(uses.1));
            (Reverse(100 * (now - before).pow(2) / (now + before)), tag, uses)
        });
        let mut scored: Vec<_> = scored.collect();
        scored.sort();
        let ranked = (1..).zip(scored).take(SHOWN).map(|(rank, (score, tag, (now, before)))| {
            let score = u64::try_from(score.0).unwrap_or(u64::MAX);
            let values =
                [Value::UInt(rank), tag, Value::UInt(now), Value::UInt(before), Value::UInt(score)];
            let row = Row::from(values);
            Ok(((table, row[..1].into()), Tally::Row(row)))
        });
        ranked.collect()
    }
}

/// The entries without what is too old, and the trends in their place.
pub(super) fn with_windowed(
    plan: &VerifyPlan,
    settings: TableSettings,
    entries: impl Iterator<Item = Result<Entry>>,
) -> impl Iterator<Item = Result<Entry>> {
    let (floors, minutes) = (plan.index(FLOORS), plan.index(MINUTES));
    let mut trending = plan.index(TRENDING).filter(|table| plan.is_whole(*table));
    let mut recent = RetentionWindow { settings, newest: 0, trends: BTreeMap::new() };
    // An end, behind which no table stands.
    let entries = entries.map(Some).chain([None]);
    entries.flat_map(move |entry| {
        let next = match &entry {
            Some(Ok((key, _))) => key.0,
            _ => u8::MAX,
        };
        let mut all = Vec::new();
        if let Some(table) = trending.take_if(|table| next > *table) {
            all = recent.rows(table);
        }
        let is_kept = match &entry {
            Some(Ok((key, state))) if Some(key.0) == floors => {
                recent.see_newest(state.row());
                true
            }
            Some(Ok((key, state))) if Some(key.0) == minutes => recent.keeps(&key.1, state),
            _ => true,
        };
        all.extend(entry.filter(|_| is_kept));
        all
    })
}
