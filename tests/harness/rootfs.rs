//! A native root file system for tests: busybox, static, with links for its programs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes one below `folder` and returns its path.
///
/// # Panics
/// Without `busybox-static`.
pub fn busybox(folder: &Path) -> PathBuf {
    let root = folder.join("rootfs");
    if root.join("bin/busybox").exists() {
        return root;
    }
    for dir in ["bin", "etc", "tmp", "root", "var"] {
        std::fs::create_dir_all(root.join(dir)).expect("make the root file system");
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    let list = Command::new("/bin/busybox").arg("--list").output().expect("busybox runs").stdout;
    for applet in String::from_utf8_lossy(&list).lines().filter(|name| *name != "busybox") {
        let _ = std::os::unix::fs::symlink("busybox", root.join("bin").join(applet));
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n")
        .expect("write passwd");
    std::fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n").expect("write group");
    root
}
