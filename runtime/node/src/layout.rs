//! The state folder: which file lies where. Pure: builds paths, touches nothing.
//!
//! Two roots: `lib` outlives a boot (Pods, logs, cache), `run` does not (sockets). Both move together with
//! `--state-dir DIR` or `DWELL_STATE_DIR` (`DIR/lib`, `DIR/run`); every state folder has a node of its own, and its
//! `id()` keeps the names of their bridges, tables and cgroups apart.
//! Callers pass names that were checked (a Pod's uid, a container's DNS label): a name is joined as one component, and
//! one that is not a single ordinary component is replaced by a name that cannot exist, so nothing climbs out.

use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

/// The variable that moves the state folder, as `--state-dir` does.
pub const STATE_DIR_VARIABLE: &str = "DWELL_STATE_DIR";

const DEFAULT_LIB: &str = "/var/lib/dwell";
const DEFAULT_RUN: &str = "/run/dwell";

/// The paths of one state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    lib: PathBuf,
    run: PathBuf,
    state_dir: Option<PathBuf>,
}

impl Layout {
    /// The layout below `state_dir`, else below `DWELL_STATE_DIR`, else the system's own folders.
    /// A relative folder is resolved against the working directory, here and now.
    pub fn new(state_dir: Option<PathBuf>) -> Self {
        let from_env = || std::env::var_os(STATE_DIR_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self::at(state_dir.or_else(from_env))
    }

    /// The layout below exactly this folder; the system's own folders for `None`. Reads no variable.
    pub fn at(state_dir: Option<PathBuf>) -> Self {
        match state_dir.map(absolute) {
            None => Self { lib: DEFAULT_LIB.into(), run: DEFAULT_RUN.into(), state_dir: None },
            Some(dir) => Self { lib: dir.join("lib"), run: dir.join("run"), state_dir: Some(dir) },
        }
    }

    /// The folder that was asked for, absolute; `None` for the system's own.
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// What outlives a boot.
    pub fn lib(&self) -> &Path {
        &self.lib
    }

    /// What does not outlive a boot.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Locked (`flock`, exclusive) by the node as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.lib.join("lock")
    }

    /// The node's unix socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("dwell.sock")
    }

    /// Standard error of a node that was started on demand.
    pub fn node_log(&self) -> PathBuf {
        self.lib.join("node.log")
    }

    /// One folder for each Pod.
    pub fn pods(&self) -> PathBuf {
        self.lib.join("pods")
    }

    /// The folder of one Pod.
    pub fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(one_component(uid))
    }

    /// The `v1.Pod` as JSON, status included; replaced atomically by the node at each change.
    pub fn pod_object(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("pod.json")
    }

    /// The node's private record of a Pod.
    pub fn journal(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("journal.json")
    }

    /// The log files of one container.
    pub fn logs(&self, uid: &str, container: &str) -> PathBuf {
        self.pod(uid).join("logs").join(one_component(container))
    }

    /// One log file: `attempt` is the restart count at its start, `part` counts rotations from 0.
    pub fn log_file(&self, uid: &str, container: &str, attempt: u32, part: u32) -> PathBuf {
        self.logs(uid, container).join(log_file_name(attempt, part))
    }

    /// The volumes that live on disk.
    pub fn volumes(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    /// Writable layer and reports of one container.
    pub fn container_dir(&self, uid: &str, name: &str) -> PathBuf {
        self.pod(uid).join("containers").join(one_component(name))
    }

    /// System call filters in files, which a person puts there.
    pub fn filters(&self) -> PathBuf {
        self.lib.join("seccomp")
    }

    /// The folders of a namespace's claims.
    pub fn claims(&self, namespace: &str) -> PathBuf {
        self.lib.join("claims").join(one_component(namespace))
    }

    /// The folder of one claim.
    pub fn claim(&self, namespace: &str, name: &str) -> PathBuf {
        self.claims(namespace).join(one_component(name))
    }

    /// What is left of claims that are being removed; no namespace has such a name.
    pub fn removed_claims(&self) -> PathBuf {
        self.lib.join("claims").join(".removed")
    }

    /// ConfigMaps and Secrets; root only.
    pub fn settings(&self) -> PathBuf {
        self.lib.join("settings")
    }

    /// Compiled modules, by content; root only.
    pub fn cache(&self) -> PathBuf {
        self.lib.join("cache")
    }

    /// What is known of modules and of their compiled forms in this boot; root only.
    pub fn known_modules(&self) -> PathBuf {
        self.run.join("modules")
    }

    /// One folder for each Pod, for what does not outlive a boot.
    pub fn run_pods(&self) -> PathBuf {
        self.run.join("pods")
    }

    /// What of a Pod does not outlive a boot.
    pub fn run_pod(&self, uid: &str) -> PathBuf {
        self.run_pods().join(one_component(uid))
    }

    /// The object of a Pod that is not finished, as it is now; it wins over `pod_object`.
    pub fn run_object(&self, uid: &str) -> PathBuf {
        self.run_pod(uid).join("pod.json")
    }

    /// The journal of a Pod that is not finished, as it is now; it wins over `journal`.
    pub fn run_journal(&self, uid: &str) -> PathBuf {
        self.run_pod(uid).join("journal.json")
    }

    /// The socket on which a Pod's pause listens.
    pub fn pause_socket(&self, uid: &str) -> PathBuf {
        self.run_pod(uid).join("pause.sock")
    }

    /// Eight hexadecimal digits that name this state folder's bridge, table and cgroup.
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.lib.as_os_str().as_encoded_bytes());
        digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// `<attempt>.<part>.log`
pub fn log_file_name(attempt: u32, part: u32) -> String {
    format!("{attempt}.{part}.log")
}

/// The attempt and the part of a log file's name; `None` for any other name.
pub fn parse_log_file_name(name: &str) -> Option<(u32, u32)> {
    let (attempt, part) = name.strip_suffix(".log")?.split_once('.')?;
    let parsed = (attempt.parse().ok()?, part.parse().ok()?);
    (log_file_name(parsed.0, parsed.1) == name).then_some(parsed)
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// `name` if it is one ordinary path component, else a component that no file has (names on disk hold no newline).
fn one_component(name: &str) -> &str {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => name,
        _ => "not-a-name\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_folders_and_moved_folders() {
        let system = Layout::at(None);
        assert_eq!(system.lock(), Path::new("/var/lib/dwell/lock"));
        assert_eq!(system.socket(), Path::new("/run/dwell/dwell.sock"));
        let moved = Layout::at(Some("/tmp/x".into()));
        assert_eq!(moved.node_log(), Path::new("/tmp/x/lib/node.log"));
        assert_eq!(moved.pause_socket("u1"), Path::new("/tmp/x/run/pods/u1/pause.sock"));
        assert_eq!(moved.log_file("u1", "web", 2, 10), Path::new("/tmp/x/lib/pods/u1/logs/web/2.10.log"));
    }

    #[test]
    fn a_relative_folder_becomes_absolute() {
        let layout = Layout::at(Some("state".into()));
        assert!(layout.lib().is_absolute());
        assert!(layout.lib().ends_with("state/lib"));
    }

    #[test]
    fn ids_are_stable_and_differ() {
        let id = Layout::at(None).id();
        assert_eq!(id.len(), 8);
        assert!(id.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(id, Layout::at(None).id());
        assert_ne!(id, Layout::at(Some("/tmp/x".into())).id());
    }

    #[test]
    fn names_cannot_climb_out() {
        let layout = Layout::at(Some("/s".into()));
        for hostile in ["..", ".", "", "a/b", "/etc", "../x", "a/", "a/."] {
            assert_eq!(layout.pod(hostile), Path::new("/s/lib/pods/not-a-name\n"), "{hostile:?}");
        }
        assert_eq!(layout.pod("a..b"), Path::new("/s/lib/pods/a..b"));
    }

    #[test]
    fn log_file_names_round_trip() {
        assert_eq!(parse_log_file_name("0.0.log"), Some((0, 0)));
        assert_eq!(parse_log_file_name("12.3.log"), Some((12, 3)));
        for other in ["0.log", "a.0.log", "00.0.log", "+1.0.log", "0.0.log.gz", ".0.log", "-1.0.log"] {
            assert_eq!(parse_log_file_name(other), None, "{other}");
        }
    }
}
