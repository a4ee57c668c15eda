//! A system call filter from a file: `linux.seccomp` of the OCI runtime specification, which other runtimes take, too.
//!
//! Rules apply in the order of the file, and the first whose arguments fit decides; `defaultAction` is for what no rule
//! names. As in runc, a system call that is newer than the known ones is ENOSYS where the default is an error, so that a C
//! library falls back. Names that are no system call here (of 32-bit machines, say) name nothing. Of `architectures` none
//! counts: calls of another one than this host's are ENOSYS always, as with the default filter. `includes` and `excludes`
//! are containers-common's: rules that depend on the architecture or on what the member holds.

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
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    names: Vec<String>,
    name: Option<String>,
    action: Action,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
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
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
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

impl Action {
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
        let included = self.includes.caps.iter().flatten().all(holds)
            && self.includes.arches.as_ref().is_none_or(|arches| arches.is_empty() || arches.iter().any(is_ours));
        let excluded =
            self.excludes.caps.iter().flatten().any(holds) || self.excludes.arches.iter().flatten().any(is_ours);
        included && !excluded
    }

    fn case(&self) -> Result<Case, FileFault> {
        let tests = self.args.iter().flatten().map(Argument::test).collect::<Result<_, _>>()?;
        Ok(Case { tests, then: self.action.returns(self.errno_ret) })
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
    for rule in profile.syscalls.iter().filter(|rule| rule.counts(arch, held)) {
        let case = rule.case()?;
        let numbers = rule.names.iter().chain(&rule.name).filter_map(|name| arch.number(by_name(name)?));
        numbers.for_each(|number| cases[number as usize].push(case.clone()));
    }
    let verdicts: Vec<Verdict> = cases.into_iter().map(|cases| verdict(cases, default)).collect();
    let beyond = match profile.default_action {
        Action::Errno => Verdict::Errno(ENOSYS),
        _ => Verdict::Return(default),
    };
    let program = compile(arch.audit(), &ranges(&verdicts, beyond));
    match program.len() / 8 {
        length if length > INSTRUCTIONS_MAX => {
            Err(FileFault(format!("it comes to {length} instructions, and the kernel takes {INSTRUCTIONS_MAX}")))
        }
        _ => Ok(program),
    }
}

/// What comes after a rule without tests never counts.
fn verdict(mut cases: Vec<Case>, default: u32) -> Verdict {
    let unconditional = cases.iter().position(|case| case.tests.is_empty());
    let otherwise = unconditional.map_or(default, |at| cases[at].then);
    cases.truncate(unconditional.unwrap_or(cases.len()));
    if cases.is_empty() { Verdict::Return(otherwise) } else { Verdict::Cases(cases, otherwise) }
}

#[cfg(test)]
mod tests {
    use super::super::bpf::{run, run_with};
    use super::*;

    const ARCH: u32 = 0xc000_003e;

    fn program(text: &str) -> Vec<u8> {
        filter(text, Arch::X86_64, 0).unwrap()
    }

    #[test]
    fn an_allow_list_and_its_default() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
                         {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30},
                         {"names": ["keyctl"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
        let program = program(text);
        for (number, expected) in [
            (0, RET_ALLOW),
            (1, RET_ERRNO | 13),
            (83, RET_ERRNO | 30),
            (250, 0x8000_0000),
            (LAST_KNOWN + 1, RET_ERRNO | 38),
        ] {
            assert_eq!(run(&program, ARCH, number, 0), expected, "{number}");
        }
        assert_eq!(run(&program, 0x4000_0003, 0, 0), RET_ERRNO | 38, "another architecture");
    }

    #[test]
    fn a_deny_list_lets_the_rest_through() {
        let text = r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"name": "mount", "action": "SCMP_ACT_TRAP"}]}"#;
        let program = program(text);
        assert_eq!(run(&program, ARCH, 165, 0), 0x0003_0000);
        assert_eq!(run(&program, ARCH, 1, 0), 0x7ffc_0000);
        assert_eq!(run(&program, ARCH, 9999, 0), 0x7ffc_0000);
    }

    /// Every comparison around its edge, with values that differ in one half only.
    #[test]
    fn arguments_are_compared_whole() {
        let value = 0x1_0000_0005_u64;
        let around = [0, 5, value - 1, value, value + 1, 0x2_0000_0000, u64::MAX, 0x5_0000_0005];
        type Holds = fn(u64, u64) -> bool;
        let operators: [(&str, Holds); 6] = [
            ("EQ", |a, b| a == b),
            ("NE", |a, b| a != b),
            ("GT", |a, b| a > b),
            ("GE", |a, b| a >= b),
            ("LT", |a, b| a < b),
            ("LE", |a, b| a <= b),
        ];
        for (name, holds) in operators {
            let rule = format!(r#"{{"index": 2, "value": {value}, "op": "SCMP_CMP_{name}"}}"#);
            let text = format!(
                r#"{{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{{"names": ["write"], "action": "SCMP_ACT_ALLOW",
                    "args": [{rule}, {{"index": 0, "value": 255, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}}]}}]}}"#
            );
            let program = program(&text);
            for argument in around {
                let expected = if holds(argument, value) { RET_ALLOW } else { 0 };
                assert_eq!(run_with(&program, ARCH, 1, &[0xff07, 9, argument]), expected, "{name} {argument:x}");
                assert_eq!(run_with(&program, ARCH, 1, &[0xff08, 9, argument]), 0, "{name}: and the other one");
            }
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let arg = |value: u32| format!(r#""args": [{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}]"#);
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {{"names": ["socket"], "action": "SCMP_ACT_ALLOW", {}}}, {{"names": ["socket"], "action": "SCMP_ACT_TRAP", {}}},
                {{"names": ["socket"], "action": "SCMP_ACT_LOG"}}, {{"names": ["socket"], "action": "SCMP_ACT_KILL"}}]}}"#,
            arg(1),
            arg(2)
        );
        let program = program(&text);
        let socket = |family: u32| run(&program, ARCH, 41, family);
        assert_eq!([socket(1), socket(2), socket(3)], [RET_ALLOW, 0x0003_0000, 0x7ffc_0000]);
    }

    #[test]
    fn conditions_of_containers_common_count() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["reboot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_BOOT"]}, "excludes": {}},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_BOOT"]}},
            {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}}]}"#;
        let with = filter(text, Arch::X86_64, 1 << 22).unwrap();
        let without = program(text);
        let allowed = |program: &[u8]| [169, 165, 166].map(|number| run(program, ARCH, number, 0) == RET_ALLOW);
        assert_eq!((allowed(&with), allowed(&without)), ([true, false, false], [false, true, false]));
    }

    #[test]
    fn what_is_no_filter_says_why() {
        for (text, why) in [
            ("", "EOF"),
            ("{}", "defaultAction"),
            (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "unknown variant `SCMP_ACT_NOTIFY`"),
            (
                r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL",
                "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
                "no argument 6",
            ),
        ] {
            let fault = filter(text, Arch::X86_64, 0).unwrap_err().to_string();
            assert!(fault.contains(why), "{fault}");
        }
    }

    #[test]
    fn a_filter_of_every_call_by_its_arguments_fits() {
        let names: Vec<String> =
            super::super::syscall_numbers::ALLOWED.iter().map(|call| format!("{:?}", call.0)).collect();
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": [{}], "action": "SCMP_ACT_ALLOW",
                "args": [{{"index": 5, "value": 1, "op": "SCMP_CMP_GE"}}]}}]}}"#,
            names.join(",")
        );
        let fault = filter(&text, Arch::X86_64, 0).map(|program| program.len() / 8);
        assert!(fault.is_ok_and(|length| length < INSTRUCTIONS_MAX), "{names:?}");
    }
}
