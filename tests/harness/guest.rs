//! The Wasm guests that `guests/build` made.

use std::path::PathBuf;

/// Path of a guest, `hello.wasm` say: in `DWELL_GUESTS_OUT`, else `guests/out`.
///
/// # Panics
/// When it was not built.
pub fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("DWELL_GUESTS_OUT")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../guests/out"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: build it with guests/build", path.display());
    path.canonicalize().expect("a guest's path")
}
