//! A PersistentVolumeClaim: here it is a folder that is kept, so that which storage of a cluster it asks for, and how much,
//! changes nothing, and is warned about.
//!
//! Source: ValidatePersistentVolumeClaimSpec.

use k8s_openapi::api::core::v1;

use super::Problems;
use super::metadata::{self, Metadata};
use crate::manifest::problem::{Cause, Problem};
use crate::quantity::Quantity;

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Who it is, what is wrong with it, and what means nothing here.
pub fn check(claim: &v1::PersistentVolumeClaim) -> (Metadata, Problems, Problems) {
    let (mut problems, mut warnings) = (Problems::new(), Problems::new());
    let metadata = metadata::check(&claim.metadata, &mut problems);
    let nothing = v1::PersistentVolumeClaimSpec::default();
    let spec = claim.spec.as_ref().unwrap_or(&nothing);
    modes(spec, &mut problems);
    storage(spec, &mut problems);
    match spec.volume_mode.as_deref() {
        None | Some("" | "Filesystem") => {}
        Some("Block") => {
            problems.push(Problem::refused("spec.volumeMode", "a claim is a folder, no block device"));
        }
        Some(other) => problems.push(Problem::unsupported("spec.volumeMode", other, &["Block", "Filesystem"])),
    }
    let elsewhere = [
        ("storageClassName", spec.storage_class_name.is_some()),
        ("volumeName", spec.volume_name.is_some()),
        ("selector", spec.selector.is_some()),
        ("volumeAttributesClassName", spec.volume_attributes_class_name.is_some()),
    ];
    let said = elsewhere.into_iter().filter(|(_, said)| *said);
    warnings.extend(said.map(|(field, _)| warning(field, "ignored: it means something in a cluster only")));
    warnings.push(warning("resources", "ignored: a claim is a folder here, and takes what there is on the disk"));
    for (field, said) in [("dataSource", spec.data_source.is_some()), ("dataSourceRef", spec.data_source_ref.is_some())]
    {
        if said {
            let why = "a claim is empty at first, and nothing here could fill it";
            problems.push(Problem::refused(format!("spec.{field}"), why));
        }
    }
    (metadata, problems, warnings)
}

fn warning(field: &str, message: &str) -> Problem {
    Problem::new(Cause::ClusterOnly, format!("spec.{field}"), message)
}

fn modes(spec: &v1::PersistentVolumeClaimSpec, out: &mut Problems) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        out.push(Problem::required("spec.accessModes", "at least 1 access mode is required"));
    }
    for (n, mode) in modes.iter().enumerate().filter(|(_, mode)| !MODES.contains(&mode.as_str())) {
        out.push(Problem::unsupported(format!("spec.accessModes[{n}]"), mode, &MODES));
    }
}

fn storage(spec: &v1::PersistentVolumeClaimSpec, out: &mut Problems) {
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let Some(wanted) = requests.and_then(|requests| requests.get("storage")) else {
        return out.push(Problem::required("spec.resources.requests[storage]", ""));
    };
    let fault = match Quantity::parse(&wanted.0) {
        Ok(quantity) if quantity.is_negative() || quantity.units() == 0 => "must be greater than zero".to_owned(),
        Ok(_) => return,
        Err(error) => error.to_string(),
    };
    out.push(Problem::invalid("spec.resources.requests[storage]", &wanted.0, &fault));
}
