//! The Pod's own small files: `hosts`, `hostname`, `resolv.conf`, as Kubernetes writes them; and report files.
//!
//! They lie in the Pod's run folder, root's alone, and are bound read-only or read-write into members by descriptor.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use dwell_spec::facts::PodIp;
use dwell_spec::plan::neighbours::with_neighbours;
use dwell_spec::plan::pod::PodPlan;
use dwell_spec::plan::pod_files;
use dwell_spec::pod::Pod;

use super::neighbours;
use super::shared::Shared;
use crate::layout::Layout;

/// Where they lie.
pub(super) fn folder(layout: &Layout, uid: &str) -> PathBuf {
    layout.run_pod(uid).join("etc")
}

/// Writes all three.
pub(super) fn write(shared: &Shared, uid: &str, pod: &Pod, plan: &PodPlan, ip: PodIp) -> io::Result<()> {
    let folder = folder(&shared.layout, uid);
    std::fs::create_dir_all(&folder)?;
    let hosts = pod_files::hosts(pod, &shared.facts, &ip);
    let hosts = with_neighbours(&hosts, &pod.namespace, &pod.name, &neighbours::all(shared));
    let hostname = if pod.host_network { &shared.facts.hostname } else { &plan.sandbox.hostname };
    std::fs::write(folder.join("hosts"), hosts)?;
    std::fs::write(folder.join("hostname"), format!("{hostname}\n"))?;
    std::fs::write(folder.join("resolv.conf"), &plan.resolv_conf)
}

/// A report file for one start, empty.
pub(super) fn open_report(own_folder: &Path) -> io::Result<File> {
    File::options().create(true).truncate(true).read(true).write(true).open(own_folder.join("report"))
}

/// The report file of a start that an earlier node made.
pub(super) fn reopen_report(own_folder: &Path) -> Option<File> {
    File::open(own_folder.join("report")).ok()
}
