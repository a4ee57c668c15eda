//! Containers that are added to a Pod while it runs, to look around in it: written down as any other wish, then begun by
//! the driver as `decide` says. Must never change or take away a container that is there.

use std::io;

use dwell_spec::manifest::Problem;
use dwell_spec::pod::Pod;
use k8s_openapi::api::core::v1::{self, EphemeralContainer};

use super::driver::Driver;
use super::record;
use super::request::Refusal;
use crate::supervise::journal::Intent;

impl Driver {
    /// The object is written before the journal: whoever finds a container without a member makes it one.
    pub(super) fn add(&mut self, containers: Vec<EphemeralContainer>) -> Result<(), Refusal> {
        if containers.is_empty() {
            return Ok(());
        }
        if self.journal.finished || self.journal.intent != Intent::Run {
            let state = if self.journal.finished { "ended" } else { "being stopped" };
            return Err(Refusal::NotRunning { what: "the Pod".into(), state: state.into() });
        }
        let before = self.handle.object();
        let object = with(&before, containers)?;
        let pod = Pod::try_from(&object).map_err(Refusal::Problems)?;
        if let Err(error) = self.write_object(&object) {
            // What was written of it must not come to life later.
            let _ = self.write_object(&before);
            return Err(Refusal::Failed(format!("write the Pod down: {error}")));
        }
        self.shared.publish(&self.handle, object, false);
        self.journal.add_missing(&pod);
        self.pod = pod;
        self.save_lasting();
        self.publish();
        Ok(())
    }

    fn write_object(&self, object: &v1::Pod) -> io::Result<()> {
        let (layout, uid) = (&self.shared.layout, &self.handle.uid);
        std::fs::create_dir_all(layout.run_pod(uid))?;
        record::write(&layout.run_object(uid), object)?;
        record::write(&layout.pod_object(uid), object)
    }
}

/// The Pod with those of them that it does not have yet.
fn with(pod: &v1::Pod, containers: Vec<EphemeralContainer>) -> Result<v1::Pod, Refusal> {
    let mut pod = pod.clone();
    let there = pod.spec.get_or_insert_default().ephemeral_containers.get_or_insert_default();
    for container in containers {
        match there.iter().position(|known| known.name == container.name) {
            None => there.push(container),
            Some(at) if there[at] == container => {}
            Some(at) => {
                let why = format!("{} was added before, and can be neither changed nor begun again", container.name);
                let problem = Problem::forbidden(format!("spec.ephemeralContainers[{at}]"), &why)
                    .with_hint("add one of another name");
                return Err(Refusal::Problems(vec![problem]));
            }
        }
    }
    Ok(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, image: &str) -> EphemeralContainer {
        EphemeralContainer { name: name.into(), image: Some(image.into()), ..EphemeralContainer::default() }
    }

    #[test]
    fn what_is_there_stays_as_it_is_and_is_not_added_twice() {
        let one = with(&v1::Pod::default(), vec![named("a", "x")]).unwrap();
        let two = with(&one, vec![named("a", "x"), named("b", "y")]).unwrap();
        let names = |pod: &v1::Pod| -> Vec<String> {
            pod.spec
                .iter()
                .flat_map(|spec| spec.ephemeral_containers.iter().flatten())
                .map(|c| c.name.clone())
                .collect()
        };
        assert_eq!(names(&two), ["a", "b"]);
        let refused = with(&two, vec![named("a", "other")]).unwrap_err();
        assert!(refused.to_string().contains("a was added before"), "{refused}");
    }
}
