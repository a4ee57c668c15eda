//! The output of followed Pods: one log reader for each container, one writer for all.

use std::io::{self, BufWriter, Stderr, Stdout};

use dwell::container::log::{Attempts, Filter, LogReader, LogWatch, Record};
use dwell::layout::Layout;
use k8s_openapi::api::core::v1::Pod;

use super::Prefix;
use crate::failure::Failure;
use crate::output::members::MemberOutput;
use crate::output::style::Style;
use crate::pods::records::{containers, name, uid};

/// Bytes gathered before they are written.
const BUFFER: usize = 64 * 1024;

/// Reads what the members of some Pods write, and writes it out.
pub struct PodOutput {
    readers: Vec<LogReader>,
    writer: MemberOutput<BufWriter<Stdout>, BufWriter<Stderr>>,
    watch: LogWatch,
}

impl PodOutput {
    /// Begins with the oldest line that is kept. Must be called within the runtime.
    pub fn new(layout: &Layout, pods: &[Pod], prefix: Prefix) -> Self {
        let filter = Filter { attempts: Attempts::All, ..Filter::default() };
        let (mut readers, mut watch) = (Vec::new(), LogWatch::new());
        for pod in pods {
            let containers = containers(pod);
            watch.add_pod(&layout.pod(uid(pod)), containers.iter().map(String::as_str));
            readers.extend(containers.iter().map(|c| LogReader::new(layout.logs(uid(pod), c), filter)));
        }
        Self::over(readers, watch, &names(pods), prefix)
    }

    /// Of one container, whatever it is.
    pub fn of_one(layout: &Layout, pod: &Pod, container: &str) -> Self {
        let filter = Filter { attempts: Attempts::All, ..Filter::default() };
        let mut watch = LogWatch::new();
        watch.add_pod(&layout.pod(uid(pod)), std::iter::once(container));
        let reader = LogReader::new(layout.logs(uid(pod), container), filter);
        Self::over(vec![reader], watch, &[container.to_owned()], Prefix::Never)
    }

    fn over(readers: Vec<LogReader>, watch: LogWatch, names: &[String], prefix: Prefix) -> Self {
        let prefixed = prefix == Prefix::Always || (prefix == Prefix::Auto && names.len() > 1);
        let out = (BufWriter::with_capacity(BUFFER, io::stdout()), Style::stdout());
        let err = (BufWriter::with_capacity(BUFFER, io::stderr()), Style::stderr());
        Self { readers, writer: MemberOutput::new(out, err, prefixed.then_some(names)), watch }
    }

    /// Returns when there may be more. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As `LogWatch::changed`.
    pub async fn changed(&mut self) -> Result<(), Failure> {
        self.watch.changed().await.map_err(|e| Failure::new("watch the logs").caused_by(&e))
    }

    /// Writes what there is by now; `finish`: and the torn ends of lines, since nothing will follow.
    /// `first` is called before anything is written.
    ///
    /// # Errors
    /// A log cannot be read, or the output not be written.
    pub fn copy(&mut self, finish: bool, mut first: impl FnMut()) -> Result<(), Failure> {
        let Self { readers, writer, .. } = self;
        for (member, reader) in readers.iter_mut().enumerate() {
            let sink = |record: Record<'_>| {
                first();
                writer.write(member, &record)
            };
            if finish { reader.finish(sink) } else { reader.drain(sink) }?;
        }
        Ok(writer.flush()?)
    }
}

/// `container`, or `pod/container` where there are several Pods.
fn names(pods: &[Pod]) -> Vec<String> {
    let several = pods.len() > 1;
    let named = |pod: &Pod, container: String| {
        if several { format!("{}/{container}", name(pod)) } else { container }
    };
    pods.iter().flat_map(|pod| containers(pod).into_iter().map(|c| named(pod, c)).collect::<Vec<_>>()).collect()
}
