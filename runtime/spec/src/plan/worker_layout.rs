//! The empty root of a Wasm member's process: `/module`, and one directory a grant (`/0`, `/1`, …). No `/dev`, no
//! `/proc`, no `/sys`; sealed read-only once the mounts stand.
//!
//! A preopen is a directory. A mounted file is mounted into the granted directory that holds its place (the image's root
//! does); where none does it stands alone in a directory of its own, and files mounted into one directory share it.
//! An image may bring a link in the way to that place: it can lead to another grant of the same member only, since the
//! module is mounted over whatever is at its place, last.

use super::container::{FdSource, MountFlags};
use super::mounts::{has_own_last_words, is_plain, known_volume, last_words_source, volume_flags};
use super::refusal::{PlanError, Problem};
use super::steps::Steps;
use super::worker::Preopen;
use crate::facts::ContainerFacts;
use crate::pod::{Container, ImageRef, LAST_WORDS_PATH, Medium, Pod, Propagation, VolumeMount, VolumeSource};

/// Why a volume that is a device is not granted.
const NO_DEVICE: &str = "a Wasm member opens no device; WASI has no calls for one";

/// Why a volume in huge pages is not granted.
const NO_HUGE_FILES: &str =
    "a Wasm member cannot use files in huge pages: they can be mapped only, which WASI has no calls for";

/// Why a Wasm member cannot be given such a volume, if so.
pub fn no_grant(source: &VolumeSource) -> Option<&'static str> {
    match source {
        VolumeSource::HostPath { kind, .. } if kind.is_device() => Some(NO_DEVICE),
        VolumeSource::EmptyDir { medium: Medium::HugePages { .. }, .. } => Some(NO_HUGE_FILES),
        _ => None,
    }
}

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
    let is_file = |mount: &&VolumeMount| facts.is_file(mount);
    let (files, directories): (Vec<_>, Vec<_>) = container.mounts.iter().partition(is_file);
    container.mounts.iter().try_for_each(|mount| check(pod, container, mount))?;
    directories.into_iter().try_for_each(|mount| grant_directory(steps, &mut preopens, container, mount))?;
    // Once every directory that may hold one is there.
    files.into_iter().try_for_each(|mount| grant_file(steps, &mut preopens, container, mount))?;
    if !has_own_last_words(container) {
        grant_last_words(steps, &mut preopens, container)?;
    }
    Ok(preopens)
}

/// The grants alone, of a container whose words are resolved: where a guest's path is in the worker's root.
///
/// # Errors
/// As `grants`.
pub fn granted(pod: &Pod, container: &Container, facts: &ContainerFacts) -> Result<Vec<Preopen>, PlanError> {
    grants(&mut Steps::default(), pod, container, facts)
}

/// The directory of the worker's root, and the path below it, where the guest sees `path` (absolute).
pub fn place<'a, 'b>(preopens: &'a [Preopen], path: &'b str) -> Option<(&'a Preopen, &'b str)> {
    longest(preopens.iter(), path)
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

/// Where a granted directory holds the place, the file is mounted into that; else its directory holds nothing but it.
fn grant_file(
    steps: &mut Steps,
    preopens: &mut Vec<Preopen>,
    container: &Container,
    mount: &VolumeMount,
) -> Result<(), PlanError> {
    let path = normal(&mount.mount_path);
    let refuse = |problem| Err(PlanError::of(&container.name, "volumeMounts", problem));
    let target = match holder(preopens, &path) {
        Some((held, _)) if !mount.read_only && !held.writable => return refuse(Problem::WritableInReadOnly(path)),
        Some((held, rest)) => format!("{}/{rest}", held.dir),
        None => match alone(preopens, &path, !mount.read_only) {
            Some(target) => target,
            None => return refuse(Problem::AtRoot),
        },
    };
    steps.attach(volume(mount), &target, false);
    Ok(())
}

/// The file for last words: in the image's root, or in the volume that a manifest names for it; the usual one is never made
/// in a volume. Else it stands alone, which a directory of the same name does not allow.
fn grant_last_words(steps: &mut Steps, preopens: &mut Vec<Preopen>, container: &Container) -> Result<(), PlanError> {
    let path = normal(&container.last_words.path);
    let refuse = |problem| Err(PlanError::of(&container.name, "terminationMessagePath", problem));
    if !is_plain(&container.last_words.path) {
        return refuse(Problem::PathSyntax(path));
    }
    let usual = path == LAST_WORDS_PATH;
    let in_root = |held: &Preopen| held.guest == "/" && matches!(container.image, ImageRef::Rootfs(_));
    let target = match holder(preopens, &path) {
        Some((held, rest)) if held.writable && (!usual || in_root(held)) => Some(format!("{}/{rest}", held.dir)),
        Some((held, rest)) if usual && !in_root(held) && !rest.contains('/') => return Ok(()),
        Some((held, rest)) if !usual && (!in_root(held) || !rest.contains('/')) => {
            return refuse(Problem::WritableInReadOnly(path));
        }
        _ => alone(preopens, &path, true),
    };
    let Some(target) = target else { return refuse(Problem::AtRoot) };
    steps.attach(last_words_source(), &target, false);
    Ok(())
}

/// Where a file is mounted that no granted directory holds; `/` is no file.
fn alone(preopens: &mut Vec<Preopen>, path: &str, writable: bool) -> Option<String> {
    let (folder, file) = path.rsplit_once('/').filter(|(_, file)| !file.is_empty())?;
    let guest = if folder.is_empty() { "/" } else { folder };
    Some(format!("{}/{file}", own_directory(preopens, guest, file, writable)))
}

/// The granted directory with the longest name that holds `path`, and the way from there.
fn holder<'a, 'b>(preopens: &'a [Preopen], path: &'b str) -> Option<(&'a Preopen, &'b str)> {
    longest(preopens.iter().filter(|preopen| preopen.file.is_none()), path)
}

fn longest<'a, 'b>(preopens: impl Iterator<Item = &'a Preopen>, path: &'b str) -> Option<(&'a Preopen, &'b str)> {
    let held = preopens.filter_map(|preopen| {
        Some((preopen, path.strip_prefix(preopen.guest.trim_end_matches('/'))?.strip_prefix('/')?))
    });
    held.max_by_key(|(preopen, _)| preopen.guest.len())
}

/// The directory of single files that the guest sees at `guest`, made if there is none yet.
fn own_directory(preopens: &mut Vec<Preopen>, guest: &str, file: &str, writable: bool) -> String {
    if let Some(shared) = preopens.iter_mut().find(|preopen| preopen.guest == guest) {
        shared.writable |= writable;
        return shared.dir.clone();
    }
    let preopen = Preopen { file: Some(file.to_owned()), ..directory(preopens.len(), guest, writable) };
    let dir = preopen.dir.clone();
    preopens.push(preopen);
    dir
}

/// A guest executes no file and opens no device, so its grants say so.
fn volume(mount: &VolumeMount) -> FdSource {
    let propagation = Propagation::None;
    let flags = MountFlags { noexec: true, nosuid: true, propagation, ..volume_flags(mount, false) };
    FdSource::Volume { name: mount.volume.clone(), part: mount.part().map(str::to_owned), flags }
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
    known_volume(pod, container, mount)?;
    if mount.propagation != Propagation::None {
        let why =
            "a Wasm member's grants are what they are when it starts: later mounts would come without their rights";
        return Err(PlanError::of(&container.name, "volumeMounts.mountPropagation", Problem::NotForWasm(why)));
    }
    let volume = pod.volumes.iter().find(|volume| volume.name == mount.volume);
    if let Some(why) = volume.and_then(|volume| no_grant(&volume.source)) {
        return Err(PlanError::of(&container.name, "volumeMounts", Problem::NotForWasm(why)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::init::Op;
    use super::super::samples;
    use super::*;
    use crate::pod::LastWords;

    fn granted(image: ImageRef, paths: &[(&str, &str)]) -> Result<(Vec<Preopen>, Vec<String>), PlanError> {
        let mounts = paths.iter().map(|(volume, path)| samples::mount(volume, path)).collect();
        let container = Container { image, mounts, ..samples::container("w") };
        let facts = ContainerFacts { files: vec![("file".to_owned(), None)], ..ContainerFacts::default() };
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
        assert_eq!(targets, ["/0", "/1", "/2", "/0/dev/termination-log"]);
    }

    #[test]
    fn a_volume_may_be_the_guests_root_but_only_one_thing_may() {
        let module = || ImageRef::Wasm("/m.wasm".to_owned());
        assert!(granted(module(), &[("data", "/")]).is_ok());
        assert!(granted(module(), &[("data", "/"), ("more", "/.")]).is_err());
        assert!(granted(ImageRef::Rootfs("/img".to_owned()), &[("data", "/")]).is_err());
    }

    /// The image's `/` was hidden by a directory that held nothing but the file.
    #[test]
    fn a_file_is_mounted_into_the_grant_that_holds_its_place() {
        let image = || ImageRef::Rootfs("/img".to_owned());
        let (preopens, targets) =
            granted(image(), &[("file", "/data/in/cfg"), ("data", "/data"), ("file", "/cfg")]).expect("plans");
        let guests: Vec<&str> = preopens.iter().map(|preopen| preopen.guest.as_str()).collect();
        assert_eq!(
            (guests, targets),
            (
                vec!["/", "/data"],
                ["/0", "/1", "/1/in/cfg", "/0/cfg", "/0/dev/termination-log"].map(str::to_owned).to_vec()
            )
        );
        let mut mounts = vec![samples::mount("data", "/data"), samples::mount("file", "/data/cfg")];
        mounts[0].read_only = true;
        let container = Container { image: image(), mounts, ..samples::container("w") };
        let facts = ContainerFacts { files: vec![("file".to_owned(), None)], ..ContainerFacts::default() };
        let refused = grants(&mut Steps::default(), &samples::pod(), &container, &facts).expect_err("refused");
        assert!(refused.to_string().contains("\"/data/cfg\""), "{refused}");
    }

    #[test]
    fn files_of_one_directory_share_a_grant() {
        let module = ImageRef::Wasm("/m.wasm".to_owned());
        let (preopens, targets) = granted(module, &[("file", "/etc/a"), ("file", "/etc/b")]).expect("plans");
        assert_eq!((preopens[0].guest.as_str(), preopens[0].file.as_deref()), ("/etc", Some("a")));
        assert_eq!(targets, ["/0/a", "/0/b", "/1/termination-log"]);
        assert_eq!((preopens[1].guest.as_str(), preopens[1].writable), ("/dev", true));
    }

    /// Where last words are mounted, and what the guest sees the directory as.
    fn last_words(image: ImageRef, volume: &str, path: &str) -> Result<String, PlanError> {
        let last_words = LastWords { path: path.to_owned(), from_log: false };
        let mounts = vec![samples::mount("data", volume)];
        let read_only_root = matches!(image, ImageRef::Rootfs(_));
        let container = Container { image, mounts, last_words, read_only_root, ..samples::container("w") };
        let mut steps = Steps::default();
        let preopens = grants(&mut steps, &samples::pod(), &container, &ContainerFacts::default())?;
        let Some(Op::Attach { target, .. }) = steps.ops.last() else { panic!("{:?}", steps.ops) };
        let held = preopens.iter().rfind(|preopen| target.starts_with(&format!("{}/", preopen.dir)));
        Ok(held.map_or("none".to_owned(), |held| format!("{target} at {}", held.guest)))
    }

    #[test]
    fn last_words_are_where_the_guest_may_write_them() {
        let (module, image) = (|| ImageRef::Wasm("/m.wasm".to_owned()), || ImageRef::Rootfs("/img".to_owned()));
        let words = |image, volume, path| last_words(image, volume, path).expect("plans");
        assert_eq!(words(module(), "/", LAST_WORDS_PATH), "/1/termination-log at /dev", "not in the volume");
        assert_eq!(words(module(), "/data", "/data/end"), "/0/end at /data");
        assert_eq!(words(module(), "/dev", LAST_WORDS_PATH), "none", "the volume has the name");
        assert_eq!(words(module(), "/data", "/data"), "none", "a mount of its own");
        assert_eq!(words(image(), "/data", LAST_WORDS_PATH), "/2/termination-log at /dev", "the root is read-only");
        for (volume, path) in [("/data", "/end"), ("/data", "/"), ("/data", "x"), ("/data", "/a/../b")] {
            assert!(last_words(image(), volume, path).is_err(), "{path}");
        }
    }
}
