//! A clock that runs only while the process does: `SIGPROF` for each span of CPU time (setitimer(2), `ITIMER_PROF`).
//!
//! An HTTP worker moves its guests' deadlines with it. A sleeping process gets no signal, and a spinning one cannot
//! keep it away, which a timer descriptor in an event loop could not promise. The kernel rounds up to its tick.
//! A handler for `SIGPROF` must be in place first: its default action ends the process.

use std::io;
use std::time::Duration;

/// Sends this process `SIGPROF` after every `span` of its CPU time (user and system). Not inherited by children.
///
/// # Errors
/// `EINVAL` for a span that is not a valid timeval.
pub fn signal_every(span: Duration) -> io::Result<()> {
    let every = libc::timeval {
        tv_sec: span.as_secs() as libc::time_t,
        tv_usec: libc::suseconds_t::from(span.subsec_micros()),
    };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: `timer` is a valid itimerval that lives through the call; the old value is not asked for.
    let result = unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
