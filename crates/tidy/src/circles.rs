//! Circles of imports: files of one crate that need each other in the end.
//!
//! A module and its children may name each other: a child is a part of its parent. Every other
//! circle is found, however long. Only code counts, not documentation and not tests.

use crate::tree::{File, files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Each circle as one line: its files, in the order of their names.
pub fn findings(top: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    let crates = std::fs::read_dir(top.join("crates")).into_iter().flatten().flatten();
    let crates = crates.map(|entry| format!("crates/{}", entry.file_name().to_string_lossy()));
    for folder in crates.chain(["dataflows".to_owned(), ".".to_owned()]) {
        let source = if folder == "." { "src".to_owned() } else { format!("{folder}/src") };
        findings.extend(circles(&source, &files(top, &source, &[".rs"])));
    }
    findings.sort();
    findings
}

/// A module by the names that lead to it from the top of its crate.
type Module = Vec<String>;

/// The circles among the files below `source`.
fn circles(source: &str, files: &[File]) -> Vec<String> {
    let modules: BTreeMap<Module, &File> =
        files.iter().map(|file| (module(source, &file.path), file)).collect();
    let uses: BTreeMap<&Module, BTreeSet<&Module>> =
        modules.iter().map(|(module, file)| (module, used(module, &file.text, &modules))).collect();
    let mut circles = BTreeSet::new();
    for start in uses.keys() {
        let circle: BTreeSet<_> = reached(start, &uses)
            .into_iter()
            .filter(|other| reached(other, &uses).contains(start))
            .collect();
        if circle.len() > 1 {
            let names = circle.iter().map(|module| &*modules[*module].path);
            circles.insert(names.collect::<Vec<_>>().join(" – "));
        }
    }
    circles.into_iter().collect()
}

/// The module that a file is.
fn module(source: &str, path: &str) -> Module {
    let inner = path[source.len()..].trim_start_matches('/').trim_end_matches(".rs");
    let mut parts: Vec<_> = inner.split('/').map(str::to_owned).collect();
    if parts.len() == 1 && (parts[0] == "lib" || parts[0] == "main")
        || parts.ends_with(&["mod".into()])
    {
        parts.pop();
    }
    parts
}

/// Everything that is needed by a module, directly or not; itself too if it is in a circle.
fn reached<'a>(
    start: &Module,
    uses: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = vec![start];
    while let Some(module) = open.pop() {
        for next in uses.get(module).into_iter().flatten() {
            if reached.insert(*next) {
                open.push(next);
            }
        }
    }
    reached
}

/// The modules that the code of one names, less its parents and children.
fn used<'a>(
    module: &Module,
    text: &str,
    modules: &'a BTreeMap<Module, &File>,
) -> BTreeSet<&'a Module> {
    let mut used = BTreeSet::new();
    for path in paths(&code(text)) {
        let mut rest = &path[..];
        let mut full = if rest[0] == "crate" { Vec::new() } else { module.clone() };
        while let Some(first) =
            rest.first().filter(|it| ["crate", "super", "self"].contains(&it.as_str()))
        {
            if first == "super" {
                full.pop();
            }
            rest = &rest[1..];
        }
        full.extend_from_slice(rest);
        let known =
            (0..=full.len()).rev().find_map(|length| modules.get_key_value(&full[..length]));
        if let Some((known, _)) = known
            && !known.starts_with(module)
            && !module.starts_with(known)
        {
            used.insert(known);
        }
    }
    used
}

/// A text without comments, and up to its tests.
fn code(text: &str) -> String {
    let text = text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code);
    let lines = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that begins with `crate`, `super` or `self`; a group in braces is one path for each
/// name.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let is_inner = code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c));
            if !is_inner {
                expand(&code[at..], &mut Vec::new(), &mut paths);
            }
        }
    }
    paths
}

/// Reads one path, or a group of them behind a common beginning; returns what follows.
fn expand<'a>(text: &'a str, begun: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let mut rest = text;
    let depth = begun.len();
    loop {
        let name =
            rest.len() - rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
        begun.push(rest[..name].to_owned());
        rest = &rest[name..];
        let Some(after) = rest.strip_prefix("::") else { break };
        rest = after.trim_start();
        if let Some(mut group) = rest.strip_prefix('{') {
            loop {
                group = expand(group.trim_start(), begun, paths).trim_start();
                // `as NAME`
                let end = group.find([',', '}']).unwrap_or(group.len());
                group = &group[end..];
                match group.strip_prefix(',').map(str::trim_start) {
                    Some(more) if !more.starts_with('}') => group = more,
                    Some(more) => break rest = &more[1..],
                    None => break rest = group.get(1..).unwrap_or(""),
                }
            }
            begun.truncate(depth);
            return rest;
        }
    }
    paths.push(begun.clone());
    begun.truncate(depth);
    rest
}

#[cfg(test)]
mod tests {
    use super::{circles, findings, paths};
    use crate::tree::{File, top};

    #[test]
    fn no_two_files_need_each_other() {
        assert_eq!(findings(&top()), Vec::<String>::new());
    }

    #[test]
    fn a_circle_that_is_put_in_is_found() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file("src/lib.rs", "mod a; mod b; mod c; pub use a::A;"),
            file("src/a.rs", "use crate::b::{self, B};\nmod inner;\npub struct A;"),
            file("src/a/inner.rs", "use super::A;"),
            file("src/b.rs", "use super::c::deep::{C, D};"),
            file("src/c.rs", "pub mod deep { fn f() { crate::a::inner::g() } }"),
        ];
        assert_eq!(circles("src", &files), Vec::<String>::new(), "inner does not need b");
        let mut more = files.to_vec();
        more[4].text.push_str("use crate::a::A;");
        assert_eq!(circles("src", &more), ["src/a.rs – src/b.rs – src/c.rs"]);
        more[4].text = "// crate::a\n#[cfg(test)]\nmod tests { use crate::a::A; }".to_owned();
        assert_eq!(circles("src", &more), Vec::<String>::new(), "comments and tests do not count");
    }

    #[test]
    fn groups_are_several_paths() {
        let found = paths("use crate::{a::{A, B as C}, d,}; super::super::e()");
        let found: Vec<_> = found.iter().map(|path| path.join("::")).collect();
        assert_eq!(found, ["crate::a::A", "crate::a::B", "crate::d", "super::super::e"]);
    }
}
