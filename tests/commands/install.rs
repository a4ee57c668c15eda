//! `dwell install` and `dwell uninstall`: what is put, and that nothing else is touched.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dwell_tests::node::{Node, Said, binary};

/// Every path below a folder.
fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        found.push(entry.path());
        if entry.path().is_dir() {
            found.extend(paths(&entry.path()));
        }
    }
    found.sort();
    found
}

struct Machine {
    node: Node,
    root: PathBuf,
}

impl Machine {
    /// An empty one, with systemd or without.
    fn new(systemd: bool) -> Machine {
        let node = Node::new();
        let root = node.files().join("machine");
        std::fs::create_dir_all(root.join("usr/lib/systemd")).unwrap();
        if systemd {
            std::fs::write(root.join("usr/lib/systemd/systemd"), "").unwrap();
        }
        Machine { node, root }
    }

    fn dwell(&self, args: &[&str]) -> Said {
        self.node.dwell(&[args, &["--root", self.root.to_str().unwrap()]].concat())
    }
}

#[test]
fn all_is_put_in_its_place_and_taken_away_again() {
    let machine = Machine::new(true);
    std::fs::create_dir_all(machine.root.join("usr/local/share/man")).unwrap();
    let before = paths(&machine.root);
    let said = machine.dwell(&["install"]).ok();
    let root = &machine.root;
    assert!(said.lines().all(|path| Path::new(path).exists()) && said.lines().count() > 20, "{said}");
    assert_eq!(std::fs::read(root.join("usr/local/bin/dwell")).unwrap(), std::fs::read(binary()).unwrap());
    let mode = std::fs::metadata(root.join("usr/local/bin/dwell")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    let version = Command::new(root.join("usr/local/bin/dwell")).arg("--version").output().unwrap();
    assert!(version.status.success());
    let unit = std::fs::read_to_string(root.join("etc/systemd/system/dwell.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/dwell serve --replace"), "{unit}");
    assert!(root.join("etc/dwell/pods").is_dir());
    let page = std::fs::read_to_string(root.join("usr/local/share/man/man1/dwell-debug.1")).unwrap();
    assert!(page.contains(".SH SYNOPSIS") && page.contains("targetContainerName") || page.contains("target"), "{page}");
    let bash = std::fs::read_to_string(root.join("usr/local/share/bash-completion/completions/dwell")).unwrap();
    assert!(bash.contains("port-forward"));
    let installed = paths(root);
    machine.dwell(&["install"]).ok();
    assert_eq!(paths(root), installed, "again: nothing more");
    machine.dwell(&["uninstall"]).ok();
    assert_eq!(paths(root), before);
    let none = machine.dwell(&["uninstall"]);
    assert!(none.code == 125 && none.err.contains("nothing was installed"), "{none:#?}");
}

#[test]
fn what_is_somebody_elses_is_left_alone() {
    let machine = Machine::new(false);
    let root = &machine.root;
    std::fs::create_dir_all(root.join("opt/bin")).unwrap();
    std::fs::write(root.join("opt/bin/dwell"), "another program").unwrap();
    let before = paths(root);
    let refused = machine.dwell(&["install", "--prefix", "/opt"]);
    assert!(refused.code == 125 && refused.err.contains("opt/bin/dwell is there already"), "{refused:#?}");
    assert_eq!(paths(root), before, "nothing was put");
    machine.dwell(&["install", "--prefix", "/opt", "--force"]).ok();
    assert!(!root.join("etc").exists(), "no unit without systemd");
    std::fs::write(root.join("opt/share/man/man1/other.1"), "").unwrap();
    machine.dwell(&["uninstall", "--prefix", "/opt"]).ok();
    assert!(root.join("opt/share/man/man1/other.1").exists() && !root.join("opt/bin/dwell").exists());
    let relative = machine.dwell(&["install", "--prefix", "opt"]);
    assert!(relative.code == 125 && relative.err.contains("is not absolute"), "{relative:#?}");
}

#[test]
fn a_service_that_is_enabled_is_not_taken_away() {
    let machine = Machine::new(true);
    machine.dwell(&["install"]).ok();
    let wants = machine.root.join("etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wants).unwrap();
    std::os::unix::fs::symlink("/etc/systemd/system/dwell.service", wants.join("dwell.service")).unwrap();
    let refused = machine.dwell(&["uninstall"]);
    assert!(refused.code == 125 && refused.err.contains("systemctl disable"), "{refused:#?}");
    assert!(machine.root.join("usr/local/bin/dwell").exists());
}

/// A disk that fills in the middle leaves what can be undone.
#[test]
fn an_installation_that_breaks_off_can_be_undone() {
    let machine = Machine::new(true);
    let before = paths(&machine.root);
    // In the way of the last thing but one.
    std::fs::create_dir_all(machine.root.join("etc/systemd/system/dwell.service/full")).unwrap();
    let blocked = paths(&machine.root);
    let failed = machine.dwell(&["install", "--force"]);
    assert!(failed.code == 125 && failed.err.contains("dwell.service"), "{failed:#?}");
    std::fs::remove_dir_all(machine.root.join("etc")).unwrap();
    machine.dwell(&["uninstall"]).ok();
    assert_eq!(paths(&machine.root), before);
    assert!(blocked.len() > before.len(), "control");
}
