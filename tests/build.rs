//! Compiles the C programs that tests start: they must also run where there is no compiler, as in the second machine.

use std::path::Path;
use std::process::Command;

fn main() {
    for source in ["walls/probe.c", "faults/inject.c"] {
        println!("cargo::rerun-if-changed={source}");
        let name = Path::new(source).file_stem().expect("has one");
        let out = Path::new(&std::env::var_os("OUT_DIR").expect("cargo sets it")).join(name);
        let built = Command::new("cc").args(["-static", "-O1", "-o"]).arg(out).arg(source).status();
        assert!(built.is_ok_and(|status| status.success()), "cc cannot build tests/{source}");
    }
}
