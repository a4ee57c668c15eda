//! The known holes of the field in how paths are walked, mounts are made and users are told apart, tried on the assembled
//! product; `table` says which, and whose they were. Each has a test of its name for a native member and one for a Wasm
//! member.
//!
//! An attack must fail, and each has a control in which its one guard is left out: the same step by the host's root, who
//! walks, mounts, copies or reads by name as a careless runtime would (in mounts of its own where it mounts), reaches what
//! the attack was after. Without it a test could pass because its bait was never in the way.
//!
//! `planted` and `starts` are no single hole but their kind: what one member leaves in a volume it shares.
//!
//! A test must never touch what it did not make: the bait is a folder of its own, and so is all that is shared.

mod contents;
mod copies;
mod directories;
mod flip;
mod host;
mod identity;
mod images;
mod planted;
mod projected;
mod stage;
mod starts;
mod table;
mod volumes;
mod words;
