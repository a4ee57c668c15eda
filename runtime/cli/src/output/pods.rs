//! The output of followed Pods: one log reader for each container, one writer for all.

use std::io::{self, BufWriter, Stderr, Stdout};

use clap::ValueEnum;
use dwell::container::log::{Attempts, Filter, LogReader, LogWatch, Record};
use dwell::layout::Layout;
use k8s_openapi::api::core::v1::Pod;

use super::members::MemberOutput;
use super::style::Style;
use crate::failure::Failure;
use crate::pods::records::{containers, name, uid};

/// When lines of output begin with the container's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prefix {
    /// With more than one container
    Auto,
    /// Always
    Always,
    /// Never: byte for byte
    Never,
}

/// Bytes gathered before they are written.
const BUFFER: usize = 64 * 1024;

/// Reads what the members of some Pods write, and writes it out.
pub struct PodOutput {
    readers: Vec<LogReader>,
    writer: MemberOutput<BufWriter<Stdout>, BufWriter<Stderr>>,
    watch: LogWatch,
}

impl PodOutput {
    /// Of all members of these Pods, from the oldest line that is kept. Must be called within the runtime.
    pub fn new(layout: &Layout, pods: &[Pod], prefix: Prefix) -> Self {
        let members: Vec<_> = pods.iter().flat_map(|pod| containers(pod).into_iter().map(move |c| (pod, c))).collect();
        let several = pods.len() > 1;
        let named = |(pod, container): &(&Pod, String)| {
            if several { format!("{}/{container}", name(pod)) } else { container.clone() }
        };
        let names: Vec<String> = members.iter().map(named).collect();
        let prefixed = prefix == Prefix::Always || (prefix == Prefix::Auto && names.len() > 1);
        Self::over(layout, &members, prefixed.then_some(&names[..]))
    }

    /// Of one container, whatever it is.
    pub fn of_one(layout: &Layout, pod: &Pod, container: &str) -> Self {
        Self::over(layout, &[(pod, container.to_owned())], None)
    }

    fn over(layout: &Layout, members: &[(&Pod, String)], prefixes: Option<&[String]>) -> Self {
        let filter = Filter { attempts: Attempts::All, ..Filter::default() };
        let (mut readers, mut watch) = (Vec::new(), LogWatch::new());
        for (pod, container) in members {
            watch.add_pod(&layout.pod(uid(pod)), std::iter::once(container.as_str()));
            readers.push(LogReader::new(layout.logs(uid(pod), container), filter));
        }
        let out = (BufWriter::with_capacity(BUFFER, io::stdout()), Style::stdout());
        let err = (BufWriter::with_capacity(BUFFER, io::stderr()), Style::stderr());
        Self { readers, writer: MemberOutput::new(out, err, prefixes), watch }
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
