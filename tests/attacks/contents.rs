//! What an image brings where files are looked for, copied or mounted: account files, `/etc`, `/proc`, folders at which
//! volumes go. None may make the node read, mount or write what is not the image's.

use dwell_tests::host::{host, host_apart, host_script};
use dwell_tests::manifest::Manifest;
use dwell_tests::member::Member;

use crate::stage::{CONFIG, SECRET, Stage, all_shut};

#[test]
fn cve_2025_24965_no_file_is_written_through_a_link_of_the_images() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim) {
        // The Pod's three files each at a place of its own, or the last would cover the others.
        for (name, at) in [("hosts", "kept"), ("hostname", "name"), ("resolv.conf", "servers")] {
            stage.link(&format!("etc/{name}"), to.join(at));
        }
        [".krun_config.json", "run/secrets"].iter().for_each(|name| stage.link(name, to.join("kept")));
        let script = "echo 192.0.2.9 more >> /etc/hosts; grep -c localhost /etc/hosts && cat /etc/hostname";
        let said = stage.once(stage.native("main", script, &[]), &[]).ok();
        assert!(said.ends_with("attack\n"), "the Pod's own files are there: {said}");
    }
    assert_eq!(stage.look(), before);
    let control = format!("echo x > {}/etc/hosts; cat {}/kept", stage.image.display(), stage.victim.display());
    assert_eq!(host_script(&control), "x\n", "control: whoever follows it writes there");
}

#[test]
fn cve_2025_24965_wasm_files_are_not_mounted_through_a_link_of_the_images() {
    let stage = Stage::new();
    let before = stage.look();
    let mount = "volumeMounts: [{name: v, mountPath: /etc/app.conf, subPath: app.conf}]";
    for to in stage.ways(&stage.victim.join("kept")) {
        stage.link("etc/app.conf", to);
        let pod = Manifest::new("attack").spec("volumes: [{name: v, configMap: {name: words}}]");
        let pod = pod.with(stage.wasm("main", &["open /etc/app.conf", "write /etc/app.conf"], &[mount]));
        all_shut(&stage.node.run(&(CONFIG.to_owned() + &pod.text())));
        stage.node.dwell(&["rm", "-f", "attack"]).ok();
    }
    assert_eq!(stage.look(), before);
    let (image, victim) = (stage.image.display(), stage.victim.display());
    let control = host_apart(&format!("mount --bind /dev/zero {image}/etc/app.conf; stat -c %F {victim}/kept"));
    assert_eq!(control, "character special file\n", "control: whoever follows it mounts there");
}

#[test]
fn cve_2024_9341_what_is_always_mounted_is_mounted_inside() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim) {
        ["etc", "run"].iter().for_each(|name| stage.link(name, &to));
        let said = stage.once(stage.native("main", "cat /etc/kept; ls /etc", &[]), &[]);
        assert!(said.out.contains("hosts") && !said.out.contains(SECRET), "{said:#?}");
    }
    assert_eq!(stage.look(), before);
    let (image, victim) = (stage.image.display(), stage.victim.display());
    let control = host_apart(&format!("mount --bind /dev/zero {image}/etc/kept; stat -c %F {victim}/kept"));
    assert_eq!(control, "character special file\n", "control: whoever follows it mounts there");
    assert_eq!(host_script(&format!("cat {image}/etc/kept")), SECRET, "control: and reads there");
}

#[test]
fn cve_2024_9341_wasm_sees_no_folder_of_the_hosts_behind_a_link() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim) {
        ["etc", "run", "usr"].iter().for_each(|name| stage.link(name, &to));
        let doors = ["list /etc", "open /etc/kept", "write /run/new", "make /usr/new", "stat /etc/kept"];
        all_shut(&stage.once(stage.wasm("main", &doors, &[]), &[]));
    }
    assert_eq!(stage.look(), before);
    let control = format!("cat {}/etc/kept", stage.image.display());
    assert_eq!(host_script(&control), SECRET, "control: it leads there");
}

/// A root that is linked where the kernel's file systems go is no root, wherever the link leads.
fn refused(stage: &Stage, name: &str, to: &str, spec: &[&str], more: &[&str]) {
    stage.link(name, to);
    let said = stage.once(stage.native("main", "echo started", more), spec);
    assert!(said.code != 0 && !said.out.contains("started"), "{name} -> {to}: {said:#?}");
    std::fs::remove_file(stage.image.join(name)).expect("it is a link");
}

/// Where a path in the image leads when a file system is mounted there by its name.
fn mounts_at_the_victim(stage: &Stage, kind: &str, name: &str) {
    stage.link(name, &stage.victim);
    let (image, victim) = (stage.image.display(), stage.victim.display());
    let script = format!("mount -t {kind} x {image}/{name} && stat -f -c %T {victim}");
    assert!(host_apart(&script).starts_with(kind), "control: {kind} is mounted where the link leads");
}

#[test]
fn cve_2023_27561_a_linked_proc_or_sys_is_no_mount_point() {
    let stage = Stage::new();
    let before = stage.look();
    for name in ["proc", "sys"] {
        for to in stage.ways(&stage.victim) {
            refused(&stage, name, &to.display().to_string(), &[], &[]);
        }
        ["tmp", "/tmp", "/data/proc", "self"].iter().for_each(|to| refused(&stage, name, to, &[], &[]));
        assert_eq!(stage.look(), before);
    }
    mounts_at_the_victim(&stage, "proc", "proc");
}

/// The kinds of the file systems that a member has, as the host sees them.
pub fn kinds(member: &Member) -> Vec<String> {
    let mounts = member.proc("mountinfo");
    mounts.lines().filter_map(|line| line.split(" - ").nth(1)?.split(' ').next().map(str::to_owned)).collect()
}

/// A Wasm member has none of the kernel's file systems, so that none can be led astray.
fn has_neither_proc_nor_sys(name: &str) {
    let stage = Stage::new();
    let before = stage.look();
    stage.link(name, &stage.victim);
    all_shut(&stage.once(stage.wasm("main", &[&format!("open /{name}/kept"), "open /proc/self/status"], &[]), &[]));
    stage.node.start(&Manifest::new("attack").with(stage.guest("main", &["spin.wasm"], &[])).text());
    let member = Member::of(&stage.node, "attack", "main", "dwell-worker");
    assert!(member.path("root/module").exists(), "it is in a root of its own");
    let found = kinds(&member);
    assert!(!found.iter().any(|kind| ["proc", "sysfs", "cgroup", "cgroup2"].contains(&kind.as_str())), "{found:?}");
    assert_eq!(stage.look(), before);
    let own = kinds(&Member { pid: std::process::id() as i32 });
    assert!(own.contains(&"proc".to_owned()), "control: they would be seen: {own:?}");
    mounts_at_the_victim(&stage, "proc", name);
}

#[test]
fn cve_2023_27561_wasm_has_no_proc_to_be_linked() {
    has_neither_proc_nor_sys("proc");
}

#[test]
fn cve_2023_28642_proc_is_not_moved_out_of_the_way_by_a_link() {
    let stage = Stage::new();
    let before = stage.look();
    let volume = ["volumes: [{name: v, emptyDir: {}}]"];
    for at in ["/tmp/p", "/tmp/p/self/attr", "/tmp"] {
        let mount = format!("volumeMounts: [{{name: v, mountPath: {at}}}]");
        refused(&stage, "proc", "/tmp/p", &volume, &[&mount]);
    }
    // The other way round: a volume whose place is a link into /proc.
    for to in ["/proc/self/attr", "proc/sys", "/proc"] {
        refused(&stage, "link", to, &volume, &["volumeMounts: [{name: v, mountPath: /link}]"]);
    }
    assert_eq!(stage.look(), before);
    let hide = format!(
        "mount -t proc proc {0}/proc; ln -s proc {0}/at; mount -t tmpfs x {0}/at/sys && ls {0}/proc/sys | wc -l",
        stage.image.display()
    );
    std::fs::create_dir(stage.image.join("proc")).expect("makes");
    assert_eq!(host_apart(&hide), "0\n", "control: whoever follows it hides a part of /proc");
}

#[test]
fn cve_2023_28642_wasm_has_no_sys_to_be_linked() {
    has_neither_proc_nor_sys("sys");
}

#[test]
fn cve_2022_23648_nothing_is_copied_into_a_volume_from_where_its_place_leads() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim) {
        stage.link("vol", to);
        let mount = ["volumeMounts: [{name: v, mountPath: /vol}]"];
        let said =
            stage.once(stage.native("main", "ls -A /vol | wc -l", &mount), &["volumes: [{name: v, emptyDir: {}}]"]);
        assert_eq!(said.ok(), "0\n");
    }
    assert_eq!(stage.look(), before);
    let control = format!(
        "cd {}; mkdir copied; cp -a {}/vol/. copied; ls copied",
        stage.node.files().display(),
        stage.image.display()
    );
    assert_eq!(host_script(&control), "kept\n", "control: whoever copies what is there has the host's");
}

#[test]
fn cve_2022_23648_wasm_finds_its_volume_empty() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim) {
        stage.link("vol", to);
        let mount = ["volumeMounts: [{name: v, mountPath: /vol}]"];
        let said = stage.once(
            stage.wasm("main", &["open /vol/kept", "stat /vol/kept"], &mount),
            &["volumes: [{name: v, emptyDir: {}}]"],
        );
        all_shut(&said);
    }
    assert_eq!(stage.look(), before);
    assert_eq!(host_script(&format!("cat {}/vol/kept", stage.image.display())), SECRET, "control: it leads there");
}

/// A Pod whose user is to be looked up in an account file that nobody ever writes to; the file is the host's.
fn waits_for_no_account_file(container: impl Fn(&Stage) -> String) {
    let stage = Stage::new();
    let fifo = stage.node.files().join("fifo");
    assert_eq!(host(&["mkfifo", fifo.to_str().expect("a path")]), "");
    let run = || {
        let pod = Manifest::new("attack").annotation("dwell.dev/user.main", "app").with(container(&stage));
        let said = stage.node.run(&pod.text());
        stage.node.dwell(&["rm", "-f", "attack"]).ok();
        said
    };
    std::fs::remove_file(stage.image.join("etc/passwd")).expect("it is there");
    std::fs::rename(&fifo, stage.image.join("etc/passwd")).expect("moves");
    let said = run();
    assert!(said.code != 0 && said.err.contains("app"), "a FIFO: {said:#?}");
    std::fs::rename(stage.image.join("etc/passwd"), &fifo).expect("moves");
    for to in stage.ways(&fifo) {
        stage.link("etc/passwd", to);
        let said = run();
        assert!(said.code != 0 && said.err.contains("app"), "a link to one: {said:#?}");
    }
    let control = format!("timeout 1 cat {}/etc/passwd; echo $?", stage.image.display());
    assert_eq!(host_script(&control), "124\n", "control: whoever reads it waits");
    stage.link("etc/passwd", "accounts");
    stage.file("etc/accounts", "app:x:1234:1::/:\n");
    assert_eq!(run().code, 0, "control: an account file that is one");
}

#[test]
fn cve_2024_9676_an_account_file_that_is_a_fifo_holds_nobody_up() {
    waits_for_no_account_file(|stage| stage.native("main", "true", &[]));
}

#[test]
fn cve_2024_9676_wasm_user_is_not_waited_for() {
    waits_for_no_account_file(|stage| stage.wasm("main", &["stat /bin"], &[]));
}
