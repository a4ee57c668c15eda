//! A system call filter from a file: `linux.seccomp` of the OCI runtime specification, which other runtimes take, too.
//!
//! As libseccomp and runc have it: of several rules for one call the unconditional one counts whatever the order, then the
//! first whose arguments all fit; a rule that says what the default says anyway is none; conditions that name one argument
//! twice are alternatives. What is newer than the newest call that the file names is ENOSYS where the default forbids, so
//! that a C library falls back. Names that are no system call here (of 32-bit machines, say) name nothing, `flags` set
//! none, and of `architectures` none counts: calls of another one than this host's, x32 among them, are ENOSYS always, as
//! with the default filter. `includes` and `excludes` are containers-common's: rules that depend on the architecture or on
//! what the member holds.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

use super::bpf::{Case, Comparison, RET_ALLOW, RET_ERRNO, Test, Verdict, compile};
use super::seccomp_profile::{Arch, ENOSYS, ranges};
use super::syscall_numbers::{LAST_KNOWN, by_name};
use crate::capabilities;

/// EPERM
const EPERM: u16 = 1;
/// Instructions of a program at most (BPF_MAXINSNS).
const INSTRUCTIONS_MAX: usize = 4096;
/// Above this the kernel takes it for this.
const ERRNO_MAX: u32 = 4095;

/// Why a file is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault(String);

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: Action,
    default_errno_ret: Option<u32>,
    syscalls: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Option<Vec<String>>,
    name: Option<String>,
    action: Action,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: Operator,
}

#[derive(Default, Deserialize)]
struct Condition {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
}

#[derive(Clone, Copy, Deserialize)]
enum Action {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
}

#[derive(Clone, Copy, Deserialize)]
enum Operator {
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    #[serde(rename = "SCMP_CMP_GT")]
    Above,
    #[serde(rename = "SCMP_CMP_GE")]
    AtLeast,
    #[serde(rename = "SCMP_CMP_LT")]
    Below,
    #[serde(rename = "SCMP_CMP_LE")]
    AtMost,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    Masked,
}

impl Condition {
    fn caps(&self) -> &[String] {
        self.caps.as_deref().unwrap_or_default()
    }

    fn arches(&self) -> &[String] {
        self.arches.as_deref().unwrap_or_default()
    }
}

impl Action {
    fn forbids(self) -> bool {
        matches!(self, Self::Errno | Self::KillThread | Self::KillProcess | Self::Trap)
    }

    /// `SECCOMP_RET_…`
    fn returns(self, errno: Option<u32>) -> u32 {
        let errno = errno.unwrap_or(u32::from(EPERM)).min(ERRNO_MAX);
        match self {
            Self::Allow => RET_ALLOW,
            Self::Errno => RET_ERRNO | errno,
            Self::Log => 0x7ffc_0000,
            Self::KillThread => 0,
            Self::KillProcess => 0x8000_0000,
            Self::Trap => 0x0003_0000,
            Self::Trace => 0x7ff0_0000 | errno,
        }
    }
}

impl Argument {
    fn test(&self) -> Result<Test, FileFault> {
        if self.index > 5 {
            return Err(FileFault(format!("a system call has no argument {}", self.index)));
        }
        let (comparison, value) = match self.op {
            Operator::Equal => (Comparison::Equal, self.value),
            Operator::NotEqual => (Comparison::NotEqual, self.value),
            Operator::Above => (Comparison::Above, self.value),
            Operator::AtLeast => (Comparison::AtLeast, self.value),
            Operator::Below => (Comparison::Below, self.value),
            Operator::AtMost => (Comparison::AtMost, self.value),
            Operator::Masked => (Comparison::Masked(self.value), self.value_two),
        };
        Ok(Test { argument: self.index, comparison, value })
    }
}

impl Rule {
    /// Whether it counts for this member on this architecture.
    fn counts(&self, arch: Arch, held: u64) -> bool {
        let holds = |name: &String| capabilities::by_name(name).is_some_and(|mask| mask & held == mask);
        let is_ours = |name: &String| arch.container_names().contains(&name.as_str());
        let (none, only) = (Condition::default(), |of: &[String]| of.is_empty() || of.iter().any(is_ours));
        let (includes, excludes) = (self.includes.as_ref().unwrap_or(&none), self.excludes.as_ref().unwrap_or(&none));
        includes.caps().iter().all(holds)
            && only(includes.arches())
            && !excludes.caps().iter().any(holds)
            && !excludes.arches().iter().any(is_ours)
    }

    fn returns(&self) -> u32 {
        self.action.returns(self.errno_ret)
    }

    /// One case of all its tests; of each by itself, if an argument comes twice.
    fn cases(&self) -> Result<Vec<Case>, FileFault> {
        let tests = self.args.iter().flatten().map(Argument::test).collect::<Result<Vec<_>, _>>()?;
        let arguments: BTreeSet<u32> = tests.iter().map(|test| test.argument).collect();
        let then = self.returns();
        Ok(match arguments.len() == tests.len() {
            true => vec![Case { tests, then }],
            false => tests.into_iter().map(|test| Case { tests: vec![test], then }).collect(),
        })
    }

    fn numbers(&self, arch: Arch) -> impl Iterator<Item = u32> {
        self.names.iter().flatten().chain(&self.name).filter_map(move |name| arch.number(by_name(name)?))
    }
}

/// The program for a member that holds `held` (a mask of capabilities), as init installs it.
///
/// # Errors
/// What is wrong with the file, for people.
pub fn filter(text: &str, arch: Arch, held: u64) -> Result<Vec<u8>, FileFault> {
    let profile: Profile = serde_json::from_str(text).map_err(|error| FileFault(error.to_string()))?;
    let default = profile.default_action.returns(profile.default_errno_ret);
    let mut cases: Vec<Vec<Case>> = vec![Vec::new(); LAST_KNOWN as usize + 1];
    for rule in profile.syscalls.iter().flatten().filter(|rule| rule.counts(arch, held) && rule.returns() != default) {
        let of_rule = rule.cases()?;
        rule.numbers(arch).for_each(|number| cases[number as usize].extend_from_slice(&of_rule));
    }
    let newest = profile.syscalls.iter().flatten().flat_map(|rule| rule.numbers(arch)).max().unwrap_or(LAST_KNOWN);
    let beyond = if profile.default_action.forbids() { Verdict::Errno(ENOSYS) } else { Verdict::Return(default) };
    cases.truncate(newest as usize + 1);
    let verdicts: Vec<Verdict> = cases.into_iter().map(|cases| verdict(cases, default)).collect();
    let program = compile(arch.audit(), &ranges(&verdicts, beyond));
    match program.len() / 8 {
        length if length > INSTRUCTIONS_MAX => {
            Err(FileFault(format!("it comes to {length} instructions, and the kernel takes {INSTRUCTIONS_MAX}")))
        }
        _ => Ok(program),
    }
}

fn verdict(cases: Vec<Case>, default: u32) -> Verdict {
    match cases.iter().find(|case| case.tests.is_empty()) {
        Some(unconditional) => Verdict::Return(unconditional.then),
        None if cases.is_empty() => Verdict::Return(default),
        None => Verdict::Cases(cases, default),
    }
}

#[cfg(test)]
mod tests;
