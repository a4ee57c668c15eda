//! What is written to the user: styles, tables, members' output with prefixes, progress. Knows no verb and no node.
pub mod members;
pub mod object;
pub mod pods;
pub mod progress;
pub mod sanitise;
pub mod style;
pub mod table;
