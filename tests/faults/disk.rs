//! A full disk: what runs goes on, what is asked for is refused with the reason, and space heals everything.

use dwell_tests::node::wait_until;
use dwell_tests::world::World;

use crate::{pod, shell_container};

const TICKER: &str = "i=0; while :; do i=$((i+1)); echo $i; echo $i > /v/now; sleep 0.05; done";

fn ticks(world: &World) -> u64 {
    let root = format!("/proc/{}/root", world.pid());
    let pods = world.state_dir().join("run/pods");
    let folder = std::path::PathBuf::from(format!("{root}{}", pods.display()));
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let now = entries.find_map(|entry| std::fs::read_to_string(entry.path().join("volumes/v/now")).ok());
    now.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn a_full_disk_ends_nothing_that_runs_and_is_reported() {
    let world = World::new();
    let lib = world.state_dir().join("lib");
    let lib = lib.display();
    world.shell(&format!("mkdir -p {lib} && mount -t tmpfs -o size=4m small {lib}"));
    let container = shell_container(&world, "main", TICKER) + "    volumeMounts: [{name: v, mountPath: /v}]\n";
    let manifest = pod("ticks", "Always", 1, &[container]) + "  volumes: [{name: v, emptyDir: {medium: Memory}}]\n";
    world.start(&manifest);
    world.start(&pod("goes", "Always", 1, &[shell_container(&world, "main", "sleep 600")]));
    world.wait_for_phase("goes", "Running");
    let pod_before = world.wait_for_phase("ticks", "Running");
    world.shell(&format!("dd if=/dev/zero of={lib}/fill bs=4k 2>/dev/null || true"));
    let then = ticks(&world);
    assert!(wait_until(|| ticks(&world) > then + 5), "the member stands still");
    assert!(world.dwell(&["ps"]).ok().contains("ticks"));

    let other = world.file("other.yaml", &pod("other", "Never", 1, &[shell_container(&world, "main", "echo no")]));
    let refused = world.dwell(&["run", other.to_str().unwrap()]);
    assert_eq!(refused.code, 125, "{refused:#?}");
    assert!(refused.err.contains("No space left on device"), "{refused:#?}");

    // What gives space back works. The node's own log lies on the same disk, and a line that it could not write there
    // ended it, again and again.
    world.dwell(&["stop", "-t", "0", "goes"]).ok();
    world.dwell(&["rm", "goes"]).ok();

    // A node that begins on a full disk finds the Pod all the same.
    assert!(world.kill_node());
    let then = ticks(&world);
    assert!(world.dwell(&["ps"]).ok().contains("ticks"));
    assert_eq!(world.dwell(&["exec", "ticks", "--", "echo", "here"]).ok(), "here\n");
    assert!(wait_until(|| ticks(&world) > then + 5), "the member stands still");
    let pod_now = world.pod("ticks");
    assert_eq!(pod_now["status"]["containerStatuses"], pod_before["status"]["containerStatuses"], "it was restarted");

    world.shell(&format!("rm {lib}/fill"));
    let then = ticks(&world);
    assert!(wait_until(|| last_logged(&world) > then), "the log does not go on");
    world.dwell(&["rm", "-f", "other"]);
    world.dwell(&["stop", "ticks"]).ok();
    world.dwell(&["rm", "ticks"]).ok();
    world.end();
    world.shell(&format!("umount {lib}"));
}

fn last_logged(world: &World) -> u64 {
    let log = world.dwell(&["logs", "--tail", "1", "ticks"]).out;
    log.lines().last().and_then(|line| line.parse().ok()).unwrap_or(0)
}
