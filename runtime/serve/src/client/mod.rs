//! The node's client: one unix socket, HTTP/1.1, Pods as Kubernetes shapes them.
//!
//! A connection for each request, since a node may be replaced at any moment and connecting costs some microseconds; a
//! watch and a stream keep theirs. Everything runs on the caller's current-thread runtime, without a thread of its own.
//! What goes in are names that the caller has checked; every one is percent-encoded all the same. What comes out are
//! Kubernetes types, or a `ClientFailure` whose `kind()` says what to do about it.
//! Must never decide anything: no defaults, no retries of what changes something.

mod archive;
mod failure;
mod http;
mod pods;
mod settings;
mod start;
mod stream;
mod target;
mod watch;

pub use archive::{ArchiveReader, PathOf};
pub use failure::{ClientFailure, Kind};
pub use http::Client;
pub use stream::{Output, StreamReceiver, StreamRequest, StreamSender};
pub use watch::{PodEvent, PodWatch};
