//! What the command settles in a Pod before the node gets it: paths become absolute, a name is made.

use k8s_openapi::api::core::v1;

use crate::image_ref;

/// Letters of generated names (apimachinery util/rand): none that make words or are taken for one another.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Bytes of a generated name before its random letters (names.maxGeneratedNameLength).
const MAX_PREFIX: usize = 58;

/// Makes the relative paths of `rootfs:` and `wasm:` images absolute; `base_dir` is the manifest's folder, absolute.
/// (A relative `hostPath` is an error, as in Kubernetes, and not touched.)
pub fn resolve_paths(pod: &mut v1::Pod, base_dir: &str) {
    let Some(spec) = &mut pod.spec else { return };
    let init = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers).map(|one| &mut one.image);
    let added = spec.ephemeral_containers.iter_mut().flatten().map(|one| &mut one.image);
    let mounted = spec.volumes.iter_mut().flatten().filter_map(|volume| volume.image.as_mut());
    let mounted = mounted.map(|image| &mut image.reference);
    for image in init.chain(added).chain(mounted).flatten() {
        *image = image_ref::resolve(image, base_dir);
    }
}

/// Gives a Pod without a name one from its `generateName`, as the API server does; `random` chooses the letters.
/// Does nothing to a Pod that has a name, or neither.
pub fn assign_name(pod: &mut v1::Pod, random: u64) {
    let meta = &mut pod.metadata;
    if meta.name.as_deref().is_some_and(|name| !name.is_empty()) {
        return;
    }
    let Some(prefix) = meta.generate_name.as_deref().filter(|prefix| !prefix.is_empty()) else {
        return;
    };
    meta.name = Some(generated_name(prefix, random));
}

/// A beginning, and five letters that `random` chooses.
#[must_use]
pub fn generated_name(prefix: &str, random: u64) -> String {
    let mut name: String = prefix.chars().take(MAX_PREFIX).collect();
    let mut rest = random;
    for _ in 0..5 {
        name.push(char::from(LETTERS[(rest % 27) as usize]));
        rest /= 27;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_once() {
        let mut pod = v1::Pod::default();
        assign_name(&mut pod, 1);
        assert_eq!(pod.metadata.name, None);
        pod.metadata.generate_name = Some("web-".into());
        assign_name(&mut pod, 0);
        assert_eq!(pod.metadata.name.as_deref(), Some("web-bbbbb"));
        assign_name(&mut pod, u64::MAX);
        assert_eq!(pod.metadata.name.as_deref(), Some("web-bbbbb"));
    }

    #[test]
    fn image_paths_start_at_the_manifest() {
        let mut pod = v1::Pod { spec: Some(v1::PodSpec::default()), ..v1::Pod::default() };
        let image = |text: &str| v1::Container { image: Some(text.into()), ..v1::Container::default() };
        let spec = pod.spec.as_mut().unwrap();
        spec.containers = vec![image("rootfs:r"), image("nginx")];
        spec.init_containers = Some(vec![image("wasm:./m.wasm")]);
        let files = v1::ImageVolumeSource { reference: Some("rootfs:files".into()), ..Default::default() };
        spec.volumes = Some(vec![v1::Volume { image: Some(files), ..v1::Volume::default() }]);
        resolve_paths(&mut pod, "/srv");
        let spec = pod.spec.unwrap();
        assert_eq!(spec.containers[0].image.as_deref(), Some("rootfs:/srv/r"));
        assert_eq!(spec.containers[1].image.as_deref(), Some("nginx"));
        let files = spec.volumes.unwrap()[0].image.clone().unwrap();
        assert_eq!(files.reference.as_deref(), Some("rootfs:/srv/files"));
        assert_eq!(spec.init_containers.unwrap()[0].image.as_deref(), Some("wasm:/srv/m.wasm"));
    }
}
