//! Pods as the commands see them: read from the state folder, found by name, summed up, judged. No node is needed here.
pub mod changes;
pub mod condition;
pub mod node;
pub mod outcome;
pub mod records;
pub mod select;
pub mod summary;
pub mod until;
pub mod usage;
pub mod waiting;
