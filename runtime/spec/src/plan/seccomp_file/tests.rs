//! Filters from files, run as the kernel would run them.

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
        (251, RET_ERRNO | 38),
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
    assert_eq!(run(&program, ARCH, 0x4000_0000 + 165, 0), RET_ERRNO | 38, "not by its number of x32 either");
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
fn of_several_rules_the_unconditional_one_counts_then_the_first_that_fits() {
    let rule = |call: &str, action: &str, value: Option<u32>| {
        let test = value.map(|value| format!(r#", "args": [{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}]"#));
        format!(r#"{{"names": ["{call}"], "action": "SCMP_ACT_{action}"{}}}"#, test.unwrap_or_default())
    };
    let rules = [
        rule("socket", "ALLOW", Some(1)),
        rule("socket", "TRAP", Some(1)),
        rule("socket", "TRAP", Some(2)),
        rule("socket", "ERRNO", None),
        rule("mount", "ALLOW", Some(1)),
        rule("mount", "LOG", None),
    ];
    let program = program(&format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{}]}}"#, rules.join(",")));
    let socket = |family: u32| run(&program, ARCH, 41, family);
    assert_eq!([socket(1), socket(2), socket(3)], [RET_ALLOW, 0x0003_0000, RET_ERRNO | 1], "the default's own is none");
    assert_eq!(run(&program, ARCH, 165, 1), 0x7ffc_0000);
}

#[test]
fn conditions_of_one_argument_are_alternatives() {
    let test = |value: u32| format!(r#"{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}"#);
    let text = format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{}, {}]}}]}}"#,
        test(16),
        test(17)
    );
    let program = program(&text);
    let socket = |family: u32| run(&program, ARCH, 41, family);
    assert_eq!([socket(2), socket(16), socket(17)], [RET_ALLOW, RET_ERRNO | 1, RET_ERRNO | 1]);
}

#[test]
fn conditions_of_containers_common_count() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["reboot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_BOOT"]}, "excludes": {}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_BOOT"]}},
        {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
        {"names": null, "action": "SCMP_ACT_ALLOW", "includes": null, "args": null}]}"#;
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
fn what_is_too_long_for_the_kernel_is_refused() {
    let names: Vec<_> = super::super::syscall_numbers::ALLOWED.iter().map(|call| format!("{:?}", call.0)).collect();
    let of_tests = |count: usize| {
        let tests = vec![r#"{"index": 5, "value": 1, "op": "SCMP_CMP_GE"}"#; count].join(",");
        let rule = format!(r#"{{"names": [{}], "action": "SCMP_ACT_ALLOW", "args": [{tests}]}}"#, names.join(","));
        filter(&format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rule}]}}"#), Arch::X86_64, 0)
    };
    assert!(of_tests(1).is_ok_and(|program| program.len() / 8 < INSTRUCTIONS_MAX));
    let fault = of_tests(60).map(|program| program.len()).unwrap_err().to_string();
    assert!(fault.contains("instructions, and the kernel takes 4096"), "{fault}");
}
