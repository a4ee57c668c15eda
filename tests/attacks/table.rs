//! Which test is whose. A hole whose test went away, or lost its native or its Wasm half, fails here.
//!
//! The sources are compiled in, so that the table is checked wherever the tests run.

/// A hole of the field, and where it is tried: with a native member by `cve_YEAR_NUMBER_…`, with a Wasm one by
/// `cve_YEAR_NUMBER_wasm_…`.
struct Hole {
    id: &'static str,
    /// Whose it was.
    of: &'static str,
    /// What it was, in a few words.
    what: &'static str,
    /// The file of this folder.
    file: &'static str,
}

const fn hole(id: &'static str, of: &'static str, what: &'static str, file: &'static str) -> Hole {
    Hole { id, of, what, file }
}

/// The newest of runc, crun, podman with its builder, and containerd, newest first.
const NEWEST: [Hole; 25] = [
    hole("CVE-2026-55686", "podman", "a working directory made and given away behind a link", "directories.rs"),
    hole("CVE-2026-53492", "containerd", "devices and mounts that an archive smuggles in", "words.rs"),
    hole("CVE-2026-53489", "containerd", "a log that is a link", "words.rs"),
    hole("CVE-2026-47766", "crun", "names in an image's /dev that are links", "images.rs"),
    hole("CVE-2026-41579", "runc", "an image's /dev that is a link", "images.rs"),
    hole("CVE-2026-30892", "crun", "a user of an exec that is read leniently", "identity.rs"),
    hole("CVE-2025-52881", "runc", "a write to /proc that lands in a fake one", "images.rs"),
    hole("CVE-2025-52565", "runc", "a terminal that is a link, bound as the console", "images.rs"),
    hole("CVE-2025-47290", "containerd", "a folder exchanged under an archive", "copies.rs"),
    hole("CVE-2025-31133", "runc", "a /dev/null that is a link, bound as a cover", "images.rs"),
    hole("CVE-2025-24965", "crun", "a file of the runtime's written through a link", "contents.rs"),
    hole("CVE-2025-9566", "podman", "a ConfigMap written through a link in its volume", "projected.rs"),
    hole("CVE-2024-45310", "runc", "mount points made through a racing link", "volumes.rs"),
    hole("CVE-2024-40635", "containerd", "a user that wraps to root", "identity.rs"),
    hole("CVE-2024-25621", "containerd", "state that every user of the host enters", "host.rs"),
    hole("CVE-2024-21626", "runc", "a working directory through an open descriptor", "directories.rs"),
    hole("CVE-2024-11218", "podman", "a file exchanged under a mount", "volumes.rs"),
    hole("CVE-2024-9676", "podman", "an account file that is a FIFO", "contents.rs"),
    hole("CVE-2024-9675", "podman", "a name of a cache that climbs", "volumes.rs"),
    hole("CVE-2024-9407", "podman", "a propagation that is another source", "volumes.rs"),
    hole("CVE-2024-9341", "podman", "a folder of the host's mounted through a link", "contents.rs"),
    hole("CVE-2023-28642", "runc", "a /proc that is moved out of the way", "contents.rs"),
    hole("CVE-2023-27561", "runc", "a /proc or /sys that is a link", "contents.rs"),
    hole("CVE-2023-25809", "runc", "cgroups that may be written", "host.rs"),
    hole("CVE-2023-0778", "podman", "a volume exported through a racing link", "copies.rs"),
];

/// Older ones, and those where what an image says decides.
const OTHERS: [Hole; 8] = [
    hole("CVE-2026-57231", "podman", "a variable taken from the host's environment", "words.rs"),
    hole("CVE-2026-53488", "containerd", "a label that runs a program of the host's", "words.rs"),
    hole("CVE-2022-27650", "crun", "capabilities that an exec inherits", "identity.rs"),
    hole("CVE-2022-27649", "podman", "capabilities that a member inherits", "identity.rs"),
    hole("CVE-2022-23648", "containerd", "files of the host's copied into a volume", "contents.rs"),
    hole("CVE-2021-32760", "containerd", "modes changed behind an archive's link", "copies.rs"),
    hole("CVE-2021-25741", "kubelet", "a subPath exchanged under its mount", "volumes.rs"),
    hole("CVE-2020-15257", "containerd", "an abstract socket on the host's network", "host.rs"),
];

/// What init refuses by itself, and the planner: ids, and the source that has a test of each.
const BY_THEMSELVES: [(&[&str], &str); 2] = [
    (
        &["CVE-2026-55686", "CVE-2026-41579", "CVE-2025-52881", "CVE-2025-52565", "CVE-2025-31133", "CVE-2024-21626"],
        include_str!("../init/hostile.rs"),
    ),
    (&["CVE-2024-40635", "CVE-2026-30892"], include_str!("../../runtime/spec/src/plan/user.rs")),
];

const SOURCES: [(&str, &str); 9] = [
    ("contents.rs", include_str!("contents.rs")),
    ("copies.rs", include_str!("copies.rs")),
    ("directories.rs", include_str!("directories.rs")),
    ("host.rs", include_str!("host.rs")),
    ("identity.rs", include_str!("identity.rs")),
    ("images.rs", include_str!("images.rs")),
    ("projected.rs", include_str!("projected.rs")),
    ("volumes.rs", include_str!("volumes.rs")),
    ("words.rs", include_str!("words.rs")),
];

fn source(file: &str) -> &'static str {
    let found = SOURCES.iter().find(|(name, _)| *name == file);
    found.unwrap_or_else(|| panic!("{file} is not compiled in")).1
}

/// Names of the tests of a source that begin like this.
fn tests<'a>(source: &'a str, begin: &str) -> Vec<&'a str> {
    let of_a_test = source.split("#[test]").skip(1).filter_map(|rest| rest.trim_start().strip_prefix("fn "));
    of_a_test.filter_map(|rest| rest.split('(').next()).filter(|name| name.starts_with(begin)).collect()
}

fn begin(id: &str) -> String {
    id.to_lowercase().replace('-', "_") + "_"
}

#[test]
fn every_hole_has_a_test_of_its_name_for_both_kinds_of_member() {
    for Hole { id, of, what, file } in NEWEST.iter().chain(&OTHERS) {
        let found = tests(source(file), &begin(id));
        let of_wasm = found.iter().filter(|name| name.starts_with(&format!("{}wasm_", begin(id)))).count();
        assert!(of_wasm > 0 && found.len() > of_wasm, "{id} of {of} ({what}): {found:?} in {file}");
    }
}

#[test]
fn init_and_the_planner_have_theirs() {
    for (ids, source) in BY_THEMSELVES {
        for id in ids {
            assert!(!tests(source, &begin(id)).is_empty(), "{id}");
        }
    }
}

/// A name in a source that the table does not know would be a hole that nobody misses.
#[test]
fn every_test_named_after_a_hole_is_in_the_table() {
    let known: Vec<String> = NEWEST.iter().chain(&OTHERS).map(|hole| begin(hole.id)).collect();
    for (file, source) in SOURCES {
        for test in tests(source, "cve_") {
            assert!(known.iter().any(|begin| test.starts_with(begin)), "{test} of {file}");
        }
    }
}

/// A control of the search itself.
#[test]
fn a_test_that_is_not_there_is_not_found() {
    assert_eq!(tests("#[test]\nfn cve_1_a() {}\nfn cve_2_b() {}", "cve_"), ["cve_1_a"]);
    assert_eq!(tests(source("copies.rs"), "cve_2025_4729_"), Vec::<&str>::new());
}
