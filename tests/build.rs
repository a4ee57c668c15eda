//! Compiles the programs that tests start and that are no part of dwell: they must also run where there is no compiler,
//! as in the second machine.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    for source in ["walls/probe.c", "faults/inject.c"] {
        let mut cc = Command::new("cc");
        compile(cc.args(["-static", "-O1"]), source);
    }
    let mut rustc = Command::new(std::env::var_os("RUSTC").expect("cargo sets it"));
    rustc
        .args(["--edition", "2024", "--crate-type", "bin", "--target"])
        .arg(std::env::var_os("TARGET").expect("cargo sets it"));
    if let Some(linker) = std::env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    compile(
        rustc.args(["-C", "panic=abort", "-C", "opt-level=2", "-C", "target-feature=+crt-static"]),
        "pause/member.rs",
    );
}

fn compile(compiler: &mut Command, source: &str) {
    println!("cargo::rerun-if-changed={source}");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let out = folder.join(Path::new(source).file_stem().expect("has one"));
    let built = compiler.arg(source).arg("-o").arg(out).status();
    assert!(built.is_ok_and(|status| status.success()), "tests/{source} cannot be compiled");
}
