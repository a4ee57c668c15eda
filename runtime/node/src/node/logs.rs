//! What a container wrote, for the program that holds the node: read from the log files, as everybody reads them. The node stands
//! in nobody's way.

use std::io;
use std::sync::Arc;

use super::Node;
use crate::container::log::{Filter, LogFailure, LogReader, LogWatch, Record};
use crate::{NodeError, NodeErrorKind};

/// A position in the log of one container.
pub struct Logs {
    reader: LogReader,
    watch: LogWatch,
}

impl Node {
    /// The log of a container (the only one when absent), also of a Pod that has ended. Must be called within a tokio runtime
    /// that drives IO.
    ///
    /// # Errors
    /// `NotFound`; `BadRequest` when there are several containers and none was named.
    pub fn logs(
        &self,
        namespace: &str,
        name: &str,
        container: Option<&str>,
        filter: Filter,
    ) -> Result<Logs, NodeError> {
        let pod = self.find(namespace, name)?;
        let container = container_of(&pod.object(), container)
            .map_err(|(kind, why)| NodeError::new(kind, format!("Pod {namespace}/{name}: {why}")))?;
        let layout = &self.shared.layout;
        let mut watch = LogWatch::new();
        watch.add_pod(&layout.pod(&pod.uid), [container.as_str()]);
        Ok(Logs { reader: LogReader::new(layout.logs(&pod.uid, &container), filter), watch })
    }
}

impl Logs {
    /// Hands on every record that is written by now and was not handed on before.
    ///
    /// # Errors
    /// A file that cannot be read, no earlier start where that was asked for, or what the sink failed with.
    pub fn drain(&mut self, sink: impl FnMut(Record<'_>) -> io::Result<()>) -> Result<(), LogFailure> {
        self.reader.drain(sink)
    }

    /// The same once the Pod has ended: with a line that was never finished.
    ///
    /// # Errors
    /// As `drain`.
    pub fn finish(&mut self, sink: impl FnMut(Record<'_>) -> io::Result<()>) -> Result<(), LogFailure> {
        self.reader.finish(sink)
    }

    /// Returns when there may be more. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The kernel's descriptor failed, which no ordinary condition causes.
    pub async fn changed(&mut self) -> io::Result<()> {
        self.watch.changed().await
    }
}

fn container_of(
    pod: &Arc<k8s_openapi::api::core::v1::Pod>,
    wanted: Option<&str>,
) -> Result<String, (NodeErrorKind, String)> {
    let Some(spec) = &pod.spec else { return Err((NodeErrorKind::NotFound, "it has no containers".into())) };
    let added = spec.ephemeral_containers.iter().flatten().map(|container| &container.name);
    let init = spec.init_containers.iter().flatten().map(|container| &container.name);
    let regular = spec.containers.iter().map(|container| &container.name);
    let all: Vec<&String> = init.chain(regular).chain(added).collect();
    match wanted {
        Some(wanted) if all.iter().any(|name| *name == wanted) => Ok(wanted.to_owned()),
        Some(wanted) => Err((NodeErrorKind::NotFound, format!("there is no container {wanted}"))),
        None if all.len() == 1 => Ok(all[0].clone()),
        None => Err((NodeErrorKind::BadRequest, format!("which container? There are {all:?}"))),
    }
}
