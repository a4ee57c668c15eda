//! Reading what pause wrote: the log files of one container, in order, as records.
//!
//! Format: the Kubernetes (CRI) log line, `TIME stdout|stderr F|P BYTES`, one a line (KEP-1602 and
//! `kubernetes/kubernetes:pkg/kubelet/kuberuntime/logs`). `F` means that the member's own line ended here, `P` that it
//! goes on in the next record of the same stream, so joining the bytes (and a newline for each `F`) gives back exactly
//! what the member wrote.
//! Files: `<attempt>.<part>.log`. An attempt is one start of the container, a part one rotation. pause is handed the next
//! part ahead of need, so a part is begun only when it holds something.
//!
//! ```text
//! LogReader::drain ─ records so far ─→ caller ─→ LogWatch::changed().await ─→ drain …
//! ```
//!
//! The bytes are hostile: nothing here trusts a length, a tag or a line end, memory is one fixed buffer, and a line that
//! is no CRI line is handed on as it is. Nothing here ever writes, blocks a member, or follows a symbolic link.

mod files;
mod line;
mod reader;
mod tail;
mod watch;

pub use line::{Record, Stream, parse_record};
pub use reader::{Attempts, Filter, LogFailure, LogReader};
pub use watch::LogWatch;
