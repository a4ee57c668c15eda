//! A Pod that runs becomes what it is to be now: other images, other limits, other labels, less time. The members that are
//! not concerned, the Pod's network and its volumes stay as they are.
//!
//! The kernel comes first: what it refuses of new limits is refused as a whole. Then the wish is written down, on the disk
//! before it is answered; a member that must begin anew ends as in a stop, alone and with its old limits, and begins again
//! whatever its restart policy says. What a node that is killed on the way leaves, the next one finds by comparing: the kernel's
//! limits with the wish, and each run with what it was begun as. Source: kubelet `containerChanged`, `doPodResizeAction`.
//! Must never touch a member that the change does not name.

use std::sync::Arc;

use dwell_spec::manifest;
use dwell_spec::plan::{self, container::CgroupLimits};
use dwell_spec::pod::{Container, MemberKind, Pod};
use k8s_openapi::api::core::v1;

use super::driver::Driver;
use super::record;
use super::request::Refusal;
use super::start::kind_word;
use crate::blocking::blocking;
use crate::chain::chain;
use crate::clock::now_ns;
use crate::supervise::backoff::Backoff;
use crate::supervise::health::Condemned;
use crate::supervise::journal::{BegunAs, Intent, Stopping};

/// What a start of the container is made from.
pub(super) fn begun(pod: &Pod, container: &Container) -> BegunAs {
    let resources = &container.resources;
    BegunAs {
        image: container.image.to_string(),
        cpu: (resources.cpu_limit_millis, resources.cpu_request_millis),
        memory: (resources.memory_limit, resources.memory_request),
        memory_limit: pod.memory_limit_of(container),
    }
}

impl Driver {
    /// Answered once it is on disk and the limits hold; members that make room for others are followed by `watch`.
    pub(super) async fn change(&mut self, wanted: &v1::Pod, based_on: Option<&v1::Pod>) -> Result<(), Refusal> {
        let before = self.handle.object();
        self.may_become(&before, wanted, based_on)?;
        let object = manifest::changed(&before, wanted).map_err(Refusal::Problems)?;
        let pod = Pod::try_from(&object).map_err(Refusal::Problems)?;
        if object == *before {
            return Ok(());
        }
        let begin_anew: Vec<usize> = (0..self.journal.members.len()).filter(|n| self.begins_anew(*n, &pod)).collect();
        self.resize(&pod, &begin_anew).await?;
        if let Err(error) = self.keep_wish(&object, &before).await {
            let _ = self.limit(&self.pod, &[]).await;
            return Err(Refusal::Failed(format!("write the Pod down: {error}")));
        }
        self.shared.publish(&self.handle, object, self.journal.finished);
        self.let_go_of_old_images(&pod);
        self.pod = pod;
        begin_anew.into_iter().for_each(|index| self.replace(index));
        self.refresh_volumes(|source| source.is_projected());
        self.save_lasting();
        // Limits are in nobody's journal, and are shown all the same.
        self.announced.clear();
        self.publish();
        Ok(())
    }

    /// On the disk, and where readers of a Pod that runs look first; else as it was.
    async fn keep_wish(&self, object: &v1::Pod, before: &Arc<v1::Pod>) -> std::io::Result<()> {
        let (layout, uid) = (&self.shared.layout, &self.handle.uid);
        let (lasting, wish) = (layout.pod_object(uid), object.clone());
        blocking(move || record::replace(&lasting, &wish)).await.flatten()?;
        if self.journal.finished {
            return Ok(());
        }
        let shown = record::write(&layout.run_object(uid), object);
        shown.inspect_err(|_| drop(record::write(&layout.pod_object(uid), &**before)))
    }

    /// What was being made ready is of the image before, and what was waited for was that one's failure.
    fn let_go_of_old_images(&mut self, pod: &Pod) {
        let others: Vec<usize> = self
            .pod
            .all()
            .zip(pod.all())
            .enumerate()
            .filter(|(_, (before, now))| before.image != now.image)
            .map(|(index, _)| index)
            .collect();
        for index in others {
            self.preparing.remove(&index);
            if self.journal.members[index].live_seq().is_none() {
                self.journal.members[index].backoff = Backoff::default();
            }
        }
    }

    fn may_become(&self, before: &v1::Pod, wanted: &v1::Pod, based_on: Option<&v1::Pod>) -> Result<(), Refusal> {
        if matches!(self.journal.intent, Intent::Remove(_)) {
            return Err(Refusal::NotRunning { what: "the Pod".into(), state: "being removed".into() });
        }
        if based_on.is_some_and(|pod| !manifest::asks_the_same(pod, before)) {
            return Err(Refusal::Conflict("it was changed meanwhile; look at it again".into()));
        }
        if wanted.metadata.uid.is_some() && wanted.metadata.uid != before.metadata.uid {
            return Err(Refusal::Conflict("it is another Pod of that name by now".into()));
        }
        Ok(())
    }

    /// What a node that was killed between two steps of a change has left undone.
    pub(super) async fn finish_change(&mut self) {
        let outdated: Vec<usize> =
            (0..self.journal.members.len()).filter(|index| self.begins_anew(*index, &self.pod)).collect();
        // One that the kernel refuses now is tried again with the next change.
        let _ = self.limit(&self.pod, &outdated).await;
        outdated.into_iter().for_each(|index| self.replace(index));
    }

    /// Once those that had to end have ended, with the limits that they had.
    pub(super) async fn settle_limits(&mut self) {
        if self.limits_late && !self.journal.members.iter().any(|member| member.is_being_replaced()) {
            self.limits_late = false;
            let _ = self.limit(&self.pod, &[]).await;
        }
    }

    /// Whether a run that lives must begin anew to become what it is in `pod`. An init container goes on to its end: nobody
    /// waits for it twice.
    fn begins_anew(&self, index: usize, pod: &Pod) -> bool {
        let member = &self.journal.members[index];
        let Some(now) = pod.all().nth(index) else { return false };
        let passes = member.init && !member.is_sidecar();
        if member.live_seq().is_none() || passes || member.added || member.is_being_replaced() {
            return false;
        }
        // A run that another version of dwell began was what the Pod is now.
        let before = member.begun.clone().unwrap_or_else(|| begun(&self.pod, self.container(index)));
        let after = begun(pod, now);
        let is_wasm = member.kind.as_deref() == Some(kind_word(MemberKind::Wasm));
        before.image != after.image
            || now.resize.memory_restarts && before.memory != after.memory
            || now.resize.cpu_restarts && before.cpu != after.cpu
            // How far a module's memory grows is decided when it begins.
            || is_wasm && before.memory_limit != after.memory_limit
    }

    /// It makes room for what the container is now, with its grace period, and without a back-off.
    fn replace(&mut self, index: usize) {
        let name = self.container(index).name.clone();
        let message = format!("Container {name} definition changed, will be restarted");
        self.tell(Some(index), "Killing", message.clone());
        let stopping = Stopping::new(now_ns(), self.pod.termination_grace_period_seconds);
        let member = &mut self.journal.members[index];
        member.backoff = Backoff::default();
        member.replace(Condemned { stopping, message, unhealthy: false, replaced: true });
    }

    /// The limits of `pod`, in the kernel; those of before where it refuses one.
    async fn resize(&mut self, pod: &Pod, begin_anew: &[usize]) -> Result<(), Refusal> {
        if self.limits_of(pod, &[]) == self.limits_of(&self.pod, &[]) {
            return Ok(());
        }
        self.has_room(pod, begin_anew)?;
        self.limits_late |= !begin_anew.is_empty();
        match self.limit(pod, begin_anew).await {
            Ok(()) => Ok(()),
            Err(why) => {
                let _ = self.limit(&self.pod, &[]).await;
                Err(Refusal::Failed(format!("change its limits: {why}")))
            }
        }
    }

    /// On another thread: the kernel frees memory meanwhile.
    async fn limit(&self, pod: &Pod, begin_anew: &[usize]) -> Result<(), String> {
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        let (mut whole, containers) = self.limits_of(pod, begin_anew);
        if !begin_anew.is_empty() {
            // Those that are to end have what they had.
            let before = plan::pod_limits(&self.pod, &self.shared.facts).memory;
            whole.memory = whole.memory.zip(before).map(|(now, before)| now.max(before));
        }
        let cgroup = sandbox.cgroup.clone();
        let limited = blocking(move || cgroup.limit(&whole, &containers)).await;
        limited.map_err(|error| error.to_string())?.map_err(|error| chain(&error))
    }

    /// A limit below what is in use would end the member, which nobody asked for.
    fn has_room(&self, pod: &Pod, begin_anew: &[usize]) -> Result<(), Refusal> {
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        let mut uses = Vec::new();
        for (index, container) in self.living().filter(|(index, _)| !begin_anew.contains(index)) {
            let limit = pod.all().nth(index).and_then(|now| pod.memory_limit_of(now));
            let group = sandbox.cgroup.container(&self.cgroup_id(index));
            let used = group.and_then(|group| group.memory_working_set());
            uses.push((format!("container {}", container.name), used, limit));
        }
        if begin_anew.is_empty() {
            let limit = plan::pod_limits(pod, &self.shared.facts).memory;
            uses.push(("the Pod".to_owned(), sandbox.cgroup.group.memory_working_set(), limit));
        }
        for (who, used, limit) in uses {
            if let (Some(used), Some(limit)) = (used, limit)
                && used > limit
            {
                let why = format!("{who} uses {used} bytes of memory now, more than the limit of {limit}");
                return Err(Refusal::Conflict(why));
            }
        }
        Ok(())
    }

    /// Limits of the Pod, and of those that live and are to live, by the names of their cgroups.
    fn limits_of(&self, pod: &Pod, begin_anew: &[usize]) -> (CgroupLimits, Vec<(String, CgroupLimits)>) {
        let of = |index: usize| {
            let container = pod.all().nth(index)?;
            Some((
                self.cgroup_id(index),
                plan::container_limits(pod, &container.resources, &self.shared.facts, Vec::new()),
            ))
        };
        let staying = self.living().filter(|(index, _)| !begin_anew.contains(index));
        (plan::pod_limits(pod, &self.shared.facts), staying.filter_map(|(index, _)| of(index)).collect())
    }

    fn living(&self) -> impl Iterator<Item = (usize, &Container)> {
        let members = self.journal.members.iter().zip(self.pod.all()).enumerate();
        members.filter(|(_, (member, _))| member.live_seq().is_some()).map(|(index, (_, container))| (index, container))
    }
}
