//! The walls around members, through the assembled product: a list written by hand, not a snapshot of what the code
//! does.
//!
//! Every test has a control in which the one wall is left out and the same probe succeeds: by the manifest
//! (`hostNetwork`, `shareProcessNamespace`, a writable mount, a higher limit), by entering a member's namespaces as the
//! host's root (so that only filter, capabilities and cgroup are missing), or on the host itself. Without it a test
//! could pass because its probe never works.
//!
//! What init, pause and worker refuse by themselves is tested beside them, with plans from which one step was taken.

mod bounds;
mod descriptors;
mod devices;
mod files;
mod grants;
mod images;
mod kernel;
mod network;
mod privileges;
mod probe;
mod processes;
mod terminal;
mod worker;

use dwell_tests::{manifest, member};
