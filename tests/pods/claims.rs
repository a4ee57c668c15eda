//! Folders that outlive Pods, and the group that owns a Pod's volumes.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use dwell_tests::node::{Node, wait_until};

use crate::{before_containers, guest, shell};

/// The Pod with a claim mounted at `/data`, and these further lines of its spec.
fn claiming(node: &Node, name: &str, script: &str, more: &str) -> String {
    let mounts = "    volumeMounts: [{name: data, mountPath: /data}]\n";
    let spec = format!("{more}  volumes: [{{name: data, persistentVolumeClaim: {{claimName: kept}}}}]\n");
    before_containers(&(shell(node, name, "Never", script) + mounts), &spec)
}

#[test]
fn a_claim_outlives_pods_and_nodes_and_is_removed_by_its_name_alone() {
    let node = Node::new();
    node.run(&claiming(&node, "first", "echo kept > /data/file", "")).ok();
    node.dwell(&["rm", "first"]).ok();
    assert!(node.kill_node());
    let module = "apiVersion: v1\nkind: Pod\nmetadata: {name: second}\nspec:\n  restartPolicy: Never\n  containers:\n"
        .to_owned()
        + &guest(
            "main",
            "files.wasm",
            "[read, /data/file]",
            "    volumeMounts: [{name: data, mountPath: /data}]\n  volumes: [{name: data, persistentVolumeClaim: \
             {claimName: kept, readOnly: true}}]\n",
        );
    assert_eq!(node.run(&module).ok(), "kept\n", "a Wasm member of a later node reads it");
    node.start(&claiming(&node, "third", "sleep 600", ""));
    node.wait_for_phase("third", "Running");
    let refused = node.dwell(&["rm", "pvc/kept"]);
    assert!(refused.code != 0 && refused.err.contains("third"), "{refused:#?}");
    // Pods go first.
    let both = node.dwell(&["rm", "-f", "persistentvolumeclaim/kept", "third"]).ok();
    assert_eq!(both, "third\npersistentvolumeclaim/kept\n");
    let gone = node.dwell(&["rm", "pvc/kept"]);
    assert!(gone.code != 0 && gone.err.contains("default/kept"), "{gone:#?}");
    assert_eq!(node.run(&claiming(&node, "fourth", "ls -A /data | wc -l", "")).ok(), "0\n", "a new one is empty");
    let climbs = node.dwell(&["rm", "pvc/../../lock"]);
    assert!(climbs.code != 0 && node.state_dir().join("lib/lock").exists(), "{climbs:#?}");
}

#[test]
fn a_document_makes_a_claim_and_says_what_means_nothing_here() {
    let node = Node::new();
    let document = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: kept}\nspec:\n  storageClassName: fast\n  \
                    accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 3Gi}}\n";
    let said = node.run(document);
    assert_eq!((said.code, said.out.as_str()), (0, "persistentvolumeclaim/kept\n"), "{said:#?}");
    assert!(said.err.contains("storageClassName") && said.err.contains("takes what there is"), "{said:#?}");
    assert!(node.state_dir().join("lib/claims/default/kept").is_dir());
    let both = format!("{document}---\n{}", claiming(&node, "uses", "echo x > /data/file", ""));
    node.run(&both).ok();
    node.run(document).ok();
    assert_eq!(node.run(&claiming(&node, "later", "cat /data/file", "")).ok(), "x\n", "it stays as it is");
    let bad = node.run(&document.replace("3Gi", "3Gb").replace("ReadWriteOnce", "Once"));
    assert!(bad.code == 125 && bad.err.contains("spec.accessModes[0]") && bad.err.contains("3Gb"), "{bad:#?}");
    let block = node.run(&document.replace("  storageClassName: fast\n", "  volumeMode: Block\n"));
    assert!(block.code == 125 && block.err.contains("no block device"), "{block:#?}");
}

#[test]
fn nobody_writes_through_a_claim_that_is_read_only() {
    let node = Node::new();
    let pod = claiming(&node, "reader", "echo x > /data/file", "").replace("kept}", "kept, readOnly: true}");
    let said = node.run(&pod);
    assert!(said.code != 0 && said.err.contains("Read-only file system"), "{said:#?}");
    node.run(&claiming(&node, "writer", "echo x > /data/file", "")).ok();
}

const GROUP: &str = "  securityContext: {runAsUser: 1234, runAsGroup: 1234, fsGroup: 4321}\n";

#[test]
fn the_volumes_are_the_groups_whoever_made_them() {
    let node = Node::new();
    node.run(&claiming(&node, "root", "echo secret > /data/old; chmod 600 /data/old", "")).ok();
    let control = node.run(&claiming(&node, "stranger", "cat /data/old", "  securityContext: {runAsUser: 1234}\n"));
    assert!(control.code != 0, "control: without the group nobody else reads it: {control:#?}");
    let script = "id -G; cat /data/old; echo new > /data/new; stat -c '%g %a' /data/new /data/old /data";
    let said = node.run(&claiming(&node, "member", script, GROUP)).ok();
    assert_eq!(said, "1234 4321\nsecret\n4321 644\n4321 660\n4321 2777\n");
}

#[test]
fn a_secret_and_empty_folders_are_the_groups_too() {
    let node = Node::new();
    let all = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: hidden}\n---\n".to_owned();
    let mounts = "    volumeMounts: [{name: s, mountPath: /s}, {name: disk, mountPath: /disk}, {name: memory, mountPath: \
                  /memory}]\n";
    let volumes = format!(
        "{GROUP}  volumes: [{{name: s, secret: {{secretName: s, defaultMode: 0400}}}}, {{name: disk, emptyDir: {{}}}}, {{name: \
         memory, emptyDir: {{medium: Memory}}}}]\n"
    );
    let script = "cat /s/key; echo; stat -Lc '%u %g %a' /s/key; for d in /disk /memory; do echo x > $d/f; stat -c '%g %a' $d; stat \
                  -c %g $d/f; done";
    let said = node.run(&(all + &before_containers(&(shell(&node, "one", "Never", script) + mounts), &volumes))).ok();
    assert_eq!(said, "hidden\n0 4321 440\n4321 2777\n4321\n4321 2777\n4321\n");
}

/// A database that keeps its folder to itself must find it so after a new node has come.
#[test]
fn what_a_member_made_of_its_volume_stays_and_sub_folders_are_the_groups() {
    let node = Node::new();
    let mounts = "    volumeMounts: [{name: v, mountPath: /v, subPath: a/b}, {name: w, mountPath: /w}]\n";
    let volumes = "  securityContext: {fsGroup: 4321}\n  volumes: [{name: v, emptyDir: {}}, {name: w, emptyDir: {}}]\n";
    let script = "stat -c '%g %a' /v; chmod 700 /w; echo up; until [ -e /w/go ]; do sleep 0.05; done; stat -c %a /w";
    node.start(&before_containers(&(shell(&node, "db", "Never", script) + mounts), volumes));
    assert!(wait_until(|| node.dwell(&["logs", "db"]).out.contains("up")));
    assert!(node.kill_node());
    node.dwell(&["exec", "db", "--", "touch", "/w/go"]).ok();
    node.wait_for_phase("db", "Succeeded");
    assert_eq!(node.dwell(&["logs", "db"]).ok(), "4321 2777\nup\n700\n");
}

#[test]
fn a_claim_that_may_only_be_read_changes_no_hands() {
    let node = Node::new();
    node.run(&claiming(&node, "writer", "echo x > /data/file; chmod 600 /data/file", "")).ok();
    let reader = claiming(&node, "reader", "stat -c '%g %a' /data/file", GROUP);
    let said = node.run(&reader.replace("kept}", "kept, readOnly: true}")).ok();
    assert_eq!(said, "0 600\n");
    let missing = claiming(&node, "missing", "true", "").replace("kept}", "kept, readOnly: true}");
    let missing = node.run(&missing.replace("mountPath: /data", "mountPath: /data, subPath: none"));
    assert!(missing.code == 125 && missing.err.contains("subPath none"), "{missing:#?}");
}

/// A container that lives beside others in one claim plants links; the next Pod's start must not follow them.
#[test]
fn what_links_in_a_claim_lead_to_is_not_given_away() {
    let node = Node::new();
    let outside = node.files().join("outside");
    std::fs::write(&outside, "the host's").unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o600)).unwrap();
    let plant =
        format!("ln -s {0} /data/link; ln -s / /data/root; mkdir /data/d; ln -s .. /data/d/up", outside.display());
    node.run(&claiming(&node, "plants", &plant, "")).ok();
    node.run(&claiming(&node, "member", "true", GROUP)).ok();
    let found = std::fs::metadata(&outside).unwrap();
    assert_eq!((found.gid(), found.mode() & 0o777), (0, 0o600));
    assert_eq!(std::fs::metadata("/").unwrap().gid(), 0);
}
