//! Files that the node itself writes into a volume that members see: it follows nothing there, and they write nothing.

use std::os::unix::fs::symlink;

use dwell_tests::manifest::Manifest;

use crate::stage::{CONFIG, Stage, all_shut};

/// A Pod with a ConfigMap at `/cfg` that is told to be writable, and a file of it alone.
fn with_config(stage: &Stage, container: impl Fn(&[&str]) -> String) -> Manifest {
    let mounts = "volumeMounts: [{name: c, mountPath: /cfg, readOnly: false}, \
        {name: c, mountPath: /one, subPath: app.conf, readOnly: false}]";
    stage.node.run(CONFIG).ok();
    Manifest::new("attack").spec("volumes: [{name: c, configMap: {name: words}}]").with(container(&[mounts]))
}

/// Plants links in the volume's folder, as if a member could, and changes the ConfigMap: nothing is written through them.
fn update_writes_through_no_link(stage: &Stage) {
    let before = stage.look();
    let uid = stage.node.pod("attack")["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let folder = stage.node.state_dir().join("run/pods").join(uid).join("volumes/c");
    let plant = |name: &str| {
        let _ = std::fs::remove_file(folder.join(name));
        symlink(stage.victim.join("kept"), folder.join(name)).expect("links");
    };
    ["new.conf", "..data_tmp", "app.conf"].iter().for_each(|name| plant(name));
    let changed = CONFIG.replace("app.conf: setting", "app.conf: changed, new.conf: changed");
    stage.node.run(&changed).ok();
    let counts = || std::fs::read_to_string(folder.join("..data/new.conf")).is_ok_and(|text| text == "changed");
    assert!(dwell_tests::node::wait_until(counts), "the update came: {}", folder.display());
    assert_eq!(stage.look(), before);
    plant("app.conf");
    std::fs::write(folder.join("app.conf"), "changed").expect("writes");
    assert_ne!(stage.look(), before, "control: whoever writes by that name writes there");
}

#[test]
fn cve_2025_9566_what_is_written_into_a_volume_follows_no_link() {
    let stage = Stage::new();
    let to = stage.victim.join("kept").display().to_string();
    let plant = format!(
        "for at in /cfg/new.conf /cfg/app.conf /cfg/..data /cfg/..data_tmp /one; do (ln -sf {to} $at; \
         rm $at; mv $at /cfg/x; echo x > $at) 2>&1; done; mkdir /cfg/d 2>&1; echo over; exec sleep 600"
    );
    let pod = with_config(&stage, |more| stage.native("main", &plant, more));
    stage.node.start(&pod.text());
    let said = stage.node.printed("attack", "main", "over\n");
    assert!(said.matches("Read-only file system").count() >= 9, "no member plants anything: {said}");
    update_writes_through_no_link(&stage);
}

#[test]
fn cve_2025_9566_wasm_plants_nothing_in_what_the_node_writes() {
    let stage = Stage::new();
    let doors = [
        "symlink kept /cfg/new.conf",
        "write /cfg/app.conf",
        "remove /cfg/app.conf",
        "move /cfg/app.conf /cfg/x",
        "make /cfg/d",
        "write /one",
        "remove /cfg/..data",
    ];
    let pod = with_config(&stage, |more| stage.wasm("main", &doors, more));
    all_shut(&stage.node.run(&pod.text()));
    stage.node.dwell(&["rm", "-f", "attack"]).ok();
    let pod = with_config(&stage, |more| stage.wasm("guest", &["open /cfg/app.conf"], more));
    stage.node.start(&pod.with(stage.native("main", "exec sleep 600", &[])).text());
    assert!(stage.node.printed("attack", "guest", "ok\n").contains("ok"), "control: it reads");
    update_writes_through_no_link(&stage);
}
