//! Native or Wasm? Decided per container, from what was asked for, then from what the image is.
//!
//! Order: an annotation that names a handler; then `image: wasm:FILE`; then the magic of the entry point; else native.
//! A later image kind (artifact type, architecture) joins between the second and the third.

use super::refusal::{PlanError, Problem};
use crate::facts::ContainerFacts;
use crate::pod::{Container, ImageRef, MemberKind};

/// The kind, and for people what decided it.
///
/// # Errors
/// A module that an annotation wants native.
pub fn decide(container: &Container, facts: &ContainerFacts) -> Result<(MemberKind, String), PlanError> {
    if let Some(kind) = container.kind_hint {
        return asked_for(container, kind);
    }
    if let ImageRef::Wasm(file) = &container.image {
        return Ok((MemberKind::Wasm, format!("image: wasm:{file}")));
    }
    Ok(by_magic(facts))
}

fn asked_for(container: &Container, kind: MemberKind) -> Result<(MemberKind, String), PlanError> {
    if kind == MemberKind::Native && matches!(container.image, ImageRef::Wasm(_)) {
        return Err(PlanError::of(&container.name, "image", Problem::NativeModule));
    }
    Ok((kind, "asked for by annotation".to_owned()))
}

fn by_magic(facts: &ContainerFacts) -> (MemberKind, String) {
    match &facts.entry_point {
        Some(entry) if entry.wasm => (MemberKind::Wasm, format!("magic \\0asm of {}", entry.path)),
        Some(entry) => (MemberKind::Native, format!("no \\0asm magic in {}", entry.path)),
        None => (MemberKind::Native, "no module is named, and no entry point was found".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::container;
    use super::*;
    use crate::facts::EntryPoint;

    fn found(wasm: bool) -> ContainerFacts {
        let entry_point = Some(EntryPoint { path: "/bin/app".to_owned(), wasm });
        ContainerFacts { entry_point, ..ContainerFacts::default() }
    }

    #[test]
    fn annotation_beats_image_beats_magic_beats_native() {
        let kind = |container: &Container, facts: &ContainerFacts| decide(container, facts).map(|(kind, _)| kind);
        let mut plain = container("a");
        assert_eq!(kind(&plain, &found(false)), Ok(MemberKind::Native));
        assert_eq!(kind(&plain, &found(true)), Ok(MemberKind::Wasm));
        plain.kind_hint = Some(MemberKind::Native);
        assert_eq!(kind(&plain, &found(true)), Ok(MemberKind::Native));
        plain.image = ImageRef::Wasm("/m.wasm".to_owned());
        assert!(kind(&plain, &found(true)).is_err());
        plain.kind_hint = None;
        assert_eq!(kind(&plain, &ContainerFacts::default()), Ok(MemberKind::Wasm));
    }
}
