//! Containers, init and regular.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1;

use super::annotations::{self, Annotations};
use super::env::Budget;
use super::life::Checked;
use super::metadata::report;
use super::{
    Problems, env_source, huge_pages, id, names, path_fault, ports, resize, resources, restart_policy, restart_rules,
    rights, tidy,
};
use crate::image_ref::ImageRefError;
use crate::manifest::problem::{Cause, Problem, quoted};
use crate::manifest::suggest;
use crate::pod::{
    Container, EnvValue, Groups, ImageRef, Propagation, RestartPolicy, SeccompChoice, SubPath, UserRef, Volume,
    VolumeGroup, VolumeMount, VolumeSource, sub_path_fault,
};

/// What the containers of one Pod share.
pub struct All<'a> {
    annotations: Annotations,
    pod: Option<&'a v1::PodSecurityContext>,
    host_network: bool,
    grace_seconds: u32,
    restart_policy: Option<&'a str>,
    os: Option<&'a str>,
    volumes: BTreeMap<&'a str, &'a Volume>,
    budget: Budget,
    groups: Groups,
    /// `fsGroup`, which is among the groups.
    pub volume_group: Option<VolumeGroup>,
    seccomp: Option<SeccompChoice>,
    /// Names of all containers so far.
    pub names: HashSet<String>,
}

impl<'a> All<'a> {
    pub fn new(
        pod: &'a v1::Pod,
        spec: &'a v1::PodSpec,
        volumes: &'a [Volume],
        grace_seconds: u32,
        out: &mut Problems,
    ) -> Self {
        let security = spec.security_context.as_ref();
        id(security.and_then(|pod| pod.run_as_user), "spec.securityContext.runAsUser", out);
        id(security.and_then(|pod| pod.run_as_group), "spec.securityContext.runAsGroup", out);
        let volume_group = rights::volume_group(security, out);
        Self {
            annotations: pod.metadata.annotations.clone().unwrap_or_default(),
            pod: security,
            host_network: spec.host_network.unwrap_or(false),
            grace_seconds,
            restart_policy: spec.restart_policy.as_deref(),
            os: spec.os.as_ref().map(|os| os.name.as_str()),
            volumes: volumes.iter().map(|volume| (volume.name.as_str(), volume)).collect(),
            budget: Budget::default(),
            groups: rights::groups(security, volume_group, out),
            volume_group,
            seccomp: rights::pod_seccomp(security, out),
            names: HashSet::new(),
        }
    }

    /// Checks one of the two lists; `list` is its key.
    pub fn check(&mut self, containers: &[v1::Container], list: &str, out: &mut Problems) -> Vec<Container> {
        let each = containers.iter().enumerate();
        each.map(|(n, container)| self.one(container, &format!("spec.{list}[{n}]"), out)).collect()
    }

    /// One of them, of whichever list; `path` is its own.
    pub fn one(&mut self, source: &v1::Container, path: &str, out: &mut Problems) -> Container {
        self.name(&source.name, &format!("{path}.name"), out);
        let image = image(source.image.as_deref(), &format!("{path}.image"), out);
        pull_policy(source.image_pull_policy.as_deref(), &format!("{path}.imagePullPolicy"), out);
        let env = self.budget.env(source.env.as_deref().unwrap_or_default(), path, out);
        self.env_files(&env.written, path, out);
        let (command, args) = (source.command.clone().unwrap_or_default(), source.args.clone().unwrap_or_default());
        self.budget.words(&command, &env, &format!("{path}.command"), out);
        self.budget.words(&args, &env, &format!("{path}.args"), out);
        let ports = ports::check(source.ports.as_deref().unwrap_or_default(), path, self.host_network, out);
        let mounts = self.mounts(source, path, out);
        if let ImageRef::Wasm(_) = image {
            self.no_grants(&mounts, path, out);
        }
        let mut resources = resources::check(source.resources.as_ref(), path, out);
        if let ImageRef::Wasm(_) = image {
            out.extend(huge_pages::not_for_wasm(&resources, path));
            out.extend(ports::not_for_wasm(&ports, path).filter(|_| !self.host_network));
        }
        resources.pids_limit = annotations::pids_limit(&self.annotations, &source.name);
        let inherited = (self.seccomp.clone(), self.pod.and_then(|pod| pod.run_as_non_root));
        let rights = rights::rights(source, &image, inherited, path, out);
        let restart_policy = restart_policy(source.restart_policy.as_deref(), &format!("{path}.restartPolicy"), out);
        let passes = path.starts_with("spec.initContainers") && restart_policy != Some(RestartPolicy::Always);
        let (grace_seconds, os) = (self.grace_seconds, self.os);
        let life = Checked { source, ports: &ports, path, passes, grace_seconds, os };
        let (probes, hooks) = (life.probes(out), life.hooks(out));
        let (stop_signal, last_words) = (life.stop_signal(&image, out), life.last_words(out));
        nothing_comes_out(&mounts, &last_words.path, path, out);
        let program = command.first().or(args.first()).map(String::as_str);
        Container {
            name: source.name.clone(),
            image,
            working_dir: working_dir(source.working_dir.as_deref(), &format!("{path}.workingDir"), out),
            user: self.user(source, path, out),
            group: self.group(source, path, out),
            groups: self.groups.clone(),
            rights,
            read_only_root: source.security_context.as_ref().and_then(|s| s.read_only_root_filesystem).unwrap_or(false),
            restart_policy,
            restart_rules: restart_rules::check(source, path, out),
            resize: resize::check(source, self.restart_policy, path, out),
            probes,
            hooks,
            stop_signal,
            last_words,
            stdin: source.stdin.unwrap_or(false),
            stdin_once: source.stdin_once.unwrap_or(false),
            tty: source.tty.unwrap_or(false),
            target: None,
            kind_hint: annotations::kind_hint(&self.annotations, program),
            command,
            args,
            env_from: env_source::from(source.env_from.as_deref().unwrap_or_default(), path, out),
            env: env.written,
            ports,
            mounts,
            resources,
        }
    }

    fn name(&mut self, name: &str, path: &str, out: &mut Problems) {
        if name.is_empty() {
            out.push(Problem::required(path, ""));
            return;
        }
        report(path, name, names::label(name), out);
        if !self.names.insert(name.to_owned()) {
            out.push(Problem::duplicate(path, name));
        }
    }

    fn user(&self, source: &v1::Container, path: &str, out: &mut Problems) -> Option<UserRef> {
        let named = annotations::user(&self.annotations, &source.name).map(UserRef::Name);
        let own = source.security_context.as_ref().and_then(|s| s.run_as_user);
        let own = id(own, &format!("{path}.securityContext.runAsUser"), out);
        let pod = || self.pod.and_then(|pod| pod.run_as_user).and_then(|uid| u32::try_from(uid).ok());
        own.or_else(pod).map(UserRef::Id).or(named)
    }

    fn group(&self, source: &v1::Container, path: &str, out: &mut Problems) -> Option<u32> {
        let own = source.security_context.as_ref().and_then(|s| s.run_as_group);
        let own = id(own, &format!("{path}.securityContext.runAsGroup"), out);
        let pod = || self.pod.and_then(|pod| pod.run_as_group).and_then(|gid| u32::try_from(gid).ok());
        own.or_else(pod)
    }

    fn mounts(&self, source: &v1::Container, path: &str, out: &mut Problems) -> Vec<VolumeMount> {
        let mounts = source.volume_mounts.as_deref().unwrap_or_default();
        let privileged = source.security_context.as_ref().and_then(|own| own.privileged).unwrap_or(false);
        let (mut checked, mut places) = (Vec::new(), HashSet::new());
        for (n, mount) in mounts.iter().enumerate() {
            let path = format!("{path}.volumeMounts[{n}]");
            self.mounted_volume(&mount.name, &format!("{path}.name"), out);
            let propagation = self.propagation(mount, privileged, &format!("{path}.mountPropagation"), out);
            let mount = VolumeMount { propagation, ..self.mount(mount, &path, out) };
            if !places.insert(mount.mount_path.clone()) {
                out.push(Problem::invalid(format!("{path}.mountPath"), &mount.mount_path, "must be unique"));
            }
            checked.push(mount);
        }
        checked
    }

    /// Source: validateFileKeyRefVolumes.
    fn env_files(&self, env: &[(String, EnvValue)], path: &str, out: &mut Problems) {
        for (n, (_, value)) in env.iter().enumerate() {
            let EnvValue::File(key) = value else { continue };
            let path = format!("{path}.env[{n}].valueFrom.fileKeyRef.volumeName");
            self.mounted_volume(&key.volume, &path, out);
            let source = self.volumes.get(key.volume.as_str()).map(|volume| &volume.source);
            if source.is_some_and(|source| !matches!(source, VolumeSource::EmptyDir { .. })) {
                out.push(Problem::invalid(path, &key.volume, "referenced volume must be of type emptyDir"));
            }
        }
    }

    fn mounted_volume(&self, name: &str, path: &str, out: &mut Problems) {
        if name.is_empty() {
            out.push(Problem::required(path, ""));
        } else if !self.volumes.contains_key(name) {
            let near = suggest::nearest(name, self.volumes.keys().copied());
            let hint = near.map(|near| format!("did you mean {near}?"));
            out.push(Problem { hint, ..Problem::not_found(path, name) });
        }
    }

    fn mount(&self, mount: &v1::VolumeMount, path: &str, out: &mut Problems) -> VolumeMount {
        let sub_path = sub_path(mount, path, out);
        recursive_read_only(mount, &format!("{path}.recursiveReadOnly"), out);
        let path = format!("{path}.mountPath");
        match mount.mount_path.as_str() {
            "" => out.push(Problem::required(path, "")),
            text if text.contains(':') => out.push(Problem::invalid(path, text, "must not contain ':'")),
            text => out.extend(path_fault(text).map(|fault| Problem::invalid(path, text, fault))),
        }
        let sealed = self.volumes.get(mount.name.as_str()).is_some_and(|volume| volume.source.is_read_only());
        VolumeMount {
            volume: mount.name.clone(),
            mount_path: tidy(&mount.mount_path),
            // As the kubelet does: whatever the mount says.
            read_only: mount.read_only.unwrap_or(false) || sealed,
            sub_path,
            propagation: Propagation::None,
        }
    }

    /// Source: validateMountPropagation.
    fn propagation(&self, mount: &v1::VolumeMount, privileged: bool, path: &str, out: &mut Problems) -> Propagation {
        match mount.mount_propagation.as_deref() {
            None | Some("None") => Propagation::None,
            Some("HostToContainer") => Propagation::HostToContainer,
            Some("Bidirectional") => {
                if !privileged {
                    let why = "Bidirectional mount propagation is available only to privileged containers";
                    out.push(Problem::forbidden(path, why));
                }
                Propagation::Bidirectional
            }
            Some(other) => {
                out.push(Problem::unsupported(path, other, &["Bidirectional", "HostToContainer", "None"]));
                Propagation::None
            }
        }
    }

    /// What a Wasm member cannot be given.
    fn no_grants(&self, mounts: &[VolumeMount], path: &str, out: &mut Problems) {
        for (n, mount) in mounts.iter().enumerate() {
            let source = self.volumes.get(mount.volume.as_str()).map(|volume| &volume.source);
            if let Some(why) = source.and_then(crate::plan::no_grant) {
                out.push(Problem::refused(format!("{path}.volumeMounts[{n}].name"), why));
            }
        }
    }
}

/// What is mounted inside a Bidirectional mount would come out on the host, and stay there.
fn nothing_comes_out(mounts: &[VolumeMount], last_words: &str, path: &str, out: &mut Problems) {
    let numbered = mounts.iter().enumerate();
    let places = numbered.map(|(n, mount)| (format!("volumeMounts[{n}].mountPath"), mount.mount_path.as_str()));
    for (field, place) in places.chain([("terminationMessagePath".to_owned(), last_words)]) {
        for outer in mounts.iter().filter(|mount| mount.propagation == Propagation::Bidirectional) {
            if place.strip_prefix(&outer.mount_path).is_some_and(|rest| rest.starts_with('/')) {
                let why = format!("{place} lies in {}, whose mounts come out on the host", outer.mount_path);
                out.push(Problem::forbidden(format!("{path}.{field}"), &why));
            }
        }
    }
}

/// Source: validateRecursiveReadOnly.
fn recursive_read_only(mount: &v1::VolumeMount, path: &str, out: &mut Problems) {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount.read_only != Some(true) {
                out.push(Problem::forbidden(path, "may only be specified when readOnly is true"));
            }
            if mount.mount_propagation.as_deref().is_some_and(|propagation| propagation != "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                out.push(Problem::forbidden(path, why));
            }
        }
        Some(other) => out.push(Problem::unsupported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

fn sub_path(mount: &v1::VolumeMount, path: &str, out: &mut Problems) -> Option<SubPath> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (plain, expanded) = (given(&mount.sub_path), given(&mount.sub_path_expr));
    if let (Some(_), Some(text)) = (&plain, &expanded) {
        let why = "subPathExpr and subPath are mutually exclusive";
        out.push(Problem::invalid(format!("{path}.subPathExpr"), text, why));
    }
    for (field, text) in [("subPath", &plain), ("subPathExpr", &expanded)] {
        let fault = text.as_deref().and_then(sub_path_fault);
        out.extend(
            fault.map(|fault| Problem::invalid(format!("{path}.{field}"), text.as_deref().unwrap_or(""), fault)),
        );
    }
    plain.map(SubPath::Plain).or(expanded.map(SubPath::Expanded))
}

/// An image by its name; one that cannot be had was reported, and stands for nothing.
pub(super) fn image(text: Option<&str>, path: &str, out: &mut Problems) -> ImageRef {
    ImageRef::parse(text.unwrap_or_default()).unwrap_or_else(|error| {
        out.push(image_problem(text.unwrap_or_default(), path, &error));
        ImageRef::Rootfs(String::new())
    })
}

fn image_problem(text: &str, path: &str, error: &ImageRefError) -> Problem {
    match error {
        ImageRefError::Empty => Problem::required(path, "").with_hint(error.hint()),
        ImageRefError::NotYet { .. } => {
            Problem::new(Cause::NotYet, path, format!("{}: {error}", quoted(text))).with_hint(error.hint())
        }
        _ => Problem::invalid(path, text, &error.to_string()).with_hint(error.hint()),
    }
}

/// What lies on this machine is never pulled.
pub(super) fn pull_policy(text: Option<&str>, path: &str, out: &mut Problems) {
    match text {
        None | Some("" | "Always" | "IfNotPresent" | "Never") => {}
        Some(other) => out.push(Problem::unsupported(path, other, &["Always", "IfNotPresent", "Never"])),
    }
}

fn working_dir(text: Option<&str>, path: &str, out: &mut Problems) -> Option<String> {
    let text = text.filter(|text| !text.is_empty())?;
    out.extend(path_fault(text).map(|fault| Problem::invalid(path, text, fault)));
    Some(tidy(text))
}
