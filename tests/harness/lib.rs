//! Harness of the whole-system tests: a node of its own per test, the real binary, an inventory of the host.
//!
//! Every test gets a state folder of its own, so that tests run side by side and beside a user's node. What a test
//! made goes when its `Node` is dropped, also when the test panicked. Nothing here is stubbed.

pub mod embedded;
pub mod guest;
pub mod host;
pub mod inventory;
pub mod manifest;
pub mod member;
pub mod node;
pub mod rootfs;
pub mod world;
