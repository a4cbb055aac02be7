//! The rules of X's filtered stream: made equal to a file, one rule a line.
//!
//! Rules belong to the account and outlive every client. Only rules that this program made, which
//! their tag says, are ever deleted. What is to be added is tried by a dry run first, so that one
//! wrong rule changes nothing.

use crate::address::Address;
use crate::error::StreamError;
use crate::http::Client;
use crate::reply::{Reply, Trouble, classify};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Says whose rule it is.
const TAG: &str = "tweetflow";
/// Where rules are read and changed.
const PATH: &str = "/2/tweets/search/stream/rules";
/// The longest rule, in characters.
const CHARACTERS: usize = 1_024;
/// The most rules of an account.
const RULES: usize = 1_000;

/// A rule of the account.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rule {
    id: String,
    value: String,
    #[serde(default)]
    tag: String,
}

impl Rule {
    /// Whether this program made it.
    pub(crate) fn is_own(&self) -> bool {
        self.tag == TAG
    }
}

/// What makes the account's rules equal to a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    add: Vec<String>,
    /// Ids and texts.
    delete: Vec<(String, String)>,
    kept: usize,
    foreign: usize,
}

impl Plan {
    fn new(wanted: &BTreeSet<String>, rules: &[Rule]) -> Self {
        let is_there = |value: &&String| !rules.iter().any(|rule| rule.value == **value);
        let add = wanted.iter().filter(is_there).cloned().collect();
        let own = rules.iter().filter(|rule| rule.is_own() && !wanted.contains(&rule.value));
        let delete = own.map(|rule| (rule.id.clone(), rule.value.clone())).collect();
        let kept = rules.iter().filter(|rule| wanted.contains(&rule.value)).count();
        let is_foreign = |rule: &&Rule| !rule.is_own() && !wanted.contains(&rule.value);
        let foreign = rules.iter().filter(is_foreign).count();
        Self { add, delete, kept, foreign }
    }

    /// What it changes, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.add.iter().map(|rule| format!("add {rule}")).collect();
        lines.extend(self.delete.iter().map(|(_, rule)| format!("delete {rule}")));
        lines.push(format!(
            "rules: {} to add, {} to delete, {} as they are, {} of others that match too",
            self.add.len(),
            self.delete.len(),
            self.kept,
            self.foreign
        ));
        lines
    }
}

/// Reads a file of rules.
pub(crate) fn read(path: &Path) -> Result<BTreeSet<String>, StreamError> {
    let fault = |what: String| StreamError::Rules { path: path.to_owned(), what };
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let mut rules = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let length = line.chars().count();
        if length > CHARACTERS {
            return Err(fault(format!(
                "the rule in line {number} has {length} characters, X takes {CHARACTERS}"
            )));
        }
        rules.insert(line.to_owned());
    }
    match rules.len() {
        0 => Err(fault("there is no rule in it".to_owned())),
        1..=RULES => Ok(rules),
        more => Err(fault(format!("there are {more} rules in it, X takes {RULES}"))),
    }
}

/// The rules of the account.
pub(crate) async fn list(client: &Client, address: &Address) -> Result<Vec<Rule>, StreamError> {
    let reply = client.ask(Method::GET, address, PATH, None).await;
    let reply = reply.map_err(Trouble::unanswered)?;
    if reply.status != 200 {
        return Err(classify(reply).unanswered());
    }
    let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    Ok(serde_json::from_value(value["data"].clone()).unwrap_or_default())
}

/// Makes the account's rules those of a file; only says how if it is a dry run.
pub(crate) async fn sync(
    client: &Client,
    address: &Address,
    path: &Path,
    is_dry: bool,
) -> Result<Vec<String>, StreamError> {
    let wanted = read(path)?;
    let plan = Plan::new(&wanted, &list(client, address).await?);
    let mut is_full = false;
    if !plan.add.is_empty() {
        is_full = add(client, address, &plan.add, true).await?;
    }
    if is_dry {
        return Ok(plan.lines());
    }
    // Adding first leaves no moment without rules, but needs room for both.
    if is_full {
        delete(client, address, &plan.delete).await?;
    }
    if !plan.add.is_empty() && add(client, address, &plan.add, false).await? {
        let what = "X has no room for so many rules beside those of others".to_owned();
        return Err(StreamError::Rules { path: path.to_owned(), what });
    }
    if !is_full {
        delete(client, address, &plan.delete).await?;
    }
    Ok(plan.lines())
}

/// Adds rules; whether there is no room for them.
async fn add(
    client: &Client,
    address: &Address,
    rules: &[String],
    is_dry: bool,
) -> Result<bool, StreamError> {
    let rules: Vec<_> = rules.iter().map(|rule| json!({"value": rule, "tag": TAG})).collect();
    let path = if is_dry { format!("{PATH}?dry_run=true") } else { PATH.to_owned() };
    let reply = post(client, address, &path, &json!({ "add": rules })).await?;
    let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    for error in value["errors"].as_array().into_iter().flatten() {
        let kind = error["type"].as_str().and_then(|kind| kind.rsplit('/').next());
        match kind.unwrap_or_default() {
            "duplicate-rules" => {}
            "rule-cap" => return Ok(true),
            _ => {
                let (server, rule) = (address.name(), error["value"].as_str().unwrap_or("?"));
                let details = error["details"].as_array().into_iter().flatten();
                let details: Vec<_> = details.filter_map(Value::as_str).collect();
                let detail = match &details[..] {
                    [] => error["detail"].as_str().or(error["title"].as_str()).unwrap_or("?"),
                    [first, ..] => first,
                };
                let (rule, detail) = (rule.to_owned(), detail.to_owned());
                return Err(StreamError::BadRule { server, rule, detail });
            }
        }
    }
    match reply.status {
        200 | 201 => Ok(false),
        // What was wrong has been told above: only duplicates.
        _ if value["errors"].is_array() => Ok(false),
        _ => Err(classify(reply).unanswered()),
    }
}

async fn delete(
    client: &Client,
    address: &Address,
    rules: &[(String, String)],
) -> Result<(), StreamError> {
    if rules.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = rules.iter().map(|(id, _)| id).collect();
    let reply = post(client, address, PATH, &json!({ "delete": { "ids": ids } })).await?;
    if matches!(reply.status, 200 | 201) {
        return Ok(());
    }
    Err(classify(reply).unanswered())
}

async fn post(
    client: &Client,
    address: &Address,
    path: &str,
    body: &Value,
) -> Result<Reply, StreamError> {
    let reply = client.ask(Method::POST, address, path, Some(body.to_string())).await;
    reply.map_err(Trouble::unanswered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_rules_are_deleted() {
        let rule = |id: &str, value: &str, tag: &str| {
            let [id, value, tag] = [id, value, tag].map(str::to_owned);
            Rule { id, value, tag }
        };
        let rules = [
            rule("1", "rust lang:en", TAG),
            rule("2", "old", TAG),
            rule("3", "theirs", "other"),
            rule("4", "both", "other"),
        ];
        let wanted = ["rust lang:en", "both", "new"].map(str::to_owned).into();
        let plan = Plan::new(&wanted, &rules);
        assert_eq!(
            (&plan.add, &plan.delete),
            (&vec!["new".to_owned()], &vec![("2".into(), "old".into())])
        );
        assert_eq!((plan.kept, plan.foreign), (2, 1));
        assert_eq!(plan.lines()[..2], ["add new", "delete old"]);
    }

    #[test]
    fn a_file_has_one_rule_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules");
        std::fs::write(&path, "# a comment\n\nrust lang:en\r\n  cats has:images \nrust lang:en\n")
            .unwrap();
        let rules: Vec<_> = read(&path).unwrap().into_iter().collect();
        assert_eq!(rules, ["cats has:images", "rust lang:en"]);
        for (text, expected) in
            [("", "no rule"), ("# x\n", "no rule"), (&"ü".repeat(1_025), "line 1 has 1025")]
        {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(expected), "{error}");
        }
        assert_eq!(read(folder.path()).unwrap_err().exit_code(), 2);
    }
}
