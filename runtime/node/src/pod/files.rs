//! The Pod's own small files: `hosts`, `hostname`, `resolv.conf`, as Kubernetes writes them; and report files.
//!
//! They lie in the Pod's run folder, root's alone, and are bound read-only or read-write into members by descriptor.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use dwell_spec::facts::PodIp;
use dwell_spec::plan::pod::PodPlan;
use dwell_spec::pod::Pod;

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
    let hosts =
        if pod.host_network { std::fs::read_to_string("/etc/hosts").unwrap_or_default() } else { hosts(pod, ip) };
    let hostname = if pod.host_network { &shared.facts.hostname } else { &plan.sandbox.hostname };
    std::fs::write(folder.join("hosts"), hosts)?;
    std::fs::write(folder.join("hostname"), format!("{hostname}\n"))?;
    std::fs::write(folder.join("resolv.conf"), &plan.resolv_conf)
}

/// The text of the Pod's `hosts` file, in the kubelet's form.
pub(super) fn hosts(pod: &Pod, ip: PodIp) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let addresses = ip.v4.map(|v4| v4.to_string()).into_iter().chain(ip.v6.map(|v6| v6.to_string()));
    for address in addresses {
        let _ = writeln!(text, "{address}\t{}", pod.hostname);
    }
    text
}

/// A report file for one start, empty.
pub(super) fn open_report(own_folder: &Path) -> io::Result<File> {
    File::options().create(true).truncate(true).read(true).write(true).open(own_folder.join("report"))
}

/// The report file of a start that an earlier node made.
pub(super) fn reopen_report(own_folder: &Path) -> Option<File> {
    File::open(own_folder.join("report")).ok()
}
