//! One Pod under supervision: its record, its driver, what can be asked of it, and how a new node finds it again.

mod added;
mod change;
mod driver;
pub mod end;
mod env_files;
mod errand;
mod exec;
pub mod files;
mod huge_pages;
mod logs;
pub mod members;
pub(crate) mod neighbours;
mod place;
pub mod prepare;
pub mod record;
pub mod recover;
pub mod relay;
pub mod request;
pub(crate) mod shared;
pub mod start;
pub mod status;
mod storage;
pub mod usage;
mod users;

#[cfg(test)]
mod tests;
