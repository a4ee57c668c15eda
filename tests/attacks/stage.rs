//! What an attack needs: a node, an image to spoil, and a folder of the host's that nobody may reach.
//!
//! Whoever is led astray reads, makes, mounts or changes something there; `look` sees all of that.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use dwell_tests::manifest::{Manifest, rooted, wasm};
use dwell_tests::node::{Node, Said};
use dwell_tests::{guest, rootfs};

/// What stands in the victim's one file, and nowhere else.
pub const SECRET: &str = "the host's own";

/// A node with its bait.
pub struct Stage {
    pub node: Node,
    /// A root file system with busybox, and guests in its `/bin`.
    pub image: PathBuf,
    /// A folder with one file, `kept`.
    pub victim: PathBuf,
}

impl Stage {
    pub fn new() -> Stage {
        let node = Node::new();
        let image = rootfs::busybox(&node.files());
        for name in ["escape.wasm", "files.wasm", "spin.wasm", "sleep.wasm"] {
            std::fs::copy(guest::path(name), image.join("bin").join(name)).expect("copies the guest");
        }
        let victim = node.files().join("victim");
        std::fs::create_dir(&victim).expect("makes");
        std::fs::write(victim.join("kept"), SECRET).expect("writes");
        std::fs::set_permissions(victim.join("kept"), std::fs::Permissions::from_mode(0o640)).expect("sets");
        Stage { node, image, victim }
    }

    /// All that can be told of the victim: what is in it, whose that is, and what is mounted there.
    pub fn look(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.victim).expect("lists").map(|entry| entry.expect("an entry").path());
        let mut told: Vec<String> = entries.chain([self.victim.clone()]).map(|path| describe(&path)).collect();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("reads");
        told.extend(mounts.lines().filter(|line| line.contains(&*self.victim.to_string_lossy())).map(str::to_owned));
        told.sort();
        told
    }

    /// The two ways in which a link can say where something of the host's is.
    pub fn ways(&self, to: &Path) -> [PathBuf; 2] {
        [to.to_owned(), Path::new("../../../../../../../..").join(to.strip_prefix("/").expect("absolute"))]
    }

    /// Puts a link into the image, in the place of whatever it has there.
    pub fn link(&self, at: &str, to: impl AsRef<Path>) {
        let at = self.image.join(at);
        let _ = std::fs::remove_dir_all(&at);
        let _ = std::fs::remove_file(&at);
        std::fs::create_dir_all(at.parent().expect("a folder")).expect("makes");
        symlink(to, at).expect("links");
    }

    /// Puts a file into the image.
    pub fn file(&self, at: &str, text: &str) {
        let at = self.image.join(at);
        std::fs::create_dir_all(at.parent().expect("a folder")).expect("makes");
        std::fs::write(at, text).expect("writes");
    }

    /// A folder of the host's that members are given.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.node.files().join(name);
        std::fs::create_dir_all(&folder).expect("makes");
        folder
    }

    /// A native container of the image that runs a script.
    pub fn native(&self, name: &str, script: &str, more: &[&str]) -> String {
        rooted(&self.image, name, &["sh", "-c", script], more)
    }

    /// A Wasm container of the same image, whose guest tries these doors (`guests/c/escape.c`).
    pub fn wasm(&self, name: &str, doors: &[&str], more: &[&str]) -> String {
        self.guest(name, &[&["escape.wasm"], &*words(doors)].concat(), more)
    }

    /// The same guest by itself: whoever has no root of an image finds relative paths in its working directory.
    pub fn module(&self, name: &str, doors: &[&str], more: &[&str]) -> String {
        wasm(name, "escape.wasm", &words(doors), more)
    }

    /// Another guest of the image's, by its name and words.
    pub fn guest(&self, name: &str, words: &[&str], more: &[&str]) -> String {
        let program = format!("/bin/{}", words[0]);
        rooted(&self.image, name, &[&[&*program], &words[1..]].concat(), more)
    }

    /// Runs a Pod of one container, and removes it.
    pub fn once(&self, container: String, spec: &[&str]) -> Said {
        let pod = spec.iter().fold(Manifest::new("attack"), |pod, line| pod.spec(line));
        let said = self.node.run(&pod.with(container).text());
        self.node.dwell(&["rm", "-f", "attack"]);
        said
    }
}

/// A document of one ConfigMap, before another.
pub const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {app.conf: setting}\n---\n";

/// `volumes` with one of the host's folders, `v`.
pub fn host_path(folder: &Path) -> String {
    format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", folder.display())
}

/// Where that one is mounted.
pub const MOUNTED: &str = "volumeMounts: [{name: v, mountPath: /data}]";

/// Panics if a guest got through a door, or tried none.
#[track_caller]
pub fn all_shut(said: &Said) {
    assert!(said.out.contains(": errno ") && !said.out.contains(": ok"), "{said:#?}");
}

/// Words of a guest that tries doors.
fn words<'a>(doors: &[&'a str]) -> Vec<&'a str> {
    let mut words = Vec::new();
    for (number, door) in doors.iter().enumerate() {
        words.extend((number > 0).then_some("--"));
        words.extend(door.split(' '));
    }
    words
}

fn describe(path: &Path) -> String {
    let found = std::fs::symlink_metadata(path).expect("it is there");
    let text = if found.is_file() { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    let entries = if found.is_dir() { std::fs::read_dir(path).expect("lists").count() } else { 0 };
    let times = (found.ctime(), found.ctime_nsec());
    format!("{} {:o} {}:{} {entries} {times:?} {text}", path.display(), found.mode(), found.uid(), found.gid())
}
