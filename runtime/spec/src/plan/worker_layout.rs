//! The empty root of a Wasm member's process: `/module`, and one directory a grant (`/0`, `/1`, …). No `/dev`, no
//! `/proc`, no `/sys`; sealed read-only once the mounts stand.
//!
//! A preopen is a directory, so a mounted file stands alone in a directory of its own, under the name the guest asks
//! for, and files mounted into one directory share it.

use super::container::{FdSource, MountFlags};
use super::mounts::{is_plain, known_volume};
use super::refusal::{PlanError, Problem};
use super::steps::Steps;
use super::worker::Preopen;
use crate::facts::ContainerFacts;
use crate::pod::{Container, ImageRef, Pod, VolumeMount};

/// Attaches every grant and lists them as the worker opens them: the image's own root first, then volumes as written.
///
/// # Errors
/// Paths that cannot be granted.
pub fn grants(
    steps: &mut Steps,
    pod: &Pod,
    container: &Container,
    facts: &ContainerFacts,
) -> Result<Vec<Preopen>, PlanError> {
    let mut preopens = Vec::new();
    if let ImageRef::Rootfs(image_dir) = &container.image {
        steps.attach(FdSource::OverlayRoot { image_dir: image_dir.clone() }, "/0", true);
        preopens.push(directory(0, "/", !container.read_only_root));
    }
    for mount in &container.mounts {
        check(pod, container, mount)?;
        if facts.file_volumes.contains(&mount.volume) {
            grant_file(steps, &mut preopens, container, mount)?;
        } else {
            grant_directory(steps, &mut preopens, container, mount)?;
        }
    }
    Ok(preopens)
}

fn directory(number: usize, guest: &str, writable: bool) -> Preopen {
    Preopen { dir: format!("/{number}"), file: None, guest: guest.to_owned(), writable }
}

fn grant_directory(
    steps: &mut Steps,
    preopens: &mut Vec<Preopen>,
    container: &Container,
    mount: &VolumeMount,
) -> Result<(), PlanError> {
    let guest = normal(&mount.mount_path);
    if preopens.iter().any(|preopen| preopen.guest == guest) {
        return Err(PlanError::of(&container.name, "volumeMounts", Problem::TwiceMounted(guest)));
    }
    let preopen = directory(preopens.len(), &guest, !mount.read_only);
    steps.attach(volume(mount), &preopen.dir, true);
    preopens.push(preopen);
    Ok(())
}

fn grant_file(
    steps: &mut Steps,
    preopens: &mut Vec<Preopen>,
    container: &Container,
    mount: &VolumeMount,
) -> Result<(), PlanError> {
    let path = normal(&mount.mount_path);
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
    let guest = if folder.is_empty() { "/" } else { folder };
    if file.is_empty() {
        return Err(PlanError::of(&container.name, "volumeMounts", Problem::AtRoot));
    }
    let dir = match preopens.iter_mut().find(|preopen| preopen.guest == guest) {
        Some(shared) if shared.file.is_some() => {
            shared.writable |= !mount.read_only;
            shared.dir.clone()
        }
        Some(_) => {
            return Err(PlanError::of(&container.name, "volumeMounts", Problem::TwiceMounted(guest.to_owned())));
        }
        None => {
            let preopen = Preopen { file: Some(file.to_owned()), ..directory(preopens.len(), guest, !mount.read_only) };
            let dir = preopen.dir.clone();
            preopens.push(preopen);
            dir
        }
    };
    steps.attach(volume(mount), &format!("{dir}/{file}"), false);
    Ok(())
}

/// A guest executes no file and opens no device, so its grants say so.
fn volume(mount: &VolumeMount) -> FdSource {
    let flags = MountFlags { read_only: mount.read_only, noexec: true, nosuid: true, nodev: true };
    FdSource::Volume { name: mount.volume.clone(), flags }
}

/// One slash between components, none at the end.
fn normal(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

fn check(pod: &Pod, container: &Container, mount: &VolumeMount) -> Result<(), PlanError> {
    if !is_plain(&mount.mount_path) {
        let problem = Problem::PathSyntax(mount.mount_path.clone());
        return Err(PlanError::of(&container.name, "volumeMounts", problem));
    }
    known_volume(pod, container, mount)
}

#[cfg(test)]
mod tests {
    use super::super::init::Op;
    use super::super::samples;
    use super::*;

    fn granted(image: ImageRef, paths: &[(&str, &str)]) -> Result<(Vec<Preopen>, Vec<String>), PlanError> {
        let mounts = paths.iter().map(|(volume, path)| samples::mount(volume, path)).collect();
        let container = Container { image, mounts, ..samples::container("w") };
        let facts = ContainerFacts { file_volumes: vec!["file".to_owned()], ..ContainerFacts::default() };
        let mut steps = Steps::default();
        let preopens = grants(&mut steps, &samples::pod(), &container, &facts)?;
        let targets = steps.ops.iter().filter_map(|op| match op {
            Op::Attach { target, .. } => Some(target.clone()),
            _ => None,
        });
        Ok((preopens, targets.collect()))
    }

    #[test]
    fn the_image_is_first_and_each_grant_has_its_own_directory() {
        let image = ImageRef::Rootfs("/img".to_owned());
        let (preopens, targets) = granted(image, &[("data", "/a//b/"), ("more", "/c")]).expect("plans");
        let guests: Vec<&str> = preopens.iter().map(|preopen| preopen.guest.as_str()).collect();
        assert_eq!(guests, ["/", "/a/b", "/c"]);
        assert_eq!(targets, ["/0", "/1", "/2"]);
    }

    #[test]
    fn a_volume_may_be_the_guests_root_but_only_one_thing_may() {
        let module = || ImageRef::Wasm("/m.wasm".to_owned());
        assert!(granted(module(), &[("data", "/")]).is_ok());
        assert!(granted(module(), &[("data", "/"), ("more", "/.")]).is_err());
        assert!(granted(ImageRef::Rootfs("/img".to_owned()), &[("data", "/")]).is_err());
    }

    #[test]
    fn files_of_one_directory_share_a_grant() {
        let module = ImageRef::Wasm("/m.wasm".to_owned());
        let (preopens, targets) = granted(module, &[("file", "/etc/a"), ("file", "/etc/b")]).expect("plans");
        assert_eq!(preopens.len(), 1);
        assert_eq!((preopens[0].guest.as_str(), preopens[0].file.as_deref()), ("/etc", Some("a")));
        assert_eq!(targets, ["/0/a", "/0/b"]);
    }
}
