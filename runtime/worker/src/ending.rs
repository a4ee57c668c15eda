//! How a guest ended, in the words and numbers that Kubernetes users know.
//!
//! | what happened | status | reason |
//! |---|---|---|
//! | returned, or exited by itself | its own (preview 1: modulo 256; preview 2: 0, 1, or its code) | – |
//! | trap | 134, as `abort()` | `Trap`, or `StackOverflow` |
//! | ended right after the memory limit refused it more | 137, as an OOM kill | `OOMKilled` |
//! | exited with a failure right after that | its own | `MemoryLimit` |
//! | an import that nobody provides | 126, as a program that cannot be executed | `MissingImport` |
//! | the host side failed | 125 | `WorkerFailed` |
//!
//! "Right after": the last growth it asked for was the one refused. The kernel's OOM killer, at the cgroup's limit,
//! needs no word of ours.

use crate::limits::Limiter;
use crate::report;
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// Status of a trap.
pub const TRAPPED: i32 = 134;
/// Status of an out-of-memory end.
pub const OUT_OF_MEMORY: i32 = 137;
/// Status of a module that cannot be run.
pub const NOT_RUNNABLE: i32 = 126;
/// Status of a failure that is the host's.
pub const HOST_FAILED: i32 = 125;

/// Frames of a guest's stack that a report names.
const FRAMES: usize = 12;
/// Characters of one function's name.
const NAME: usize = 120;

/// An exit status, and why, if it needs saying.
#[derive(Debug, PartialEq, Eq)]
pub struct Ending {
    /// 0 to 255.
    pub status: i32,
    /// CamelCase word.
    pub reason: Option<&'static str>,
    /// Sentences.
    pub message: String,
}

impl Ending {
    /// The guest's own status.
    pub fn exit(status: i32) -> Self {
        Self { status: status & 0xff, reason: None, message: String::new() }
    }

    fn because(status: i32, reason: &'static str, message: String) -> Self {
        Self { status, reason: Some(reason), message }
    }

    /// Leaves the report, if there is something to say, and ends the process.
    pub fn leave(self) -> ! {
        if let Some(reason) = self.reason {
            report::leave(reason, &self.message);
        }
        std::process::exit(self.status)
    }
}

/// What a call into the guest came to.
pub fn of(result: Result<i32, Error>, limiter: &Limiter) -> Ending {
    let ending = match result {
        Ok(status) => Ending::exit(status),
        Err(cause) => of_error(&cause),
    };
    match limiter.refused() {
        Some(bytes) if ending.status != 0 => blame_memory(ending, bytes, limiter.limit()),
        _ => ending,
    }
}

/// A module that could not be linked or instantiated.
pub fn of_link(cause: &Error) -> Ending {
    Ending::because(NOT_RUNNABLE, "MissingImport", format!("the module cannot be linked: {cause:#}"))
}

/// One line on why a guest's call failed, for a request that is not the process's end.
pub fn brief(cause: &Error, limiter: &Limiter) -> String {
    let ending = of(Err(Error::msg(String::new())), limiter);
    let text = of_error(cause).message;
    if ending.reason == Some("OOMKilled") { format!("{text} (after {})", ending.message) } else { text }
}

fn of_error(cause: &Error) -> Ending {
    if let Some(exit) = cause.downcast_ref::<I32Exit>() {
        return Ending { message: format!("exit({})", exit.0), ..Ending::exit(exit.0) };
    }
    match cause.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            Ending::because(TRAPPED, "StackOverflow", trap_text("call stack exhausted", cause))
        }
        Some(trap) => Ending::because(TRAPPED, "Trap", trap_text(&trap_words(trap), cause)),
        None => Ending::because(HOST_FAILED, "WorkerFailed", format!("{cause:#}")),
    }
}

fn trap_words(trap: &Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

fn trap_text(what: &str, cause: &Error) -> String {
    let mut text = format!("wasm trap: {what}");
    let Some(trace) = cause.downcast_ref::<WasmBacktrace>() else {
        return text;
    };
    for frame in trace.frames().iter().take(FRAMES) {
        let name = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled);
        text.push_str(&format!("\nat {}", report::printable(&name, NAME)));
    }
    let more = trace.frames().len().saturating_sub(FRAMES);
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    text
}

/// `core::panicking::panic` for `_ZN4core9panicking5panicE`: the last parts are enough, names are for people.
fn demangled(name: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = name.strip_prefix("_ZN").unwrap_or("");
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()).filter(|&end| end > 0) {
        let Some(part) = rest[..end].parse().ok().and_then(|len: usize| rest.get(end..end.checked_add(len)?)) else {
            break;
        };
        parts.push(part);
        rest = &rest[end + part.len()..];
    }
    if parts.is_empty() { name.to_owned() } else { parts.join("::") }
}

fn blame_memory(ending: Ending, bytes: u64, limit: u64) -> Ending {
    let refusal = format!("the memory limit of {limit} bytes refused it {bytes} bytes more");
    match ending.reason {
        None => Ending::because(ending.status, "MemoryLimit", format!("exited after {refusal}")),
        Some("StackOverflow") => ending,
        Some(_) => Ending::because(OUT_OF_MEMORY, "OOMKilled", format!("{refusal}\n{}", ending.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Budget;
    use wasmtime::ResourceLimiter;

    fn limiter(refused: bool) -> Limiter {
        let mut limiter = Budget::new(Some(10)).limiter();
        limiter.memory_growing(0, if refused { 11 } else { 1 }, None).unwrap();
        limiter
    }

    #[test]
    fn own_statuses_are_kept() {
        for status in [0, 7, 126, 200, 255] {
            assert_eq!(of(Err(I32Exit(status).into()), &limiter(false)).status, status);
        }
        assert_eq!(of(Ok(1), &limiter(false)).reason, None);
    }

    #[test]
    fn traps_have_reasons() {
        let of = |trap: Trap| super::of(Err(trap.into()), &limiter(false));
        assert_eq!(
            (of(Trap::UnreachableCodeReached).status, of(Trap::StackOverflow).reason),
            (134, Some("StackOverflow"))
        );
        assert!(of(Trap::MemoryOutOfBounds).message.contains("out of bounds memory access"));
    }

    #[test]
    fn memory_is_blamed_only_right_after_a_refusal() {
        let trap = || Err(Trap::UnreachableCodeReached.into());
        assert_eq!(of(trap(), &limiter(true)).reason, Some("OOMKilled"));
        assert_eq!(of(trap(), &limiter(true)).status, 137);
        assert_eq!(of(trap(), &limiter(false)).reason, Some("Trap"));
        let exit = of(Err(I32Exit(3).into()), &limiter(true));
        assert_eq!((exit.status, exit.reason), (3, Some("MemoryLimit")));
        assert_eq!(of(Ok(0), &limiter(true)).reason, None);
    }

    #[test]
    fn rust_names_are_readable() {
        assert_eq!(
            demangled("_ZN4core9panicking5panic17h0123456789abcdefE"),
            "core::panicking::panic::h0123456789abcdef"
        );
        assert_eq!(demangled("main"), "main");
        assert_eq!(demangled("_ZN99x"), "_ZN99x");
    }
}
