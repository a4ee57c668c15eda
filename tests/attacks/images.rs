//! What an image brings where set-up goes: links in the place of `/dev`, `/proc`, `/etc` and of single files in them.
//! None may lead set-up out of the member's own root.

use dwell_tests::host::{host_apart, host_script};
use dwell_tests::manifest::Manifest;
use dwell_tests::member::Member;

use crate::stage::{SECRET, Stage, all_shut};

/// Starts members of an image that has a link there, by each way; none may come to life.
fn refused_for_its_link(stage: &Stage, name: &str) {
    let before = stage.look();
    for to in stage.ways(&stage.victim) {
        stage.link(name, to);
        let said = stage.once(stage.native("main", "echo started", &[]), &[]);
        assert!(said.code != 0 && !said.out.contains("started"), "{said:#?}");
        assert!(said.err.contains(&format!("/{name}")) && said.err.contains("symbolic link"), "{said:#?}");
    }
    assert_eq!(stage.look(), before);
}

/// A Wasm member of an image that has a link there lives, and its guest finds nothing behind it.
fn of_no_use_to_a_guest(stage: &Stage, name: &str) {
    let before = stage.look();
    let doors = ["kept", "new"].map(|file| ["open", "write", "stat"].map(|verb| format!("{verb} /{name}/{file}")));
    let doors: Vec<&str> = doors.iter().flatten().map(String::as_str).collect();
    for to in stage.ways(&stage.victim) {
        stage.link(name, to);
        all_shut(&stage.once(stage.wasm("main", &doors, &[]), &[]));
    }
    assert_eq!(stage.look(), before);
    assert_eq!(host_script(&format!("cat {}/{name}/kept", stage.image.display())), SECRET, "control: it leads there");
}

#[test]
fn cve_2026_41579_no_device_is_made_where_a_linked_dev_leads() {
    let stage = Stage::new();
    refused_for_its_link(&stage, "dev");
    let (image, victim) = (stage.image.display(), stage.victim.display());
    let control = host_apart(&format!("mount -t tmpfs dev {image}/dev && mknod {image}/dev/null c 1 3; ls {victim}"));
    assert_eq!(control, "null\n", "control: whoever follows it mounts and makes devices there");
}

#[test]
fn cve_2026_41579_wasm_has_nothing_behind_a_linked_dev() {
    of_no_use_to_a_guest(&Stage::new(), "dev");
}

/// Names in `/dev` at which a runtime makes or mounts something.
const IN_DEV: [&str; 7] = ["null", "zero", "pts", "shm", "mqueue", "termination-log", "fd"];

#[test]
fn cve_2026_47766_no_name_in_the_images_dev_is_followed() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim.join("kept")) {
        IN_DEV.iter().for_each(|name| stage.link(&format!("dev/{name}"), &to));
        let script =
            "echo x > /dev/null; echo x > /dev/shm/new; echo x > /dev/termination-log; test -c /dev/zero && echo whole";
        assert_eq!(stage.once(stage.native("main", script, &[]), &[]).ok(), "whole\n");
    }
    assert_eq!(stage.look(), before);
    let control = format!("echo x > {}/dev/null; cat {}/kept", stage.image.display(), stage.victim.display());
    assert_eq!(host_script(&control), "x\n", "control: whoever follows it writes there");
}

#[test]
fn cve_2026_47766_wasm_last_words_are_not_made_behind_a_link() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim.join("words")) {
        stage.link("dev/termination-log", to);
        all_shut(
            &stage.once(stage.wasm("main", &["write /dev/termination-log", "open /dev/termination-log"], &[]), &[]),
        );
    }
    assert_eq!(stage.look(), before);
    let control = format!(": > {}/dev/termination-log; ls {}", stage.image.display(), stage.victim.display());
    assert_eq!(host_script(&control), "kept\nwords\n", "control: whoever follows it makes a file there");
}

#[test]
fn cve_2025_52565_the_console_is_no_name_of_the_images() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim.join("kept")) {
        ["dev/console", "dev/pts/0", "dev/ptmx"].iter().for_each(|name| stage.link(name, &to));
        let script = "echo x > /dev/console; echo x > /dev/pts/0; stat -c %t:%T /dev/console";
        let said = stage.once(stage.native("main", script, &["tty: true"]), &[]);
        assert!(said.code == 0 && said.out.contains("88:0"), "{said:#?}");
    }
    assert_eq!(stage.look(), before);
    let (image, victim) = (stage.image.display(), stage.victim.display());
    let control = format!("mount --bind /dev/zero {image}/dev/console && stat -c %F {victim}/kept");
    assert_eq!(host_apart(&control), "character special file\n", "control: a console bound by its path is bound there");
}

#[test]
fn cve_2025_52565_wasm_terminal_is_no_name_of_the_images() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim.join("kept")) {
        ["dev/console", "dev/pts/0"].iter().for_each(|name| stage.link(name, &to));
        all_shut(&stage.once(stage.wasm("main", &["write /dev/console", "write /dev/pts/0"], &["tty: true"]), &[]));
    }
    assert_eq!(stage.look(), before);
    let control = format!("cat {}/dev/pts/0", stage.image.display());
    assert_eq!(host_script(&control), SECRET, "control: it leads there");
}

/// What a planted `/dev/null` would be bound over: read there, nothing may come.
const COVERED: &str = "cat /proc/timer_list /proc/keys /proc/interrupts | head -c 1 | wc -c; \
    (: >> /proc/sys/kernel/domainname) 2>&1; true";

#[test]
fn cve_2025_31133_what_covers_is_no_planted_null() {
    let stage = Stage::new();
    let before = stage.look();
    let plant = "cd /v && ln -s /proc/sysrq-trigger null && ln -s /proc/kcore zero";
    let plant = stage.native("plant", plant, &["volumeMounts: [{name: v, mountPath: /v}]"]);
    stage.link("dev/null", stage.victim.join("kept"));
    for more in [&[][..], &["volumeMounts: [{name: v, mountPath: /dev}]"]] {
        let pod = Manifest::new("attack").spec("volumes: [{name: v, emptyDir: {}}]").first(plant.clone());
        let said = stage.node.run(&pod.with(stage.native("main", COVERED, more)).text()).ok();
        assert!(said.contains("0\n") && said.contains("Read-only file system"), "{more:?}: {said}");
        stage.node.dwell(&["rm", "-f", "attack"]).ok();
    }
    assert_eq!(stage.look(), before);
    let (image, victim) = (stage.image.display(), stage.victim.display());
    let control =
        format!("mount --bind {image}/dev/null {image}/etc/group && echo x > {image}/etc/group; cat {victim}/kept");
    assert_eq!(host_apart(&control), "x\n", "control: a cover that is a link opens what it leads to");
}

#[test]
fn cve_2025_31133_wasm_has_nothing_to_cover_and_no_null() {
    let stage = Stage::new();
    let before = stage.look();
    stage.link("dev/null", stage.victim.join("kept"));
    all_shut(&stage.once(stage.wasm("main", &["write /dev/null", "open /dev/null", "open /proc/kcore"], &[]), &[]));
    assert_eq!(stage.look(), before);
    let control = format!("cat {}/dev/null", stage.image.display());
    assert_eq!(host_script(&control), SECRET, "control: it leads there");
}

/// A file of the image's that set-up would write to if it took the image's `/proc` for one.
const FAKE: &str = "proc/self/oom_score_adj";

/// Runs a member and says what the kernel's own file of it holds.
fn kernels_own(stage: &Stage, container: String, program: &str) -> String {
    for file in [FAKE, "proc/thread-self/oom_score_adj", "proc/1/oom_score_adj"] {
        stage.file(file, "fake");
    }
    stage.node.start(&Manifest::new("attack").with(container).text());
    Member::of(&stage.node, "attack", "main", program).proc("oom_score_adj")
}

/// What was written to goes with the layer, but the kernel's own is set.
fn fake_takes_it(stage: &Stage) {
    let image = stage.image.display();
    let control = format!("echo 1000 > {image}/{FAKE}; cat {image}/{FAKE}; cat /proc/self/oom_score_adj");
    let said = host_script(&control);
    assert!(said.starts_with("1000\n") && !said.ends_with("1000\n1000\n"), "control: the fake one takes it: {said}");
}

#[test]
fn cve_2025_52881_what_is_written_to_proc_is_written_to_a_real_one() {
    let stage = Stage::new();
    let before = stage.look();
    assert_eq!(kernels_own(&stage, stage.native("main", "exec sleep 600", &[]), "sleep"), "1000\n");
    stage.node.dwell(&["rm", "-f", "attack"]).ok();
    stage.link("here", "/proc");
    let over = ["volumeMounts: [{name: v, mountPath: /here/self}]"];
    let said = stage.once(stage.native("main", "echo started", &over), &["volumes: [{name: v, emptyDir: {}}]"]);
    assert!(said.code != 0 && !said.out.contains("started"), "a volume over a part of /proc: {said:#?}");
    assert_eq!(stage.look(), before);
    fake_takes_it(&stage);
}

#[test]
fn cve_2025_52881_wasm_is_set_up_through_a_real_proc() {
    let stage = Stage::new();
    let spin = stage.guest("main", &["spin.wasm"], &[]);
    assert_eq!(kernels_own(&stage, spin, "dwell-worker"), "1000\n");
    fake_takes_it(&stage);
}
