//! The end of a sandbox: on purpose, when the Pod is finished; or by accident, when pause died.
//!
//! Killing pause ends every member, in the kernel. What is left is let go: the network namespace dies with its last
//! process, the cgroup is emptied and removed, folders are deleted, the address is free again. Every step may be
//! repeated, since a node can die between any two.

use dwell_sys::complain::complain;

use super::driver::Driver;
use super::files;
use crate::blocking::{begin, blocking};
use crate::clock::now_ns;
use crate::supervise::decide;
use crate::tidy::tidy;
use crate::volume;

impl Driver {
    /// Nothing of the Pod will run again: takes everything down but its record.
    pub(super) async fn finish(&mut self) {
        self.stop_preparing();
        self.drop_sandbox().await;
        let (folders, layout, uid) = (self.volume_folders(), self.shared.layout.clone(), self.handle.uid.clone());
        self.volumes.clear();
        self.own_users = None;
        self.handle.set_users(None);
        self.journal.finished = true;
        self.save_lasting();
        let what = format!("remove the folders of Pod {}/{}", self.handle.namespace, self.handle.name);
        let cleaned = blocking(move || {
            tidy(what, || {
                volume::remove_all(&folders)?;
                dwell_sys::remove::remove_tree(&layout.run_pod(&uid))?;
                dwell_sys::remove::remove_tree(&layout.pod(&uid).join("containers"))
            });
        });
        if let Err(error) = cleaned.await {
            complain(format_args!("clean up after Pod {}/{}: {error}", self.handle.namespace, self.handle.name));
        }
        self.publish();
        let (layout, uid) = (self.shared.layout.clone(), self.handle.uid.clone());
        begin(move || {
            // Removed already, or the next write says it.
            let _ = super::record::sync(&layout.pod(&uid), &[layout.journal(&uid), layout.pod_object(&uid)]);
        });
    }

    /// Ends pause, and with it every member; gives back cgroup, address and ports.
    pub(super) async fn drop_sandbox(&mut self) {
        self.execs.clear();
        self.errands.end(None);
        self.reports.clear();
        if let Some(sandbox) = self.sandbox.take() {
            if self.pod.host_pid {
                // They are not in a namespace that ends with pause.
                sandbox.end_members().await;
            }
            sandbox.end().await;
        }
        self.clear_after_sandbox();
    }

    /// What a sandbox leaves behind, whether or not this node saw it end.
    pub(super) fn clear_after_sandbox(&mut self) {
        let pod = format!("Pod {}/{}", self.handle.namespace, self.handle.name);
        tidy(format_args!("remove the cgroup of {pod}"), || self.shared.cgroups.end_pod(&self.handle.uid));
        let network = self.journal.sandbox.take().and_then(|sandbox| sandbox.network);
        self.handle.set_huge_pages(Default::default());
        if let Some(network) = network {
            tidy(format_args!("give back the address of {pod}"), || self.shared.network.detach(&network));
        }
        let socket = self.shared.layout.pause_socket(&self.handle.uid);
        let _ = std::fs::remove_file(socket);
        let _ = dwell_sys::remove::remove_tree(&files::folder(&self.shared.layout, &self.handle.uid));
    }

    /// pause ended although nobody asked: every member is dead, and the restart policy says what follows.
    pub(super) async fn pause_died(&mut self) {
        self.drop_sandbox().await;
        self.tell(None, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.".into());
        let wanted = decide::after_pause_death(&mut self.journal, self.pod.restart_policy, now_ns());
        self.publish();
        if !wanted {
            self.finish().await;
        }
    }
}
