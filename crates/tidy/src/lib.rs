//! What holds for the text of this repository, checked by a test of a second.
//!
//! | module | holds |
//! |---|---|
//! | [`layers`] | a crate uses only what stands below it |
//! | [`circles`] | no two files need each other, but for a module and its own children |
//! | [`sizes`] | files and lines are short |
//! | [`words`] | no private word where the field has one |
//!
//! Each check returns its findings, one line each; the tests say that there are none. It reads text
//! and understands no more Rust than it needs: paths, `mod tests`, comments.

pub mod circles;
pub mod layers;
pub mod sizes;
pub mod tree;
pub mod words;
