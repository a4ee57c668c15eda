//! Security contexts: who the members are, what they may do, and what is refused.

use crate::{Machine, inside, lines, page, prints, run, start, with_guest};

const USER: &str = "1100";

#[test]
fn a_pods_user_and_groups_are_its_members() {
    let node = Machine::new();
    start(&node, "security-pod", "as-someone");
    let said = |script: &str| inside(&node, "as-someone", "writes", script);
    assert_eq!(said("id -u; id -g; id -G"), "1100\n3300\n3300 2200 4400\n");
    assert_eq!(said("ls -ln /data | tail -n 1 | awk '{print $4, $9}'"), "2200 paper\n");
    assert_eq!(said("echo hello > /data/paper/note; ls -n /data/paper/note | awk '{print $3, $4}'"), "1100 2200\n");
    let all = said("ps -o user,args");
    assert!(lines(&all).iter().any(|line| line.split_whitespace().eq([USER, "sleep", "1h"])), "{all}");
}

#[test]
fn a_modules_files_belong_to_the_pods_user_and_group() {
    let node = Machine::new();
    let module = with_guest(
        &page(&node, "security-pod"),
        "writes",
        "files.wasm",
        "[write, /data/paper/note, hello, --, wait, /never]",
    );
    let root = dwell_tests::rootfs::busybox(&node.files());
    let beside = format!(
        "{module}  - name: looks\n    image: rootfs:{}\n    command: [sleep, '600']\n    volumeMounts:\n    - name: paper\n      mountPath: /data/paper\n",
        root.display()
    );
    node.start(&beside);
    node.wait_for_phase("as-someone", "Running");
    let script = "test -s /data/paper/note && ls -n /data/paper/note | awk '{print $3, $4}'";
    assert_eq!(inside(&node, "as-someone", "looks", script), format!("{USER} 2200\n"));
}

#[test]
fn groups_of_the_image_count_unless_the_policy_is_strict() {
    let node = Machine::new();
    start(&node, "security-strict-groups", "strict-groups");
    let log = prints(&node, "strict-groups", "asks", "groups=");
    assert!(log.contains("uid=1000") && log.contains("gid=3300"), "{log}");
    assert!(log.contains("4400") && !log.contains("2000"), "the image's group counts not: {log}");
    let merged =
        page(&node, "security-strict-groups").replace("Strict", "Merge").replace("strict-groups", "merged-groups");
    node.start(&merged);
    let log = prints(&node, "merged-groups", "asks", "groups=");
    assert!(log.contains("4400") && log.contains("2000"), "control: {log}");
}

#[test]
fn a_containers_user_counts_more_than_the_pods() {
    let node = Machine::new();
    start(&node, "security-container", "as-another");
    prints(&node, "as-another", "asks", "2100\n");
    assert_eq!(inside(&node, "as-another", "asks", "id -u"), "2100\n");
}

/// As the page has it: the capability sets of the first process, in hexadecimal.
#[test]
fn added_capabilities_are_bits_more() {
    let node = Machine::new();
    start(&node, "security-no-capabilities", "usual-rights");
    start(&node, "security-capabilities", "more-rights");
    let set = |pod: &str| {
        let text = inside(&node, pod, "asks", "grep CapPrm /proc/1/status | cut -f 2");
        u64::from_str_radix(text.trim(), 16).expect("a set of bits")
    };
    let (usual, more) = (set("usual-rights"), set("more-rights"));
    assert_eq!(usual, 0xa804_25fb, "the usual set");
    assert_eq!(more, usual | 1 << 12 | 1 << 25, "NET_ADMIN and SYS_TIME");
}

#[test]
fn a_pod_of_the_restricted_profile_has_next_to_no_rights() {
    let node = Machine::new();
    let said = run(&node, "security-restricted");
    let text: String = said.out.replace('\t', " ");
    for line in [
        "Uid: 1100 1100 1100 1100",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ] {
        assert!(lines(&text).contains(&line), "no {line} in {said:#?}");
    }
    assert!(said.code != 0 && said.err.contains("Read-only file system"), "{said:#?}");
}

#[test]
fn a_module_runs_in_a_pod_of_the_restricted_profile() {
    let node = Machine::new();
    let module = with_guest(&page(&node, "security-restricted"), "asks", "hello.wasm", "[restricted]");
    assert!(node.run(&module).ok().contains("restricted"));
}

#[test]
fn root_is_refused_where_it_must_not_be() {
    let node = Machine::new();
    let said = node.run(&page(&node, "security-restricted").replace("runAsUser: 1100", "runAsUser: 0"));
    assert_eq!(said.code, 125, "{said:#?}");
    let pod = node.dwell(&["inspect", "-o", "json", "restricted"]).out;
    assert!(said.err.contains("root") || pod.contains("CreateContainerConfigError"), "{said:#?} {pod}");
}

const FILTER: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#;

#[test]
fn a_filter_from_a_file_holds() {
    let node = Machine::new();
    let said = run(&node, "security-seccomp");
    assert!(said.code == 125 && said.err.contains("profiles/no-folders.json"), "it is not there yet: {said:#?}");
    node.dwell(&["rm", "filtered"]).ok();
    let folder = node.state_dir().join("lib/seccomp/profiles");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("no-folders.json"), FILTER).unwrap();
    let said = run(&node, "security-seccomp");
    assert!(said.out.contains("it ended with 1") && said.err.contains("not permitted"), "{said:#?}");
    node.dwell(&["rm", "filtered"]).ok();
    let usual = page(&node, "security-seccomp").replace("      type: Localhost\n", "      type: RuntimeDefault\n");
    let usual = usual.replace("      localhostProfile: profiles/no-folders.json\n", "");
    assert_eq!(node.run(&usual).ok(), "it ended with 0\n", "control: the usual filter lets it");
}

#[test]
fn kernel_parameters_of_the_pod_are_set() {
    let node = Machine::new();
    assert_eq!(run(&node, "security-sysctls").ok(), "1\n777\n65530\n");
    let host =
        page(&node, "security-sysctls").replace("kernel.msgmax", "kernel.pid_max").replace("tuned", "tunes-the-host");
    let said = node.run(&host);
    assert!(
        said.code == 125 && said.err.contains("kernel.pid_max"),
        "control: those of the host are refused: {said:#?}"
    );
}

/// What cannot be done is refused by its path; a Pod must not run less confined than it was written.
#[test]
fn a_profile_that_cannot_be_loaded_is_refused() {
    let node = Machine::new();
    let said = run(&node, "security-apparmor");
    assert!(said.code == 125 && said.err.contains("spec.securityContext.appArmorProfile"), "{said:#?}");
    let free = page(&node, "security-apparmor").replace("      type: Localhost\n", "      type: Unconfined\n");
    node.start(&free.replace("      localhostProfile: deny-write\n", ""));
    prints(&node, "armoured", "hello", "Hello AppArmor!\n");
}

#[test]
fn a_pod_may_have_users_of_its_own() {
    let node = Machine::new();
    start(&node, "user-namespace", "own-users");
    let said = |pod: &str, script: &str| inside(&node, pod, "shell", script).trim().to_owned();
    let host = std::fs::read_link("/proc/self/ns/user").unwrap().display().to_string();
    assert_ne!(said("own-users", "readlink /proc/self/ns/user"), host);
    assert_eq!(said("own-users", "id -u"), "0", "root, inside");
    let map = said("own-users", "cat /proc/self/uid_map");
    let words: Vec<&str> = map.split_whitespace().collect();
    assert!(words[0] == "0" && words[1] != "0" && words[2] == "65536", "{map}");
    let shared = page(&node, "user-namespace").replace("hostUsers: false", "hostUsers: true");
    node.start(&shared.replace("own-users", "host-users"));
    node.wait_for_phase("host-users", "Running");
    assert_eq!(said("host-users", "readlink /proc/self/ns/user"), host, "control");
}
