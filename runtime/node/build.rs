//! Makes the two small executables that the node carries inside itself: pause (one rustc call) and init (a nested
//! cargo call with a target directory of its own, since stable cargo has no artifact dependencies).
//! What went in decides when it runs again; nothing is fetched here that the workspace's lock file does not name.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let out = PathBuf::from(var("OUT_DIR"));
    let workspace = PathBuf::from(var("CARGO_MANIFEST_DIR")).join("../..");
    build_pause(&workspace, &out);
    build_init(&workspace, &out);
}

fn build_pause(workspace: &Path, out: &Path) {
    let pause = workspace.join("pause");
    println!("cargo:rerun-if-changed={}", pause.display());
    let options = std::fs::read_to_string(pause.join("options")).unwrap_or_else(|e| panic!("pause/options: {e}"));
    let mut rustc = Command::new(var("RUSTC"));
    // The linker script that the options name lies there.
    rustc.current_dir(&pause);
    rustc.args(["--edition", "2024", "--crate-name", "pause", "--crate-type", "bin"]);
    rustc.args(["--target", &var("TARGET")]);
    for option in options.lines() {
        rustc.args(["-C", option]);
    }
    // The one that cargo was told of, when it compiles for another machine.
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    rustc.arg("src/main.rs").arg("-o").arg(out.join("pause"));
    run(&mut rustc, "compile pause");
}

fn build_init(workspace: &Path, out: &Path) {
    for part in ["runtime/init/src", "runtime/sys/src", "runtime/spec/src/plan", "runtime/spec/src/lib.rs"] {
        println!("cargo:rerun-if-changed={}", workspace.join(part).display());
    }
    let target_dir = out.join("init-target");
    let mut cargo = Command::new(var("CARGO"));
    cargo.current_dir(workspace);
    cargo.args(["build", "--release", "--quiet", "-p", "dwell-init", "--target", &var("TARGET"), "--target-dir"]);
    cargo.arg(&target_dir);
    for inherited in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "CLIPPY_ARGS",
    ] {
        cargo.env_remove(inherited);
    }
    for (option, value) in [("OPT_LEVEL", "s"), ("PANIC", "abort"), ("LTO", "true"), ("CODEGEN_UNITS", "1")] {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{option}"), value);
    }
    run(&mut cargo, "build init");
    let built = target_dir.join(var("TARGET")).join("release/dwell-init");
    std::fs::copy(&built, out.join("init")).unwrap_or_else(|e| panic!("copy {}: {e}", built.display()));
}

fn run(command: &mut Command, what: &str) {
    let status = command.status().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(status.success(), "{what}: {command:?} ended with {status}");
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|e| panic!("{name}: {e}"))
}
