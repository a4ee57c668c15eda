//! What the linker is told about the one binary. It never looks at the machine that builds.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Cargo forgets `strip` for a package whose profile has anything of its own.
    println!("cargo:rustc-link-arg-bins=-Wl,--strip-all");
    // The binary can lie anywhere in memory, so 57,000 of its pointers are made right at each start. Named one by one,
    // they are a list of 1.4 MB that every process of dwell reads and that the node keeps mapped; packed, 20 kB.
    // GNU's linker knows this for fewer processors than lld, which Rust uses on x86-64.
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
