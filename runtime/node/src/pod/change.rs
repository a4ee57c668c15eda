//! A Pod that runs becomes what it is to be now: other images, other limits, other labels, less time. The members that are
//! not concerned, the Pod's network and its volumes stay as they are.
//!
//! The kernel comes first: what it refuses of new limits is refused as a whole. Then the wish is written down; a member
//! of another image ends as in a stop, alone, and begins anew whatever its restart policy says. Source: kubelet
//! `containerChanged`, `doPodResizeAction`. Must never touch a member that the change does not name.

use dwell_spec::manifest;
use dwell_spec::plan::{self, container::CgroupLimits};
use dwell_spec::pod::{Container, MemberKind, Pod, Resources};
use k8s_openapi::api::core::v1;

use super::driver::Driver;
use super::request::Refusal;
use super::start::kind_word;
use crate::chain::chain;
use crate::clock::now_ns;
use crate::supervise::backoff::Backoff;
use crate::supervise::health::Condemned;
use crate::supervise::journal::{Intent, Stopping};

impl Driver {
    /// Answered once it is on disk and the limits hold; members that make room for others are followed by `watch`.
    pub(super) fn change(&mut self, wanted: &v1::Pod, based_on: Option<&v1::Pod>) -> Result<(), Refusal> {
        let before = self.handle.object();
        self.may_become(&before, wanted, based_on)?;
        let object = manifest::changed(&before, wanted).map_err(Refusal::Problems)?;
        let pod = Pod::try_from(&object).map_err(Refusal::Problems)?;
        if object == *before {
            return Ok(());
        }
        let begin_anew: Vec<usize> = (0..self.journal.members.len()).filter(|n| self.begins_anew(*n, &pod)).collect();
        self.resize(&pod, &begin_anew)?;
        if let Err(error) = self.write_object(&object) {
            let _ = self.write_object(&before);
            let _ = self.limit(&self.pod.clone());
            return Err(Refusal::Failed(format!("write the Pod down: {error}")));
        }
        self.shared.publish(&self.handle, object, self.journal.finished);
        self.pod = pod;
        // What was being made ready is of the image before.
        self.stop_preparing();
        begin_anew.into_iter().for_each(|index| self.replace(index));
        self.refresh_volumes(|source| source.is_projected());
        self.save_lasting();
        // Limits are in nobody's journal, and are shown all the same.
        self.announced.clear();
        self.publish();
        Ok(())
    }

    fn may_become(&self, before: &v1::Pod, wanted: &v1::Pod, based_on: Option<&v1::Pod>) -> Result<(), Refusal> {
        if matches!(self.journal.intent, Intent::Remove(_)) {
            return Err(Refusal::NotRunning { what: "the Pod".into(), state: "being removed".into() });
        }
        let said = |pod: &v1::Pod| (pod.spec.clone(), pod.metadata.labels.clone(), pod.metadata.annotations.clone());
        if based_on.is_some_and(|pod| said(pod) != said(before)) {
            return Err(Refusal::Conflict("it was changed meanwhile; look at it again".into()));
        }
        if wanted.metadata.uid.is_some() && wanted.metadata.uid != before.metadata.uid {
            return Err(Refusal::Conflict("it is another Pod of that name by now".into()));
        }
        Ok(())
    }

    /// After a node was killed between the wish and the journal: whoever still runs another image.
    pub(super) fn replace_outdated(&mut self) {
        let outdated: Vec<usize> =
            (0..self.journal.members.len()).filter(|index| self.is_outdated(*index, self.container(*index))).collect();
        outdated.into_iter().for_each(|index| self.replace(index));
    }

    /// Whether a run that lives is of another image than the container has now. An init container goes on to its end: nobody
    /// waits for it twice.
    fn is_outdated(&self, index: usize, container: &Container) -> bool {
        let member = &self.journal.members[index];
        let passes = member.init && !member.is_sidecar();
        let image = member.image.as_ref().filter(|_| member.live_seq().is_some() && !passes && !member.added);
        image.is_some_and(|image| *image != container.image.to_string())
    }

    /// Whether it must begin anew to become what it is in `pod`.
    fn begins_anew(&self, index: usize, pod: &Pod) -> bool {
        let (Some(now), before) = (pod.all().nth(index), self.container(index)) else { return false };
        let member = &self.journal.members[index];
        let passes = member.init && !member.is_sidecar();
        let lives = member.live_seq().is_some() && !passes && !member.added;
        let is_wasm = member.kind.as_deref() == Some(kind_word(MemberKind::Wasm));
        // How far a module's memory grows is decided when it begins.
        let memory = now.resize.memory_restarts && memory_of(before) != memory_of(now)
            || is_wasm && self.pod.memory_limit_of(before) != pod.memory_limit_of(now);
        let cpu = now.resize.cpu_restarts && cpu_of(before) != cpu_of(now);
        self.is_outdated(index, now) || lives && (memory || cpu)
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
    fn resize(&self, pod: &Pod, begin_anew: &[usize]) -> Result<(), Refusal> {
        if self.limits_of(pod) == self.limits_of(&self.pod) {
            return Ok(());
        }
        self.has_room(pod, begin_anew)?;
        self.limit(pod).map_err(|why| {
            let _ = self.limit(&self.pod);
            Refusal::Failed(format!("change its limits: {why}"))
        })
    }

    fn limit(&self, pod: &Pod) -> Result<(), String> {
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        let (whole, containers) = self.limits_of(pod);
        sandbox.cgroup.limit(&whole, &containers).map_err(|error| chain(&error))
    }

    /// A limit below what is in use would end the member, which nobody asked for.
    fn has_room(&self, pod: &Pod, begin_anew: &[usize]) -> Result<(), Refusal> {
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        for (index, container) in self.living().filter(|(index, _)| !begin_anew.contains(index)) {
            let Some(limit) = pod.all().nth(index).and_then(|now| pod.memory_limit_of(now)) else { continue };
            let group = sandbox.cgroup.container(&self.cgroup_id(index));
            if let Some(used) = group.and_then(|group| group.memory_working_set()).filter(|used| *used > limit) {
                let name = &container.name;
                let why = format!("container {name} uses {used} bytes of memory now, more than the limit of {limit}");
                return Err(Refusal::Conflict(why));
            }
        }
        Ok(())
    }

    /// Limits of the Pod, and of those that live, by the names of their cgroups.
    fn limits_of(&self, pod: &Pod) -> (CgroupLimits, Vec<(String, CgroupLimits)>) {
        let of = |index: usize| {
            let container = pod.all().nth(index)?;
            Some((self.cgroup_id(index), plan::container_limits(pod, &container.resources, Vec::new())))
        };
        (plan::pod_limits(pod), self.living().filter_map(|(index, _)| of(index)).collect())
    }

    fn living(&self) -> impl Iterator<Item = (usize, &Container)> {
        let members = self.journal.members.iter().zip(self.pod.all()).enumerate();
        members.filter(|(_, (member, _))| member.live_seq().is_some()).map(|(index, (_, container))| (index, container))
    }
}

fn memory_of(container: &Container) -> (Option<u64>, Option<u64>) {
    let Resources { memory_limit, memory_request, .. } = container.resources;
    (memory_limit, memory_request)
}

fn cpu_of(container: &Container) -> (Option<u64>, Option<u64>) {
    let Resources { cpu_limit_millis, cpu_request_millis, .. } = container.resources;
    (cpu_limit_millis, cpu_request_millis)
}
