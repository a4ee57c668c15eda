//! How a new node finds the Pods of the one before it: each by its record on disk, each sandbox by its pause.
//!
//! ```text
//! record, pause answers      → adopt: take over its exits and living members, go on
//! record, half a sandbox     → the node was killed while making it: removed, and made anew
//! record, pause is gone      → its members died with it; the restart policy decides
//! record, another boot       → the same, and nothing of the sandbox is left
//! no record, cgroup or folder → an orphan of a node that was killed between two steps: removed
//! ```
//! Must never start anything: that is the driver's, once it knows what lives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dwell_spec::pod as checked;
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::Pod;

use super::driver::Driver;
use super::record;
use super::shared::{PodHandle, Shared};
use crate::clock::now_ns;
use crate::sandbox::Sandbox;
use crate::sandbox::keeper::{Hello, Keeper};
use crate::supervise::journal::Journal;
use crate::tidy::tidy;

/// What was found of a Pod's sandbox.
#[derive(Debug)]
pub(crate) enum Found {
    /// Its pause answered.
    Alive(Box<(Keeper, Hello)>),
    /// The node was killed while it made it; pause may live already.
    Unfinished(Option<Box<(Keeper, Hello)>>),
    /// It is gone.
    Gone,
    /// There was none.
    Never,
}

/// Takes over every Pod of the state folder, and removes what belongs to none.
pub(crate) async fn recover(shared: &Arc<Shared>) {
    let (mut known, mut finding) = (Vec::new(), Vec::new());
    for uid in recorded(&shared.layout.pods()) {
        match read(shared, &uid) {
            Ok((object, pod, journal)) => {
                known.push(uid);
                let shared = shared.clone();
                // All at once: a pause that says nothing holds up no other Pod.
                finding.push(tokio::spawn(async move {
                    let found = find(&shared, &object, &journal).await;
                    (object, pod, journal, found)
                }));
            }
            Err(error) => discard(shared, &uid, &error),
        }
    }
    for found in finding {
        match found.await {
            Ok((object, pod, journal, found)) => take_over(shared, object, pod, journal, found),
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
    remove_orphans(shared, &known);
    tidy("bring the firewall table in order", || shared.network.settle());
}

fn recorded(pods: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(pods) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn read(shared: &Shared, uid: &str) -> Result<(Pod, checked::Pod, Journal), String> {
    let object: Pod = newest(shared.layout.run_object(uid), shared.layout.pod_object(uid), "pod.json")?;
    let mut journal: Journal = newest(shared.layout.run_journal(uid), shared.layout.journal(uid), "journal.json")?;
    let problems = |problems: Vec<dwell_spec::manifest::problem::Problem>| {
        problems.first().map_or_else(String::new, |problem| format!("{}: {}", problem.path, problem.message))
    };
    let pod = checked::Pod::try_from(&object).map_err(problems)?;
    journal.add_missing(&pod);
    Ok((object, pod, journal))
}

fn newest<T: serde::de::DeserializeOwned>(now: PathBuf, lasting: PathBuf, name: &str) -> Result<T, String> {
    record::read_newest(&now, &lasting).map_err(|error| format!("{name}: {error}"))
}

/// A folder without a whole record is that of a Pod whose acceptance was never answered: nothing was promised.
fn discard(shared: &Shared, uid: &str, why: &str) {
    complain(format_args!("remove the unfinished record of Pod {uid}: {why}"));
    tidy(format_args!("remove the record of Pod {uid}"), || dwell_sys::remove::remove_tree(&shared.layout.pod(uid)));
}

fn take_over(shared: &Arc<Shared>, object: Pod, pod: checked::Pod, journal: Journal, found: Found) {
    if let (Found::Alive(_), Some(sandbox)) = (&found, &journal.sandbox)
        && let Some(network) = &sandbox.network
    {
        shared.network.adopt(network.clone());
    }
    let (handle, requests) = PodHandle::new(object);
    handle.set_finished(journal.finished);
    handle.set_users(journal.sandbox.as_ref().and_then(|sandbox| sandbox.users));
    if journal.sandbox.is_some() {
        handle.set_huge_pages(pod.huge_pages());
    }
    shared.adopt(handle.clone());
    shared.supervise(handle, requests, pod, journal, Some(found));
}

async fn find(shared: &Shared, object: &Pod, journal: &Journal) -> Found {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    if journal.finished {
        return Found::Never;
    }
    if journal.boot_id != shared.boot_id {
        return Found::Gone;
    }
    let Some(sandbox) = &journal.sandbox else { return Found::Never };
    match Keeper::connect(&shared.layout.pause_socket(uid)).await {
        Ok(alive) if sandbox.stands => Found::Alive(Box::new(alive)),
        Ok(alive) => Found::Unfinished(Some(Box::new(alive))),
        Err(_) if !sandbox.stands => Found::Unfinished(None),
        Err(error) => {
            let key = |part: &Option<String>| part.clone().unwrap_or_default();
            let (namespace, name) = (key(&object.metadata.namespace), key(&object.metadata.name));
            complain(format_args!("reach the pause of Pod {namespace}/{name}: {}", crate::chain::chain(&error)));
            Found::Gone
        }
    }
}

/// What is left of Pods that are not among the known (or of any that may still run): cgroups with whoever lives in them,
/// volumes in memory, run folders.
pub(crate) fn remove_orphans(shared: &Shared, known: &[String]) {
    for uid in shared.cgroups.list_pods().iter().filter(|uid| !known.contains(uid)) {
        tidy(format_args!("remove the cgroup of {uid}"), || shared.cgroups.end_pod(uid));
    }
    for uid in recorded(&shared.layout.run_pods()).iter().filter(|uid| !known.contains(uid)) {
        let memory = shared.layout.run_pod(uid).join("volumes");
        tidy(format_args!("remove the run folder of {uid}"), || {
            crate::volume::remove_memory(&memory)?;
            dwell_sys::remove::remove_tree(&shared.layout.run_pod(uid))
        });
    }
}

impl Driver {
    /// Continues where the node before stopped.
    pub(super) async fn resume(&mut self, found: Found) {
        self.journal.boot_id.clone_from(&self.shared.boot_id);
        match found {
            Found::Never => {}
            Found::Unfinished(alive) => self.drop_unfinished(alive).await,
            Found::Gone => self.pause_died().await,
            Found::Alive(alive) => self.adopt_sandbox(alive.0, alive.1).await,
        }
        self.catch_up().await;
    }

    /// A node that was killed between writing the journal and writing the object has left one that nobody would write
    /// again before the next change: members that ran were said to be on their way for ever.
    async fn catch_up(&mut self) {
        let [known, now] = [&*self.handle.object(), &self.object()].map(|object| serde_json::to_vec(object).ok());
        if known == now {
            return;
        }
        self.announced.clear();
        match self.journal.finished {
            // Its old object may lie where the run was.
            true => self.finish().await,
            false => self.publish(),
        }
    }

    /// No member was born in it yet, so nothing is lost, and the next start makes a whole one.
    async fn drop_unfinished(&mut self, alive: Option<Box<(Keeper, Hello)>>) {
        if let (Some(alive), Ok(group)) = (alive, self.shared.cgroups.pod(&self.handle.uid)) {
            self.sandbox = Some(Sandbox::adopt(alive.0, alive.1.pidfd, group));
        }
        self.drop_sandbox().await;
    }

    async fn adopt_sandbox(&mut self, keeper: Keeper, hello: Hello) {
        let Ok(group) = self.shared.cgroups.pod(&self.handle.uid) else { return };
        self.journal.next_seq = self.journal.next_seq.max(hello.last_seq + 1);
        self.sandbox = Some(Sandbox::adopt(keeper, hello.pidfd, group));
        let network = self.journal.sandbox.as_ref().and_then(|sandbox| sandbox.network.as_ref());
        if network.is_none() && !self.pod.host_network {
            // The node before died while it made the sandbox: nothing was born in it.
            return self.drop_sandbox().await;
        }
        let users = self.find_users().map_err(|error| format!("open the Pod's user namespace: {error}"));
        if let Err(error) = users.and_then(|()| self.open_volumes()) {
            complain(format_args!("open the volumes of Pod {}/{}: {error}", self.handle.namespace, self.handle.name));
        }
        for live in &hello.live {
            if let Some(index) = self.journal.member_of(live.seq) {
                self.journal.members[index].born(live.seq, live.started_ns);
            }
        }
        for live in hello.live.iter().filter(|live| live.needs_log) {
            self.rotate_log(live.seq, live.rotations).await;
        }
        let is_known =
            |seq: u64| hello.live.iter().any(|live| live.seq == seq) || hello.exits.iter().any(|exit| exit.seq == seq);
        // Before anything is shown: a start that was not made must not be counted for a moment.
        self.journal.members.iter_mut().for_each(|member| member.settle(is_known, now_ns()));
        for exit in hello.exits {
            self.exited(exit).await;
        }
        self.finish_change().await;
        self.publish();
    }
}
