//! `hostUsers: false`, looked at from both sides: root inside is nobody outside, files are the same on both, and no right of a
//! member reaches beyond its own namespaces. The host's users beside it, as the control.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use dwell_tests::node::Node;
use dwell_tests::world::World;

use crate::{guest, native};

/// A Pod of these containers; `spec` are further lines.
fn pod(name: &str, own: bool, spec: &str, containers: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  hostUsers: {}\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 1\n{spec}  containers:\n{containers}",
        !own
    )
}

fn inside(node: &Node, pod: &str, script: &str) -> String {
    node.dwell(&["exec", pod, "-c", "app", "--", "sh", "-c", script]).ok()
}

/// First host id of a running Pod's namespace, as its member sees it.
fn first(node: &Node, pod: &str) -> u32 {
    let map = inside(node, pod, "cat /proc/self/uid_map");
    let words: Vec<&str> = map.split_whitespace().collect();
    assert_eq!((words[0], words[2]), ("0", "65536"), "{map}");
    words[1].parse().expect("a number")
}

fn owner(path: &Path) -> (u32, u32) {
    let found = std::fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (found.uid(), found.gid())
}

#[test]
fn root_inside_is_nobody_outside_and_files_are_the_same() {
    let node = Node::new();
    let shared = node.files().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("of-seven"), "x\n").unwrap();
    std::os::unix::fs::chown(shared.join("of-seven"), Some(7), Some(8)).unwrap();
    let mounts = "    volumeMounts: [{name: host, mountPath: /host}, {name: disk, mountPath: /disk}, \
                  {name: memory, mountPath: /memory}]\n";
    let spec = format!(
        "  volumes:\n  - {{name: host, hostPath: {{path: {}}}}}\n  - {{name: disk, emptyDir: {{}}}}\n  \
         - {{name: memory, emptyDir: {{medium: Memory, sizeLimit: 1Mi}}}}\n",
        shared.display()
    );
    let app = native(&node, "app", "exec sleep 600", mounts);
    let module = guest(
        "module",
        "files.wasm",
        "[wait, /disk/go, --, write, /host/by-module, text, --, copy, /disk/go, /memory/went]",
        mounts,
    );
    node.start(&pod("own", true, &spec, &(app + &module)));
    node.wait_for("own", "it runs", |pod| pod["status"]["phase"] == "Running");
    let first = first(&node, "own");
    assert!(first >= 0x7000_0000, "{first}");
    // Outside.
    let member =
        inside(&node, "own", "touch /root-made /host/by-root; chown 5:6 /host/by-root; echo go > /disk/go; id -u");
    assert_eq!(member, "0\n");
    assert_eq!(owner(&shared.join("by-root")), (5, 6), "on disk as inside");
    assert_eq!(
        inside(&node, "own", "stat -c %u:%g /host/of-seven /host/by-root /etc /dev /dev/null /etc/hosts"),
        "7:8\n5:6\n0:0\n0:0\n0:0\n0:0\n"
    );
    node.wait_for("own", "the module", |pod| {
        pod["status"]["containerStatuses"][1]["state"]["terminated"]["exitCode"] == 0
    });
    assert_eq!(owner(&shared.join("by-module")), (0, 0));
    assert_eq!(inside(&node, "own", "cat /memory/went; stat -c %u /memory/went"), "go\n0\n");
    let status = inside(&node, "own", "grep ^Uid /proc/1/status; readlink /proc/1/ns/user");
    let users = std::fs::read_link("/proc/self/ns/user").unwrap();
    assert!(!status.contains(users.to_str().unwrap()), "{status}");
    let holds = |uid: u32| {
        dwell_tests::world::Process::all().into_iter().any(|process| {
            process.command == "sleep 600" && owner(Path::new(&format!("/proc/{}", process.pid))) == (uid, uid)
        })
    };
    assert!(holds(first), "its process is nobody's of the host");
    // Whoever is not root inside is another nobody.
    let seven = [
        "exec",
        "-u",
        "7",
        "own",
        "-c",
        "app",
        "--",
        "sh",
        "-c",
        "id -u; touch /disk/of-seven; stat -c %u /disk/of-seven",
    ];
    assert_eq!(node.dwell(&seven).ok(), "7\n7\n");
    // Control: with the host's users it is the host's root.
    node.start(&pod("host", false, "", &native(&node, "app", "exec sleep 600", "")));
    node.wait_for_phase("host", "Running");
    assert_eq!(inside(&node, "host", "cat /proc/self/uid_map").split_whitespace().nth(1), Some("0"));
}

/// What each of these says; `no` where it fails.
const RIGHTS: [(&str, &str, bool); 6] = [
    // The Pod's own things obey its root.
    ("ip link set lo mtu 1400", "the Pod's network", true),
    ("hostname other", "the Pod's name", true),
    // What is locked stays locked, and the host's is the host's.
    ("mount -o remount,bind,rw /ro", "a read-only mount", false),
    ("umount /etc/hosts", "a cover", false),
    ("mknod /tmp/disk b 8 0", "a device", false),
    ("echo 1 > /proc/sys/kernel/sysrq", "a switch of the host", false),
];

#[test]
fn every_capability_and_yet_none_beyond_its_own_walls() {
    let node = Node::new();
    let more = "    securityContext: {capabilities: {add: [ALL]}, seccompProfile: {type: Unconfined}PROC}\n    \
                volumeMounts: [{name: v, mountPath: /ro, readOnly: true}]\n";
    let spec = "  volumes: [{name: v, emptyDir: {}}]\n";
    for (name, own, proc) in [("own", true, ""), ("unmasked", true, ", procMount: Unmasked"), ("host", false, "")] {
        let app = native(&node, "app", "exec sleep 600", &more.replace("PROC", proc));
        node.start(&pod(name, own, spec, &app));
        node.wait_for_phase(name, "Running");
    }
    for (attempt, what, own_may) in RIGHTS {
        let of = |pod: &str| inside(&node, pod, &format!("{attempt} 2>/dev/null && echo yes || echo no"));
        let expected = |may: bool| if may { "yes\n" } else { "no\n" };
        assert_eq!(of("own"), expected(own_may), "{what}: {attempt}");
        assert_eq!(of("unmasked"), expected(own_may), "{what}: {attempt}");
        // Read-only by the field's common list of paths; a device by the allow-list.
        let common = attempt.contains("/proc/sys") || attempt.contains("mknod");
        assert_eq!(of("host"), expected(!common), "control: {what}: {attempt}");
    }
    let forward = "echo 1 > /proc/sys/net/ipv4/conf/lo/forwarding 2>/dev/null && echo yes || echo no";
    assert_eq!(inside(&node, "own", forward), "no\n", "covered");
    assert_eq!(inside(&node, "unmasked", forward), "yes\n", "procMount: Unmasked, and its network is its own");
    let told = |pod: &str| inside(&node, pod, "grep -q . /proc/interrupts && echo told || echo covered");
    assert_eq!((&*told("own"), &*told("unmasked")), ("covered\n", "told\n"));
}

#[test]
fn the_next_node_goes_on_with_it_and_copies_and_terminals_work() {
    let node = Node::new();
    let mounts = "    volumeMounts: [{name: v, mountPath: /data}]\n";
    let spec =
        "  volumes: [{name: v, emptyDir: {}}]\n  securityContext: {runAsUser: 1000, runAsGroup: 1001, fsGroup: 1002}\n";
    for name in ["one", "two"] {
        let both = native(&node, "app", "exec sleep 600", mounts) + &guest("module", "sleep.wasm", "['600']", mounts);
        node.start(&pod(name, true, spec, &both).replace("restartPolicy: Never", "restartPolicy: Always"));
        node.wait_for_phase(name, "Running");
    }
    let before = (first(&node, "one"), first(&node, "two"));
    assert_ne!(before.0, before.1, "a range each");
    assert!(node.kill_node(), "there is a node");
    assert_eq!((first(&node, "one"), first(&node, "two")), before);
    let note = node.file("note", "text\n");
    for place in ["one:/data/note", "one:/tmp/note"] {
        node.dwell(&["cp", "-c", "app", note.to_str().unwrap(), place]).ok();
    }
    assert_eq!(
        inside(&node, "one", "stat -c %u:%g /tmp/note; stat -c %u:%g /data/note; cat /data/note"),
        "1000:1001\n1000:1002\ntext\n"
    );
    node.dwell(&["cp", "-c", "module", note.to_str().unwrap(), "one:/data/by-module"]).ok();
    assert_eq!(inside(&node, "one", "cat /data/by-module; stat -c %u /data/by-module"), "text\n1000\n");
    let back = node.files().join("back");
    node.dwell(&["cp", "-c", "app", "one:/data/note", back.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read_to_string(back).unwrap(), "text\n");
    let archive = node.dwell(&["cp", "-c", "app", "one:/data/note", "-"]);
    assert!(archive.out.contains("0001750\0") || archive.out.contains("1750"), "its ids are those inside: {archive:?}");
    node.dwell(&["restart", "one"]).ok();
    node.wait_for("one", "it runs again", |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1);
    node.wait_for_phase("one", "Running");
    assert_eq!(first(&node, "one"), before.0);
    assert_eq!(inside(&node, "one", "cat /data/note"), "text\n");
}

#[test]
fn what_does_not_go_with_it_is_refused_by_its_place() {
    let node = Node::new();
    let refused = |text: &str, word: &str| {
        let said = node.run(text);
        assert!(said.code == 125 && said.err.contains(word), "{word}: {said:#?}");
    };
    let app = native(&node, "app", "true", "");
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        refused(&pod("a", true, &format!("  {field}: true\n"), &app), &format!("spec.{field}"));
    }
    let unmasked = native(&node, "app", "true", "    securityContext: {procMount: Unmasked}\n");
    refused(&pod("b", false, "", &unmasked), "spec.containers[0].securityContext.procMount");
    let module = guest("m", "hello.wasm", "[]", "    securityContext: {procMount: Unmasked}\n");
    refused(&pod("c", true, "", &module), "a Wasm member has no /proc");
    // Once, a container that was added could have what others could not.
    node.start(&pod("plain", false, "", &native(&node, "app", "exec sleep 600", "")));
    node.wait_for_phase("plain", "Running");
    let root = dwell_tests::rootfs::busybox(&node.files()).display().to_string();
    let added = serde_json::json!({"spec": {"ephemeralContainers": [{"name": "look", "image": format!("rootfs:{root}"),
        "command": ["true"], "securityContext": {"procMount": "Unmasked"}}]}});
    let answer = crate::patch(&node, "plain/ephemeralcontainers", &added);
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("procMount"), "{answer}");
    let far = native(&node, "app", "true", "    securityContext: {runAsUser: 70000}\n");
    let said = node.run(&pod("d", true, "", &far));
    assert!(said.code == 125 && said.err.contains("70000"), "{said:#?}");
    let there =
        node.run(&pod("e", true, "", &native(&node, "app", "id -u", "    securityContext: {runAsUser: 65535}\n")));
    assert_eq!((there.code, &*there.out), (0, "65535\n"), "control: {there:#?}");
}

/// Once, every device of the host was made the namespace's root's: `privileged` opened them all.
#[test]
fn the_hosts_devices_stay_the_hosts() {
    let node = Node::new();
    let more = "    securityContext: {privileged: true}\n";
    for (name, own) in [("own", true), ("host", false)] {
        node.start(&pod(name, own, "", &native(&node, "app", "exec sleep 600", more)));
        node.wait_for_phase(name, "Running");
    }
    let script = "stat -c %u /dev/kmsg /dev/null; (exec 3>>/dev/kmsg) 2>/dev/null && echo opened || echo closed";
    assert_eq!(inside(&node, "own", script), "65534\n0\nclosed\n");
    assert_eq!(inside(&node, "host", script), "0\n0\nopened\n", "control");
}

/// Once, IPC's were refused, and the groups that may ping were the host's.
#[test]
fn parameters_of_its_own_namespaces_are_set() {
    let node = Node::new();
    let sysctls = "  securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: '1'}, \
                   {name: net.ipv4.ping_group_range, value: '0 2000'}, {name: net.ipv4.ip_local_port_range, value: '2000 3000'}]}\n";
    let script = "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_local_port_range";
    let said = node.run(&pod("own", true, sysctls, &native(&node, "app", script, "")));
    assert_eq!((said.code, said.out.as_str()), (0, "1\n0\t2000\n2000\t3000\n"), "{said:#?}");
}

/// Once, whoever came to see the socket was answered: a folder of root's alone, mounted with its ids mapped, led a member
/// there whose root is nobody on the host.
#[test]
fn nobody_but_the_hosts_root_is_answered_by_the_node() {
    use std::io::{Read, Write};
    let node = Node::new();
    node.start(&pod("own", true, "", &native(&node, "app", "exec sleep 600", "")));
    let socket = node.state_dir().join("run/dwell.sock");
    let ask = |uid: u32| {
        let socket = socket.clone();
        let asked = std::thread::spawn(move || {
            dwell_sys::identity::act_as(uid, uid).expect("become somebody else");
            let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("reach it");
            let mut answer = String::new();
            let _ = stream
                .write_all(b"GET /api/v1/namespaces/default/pods HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
            answer
        });
        asked.join().expect("it ends")
    };
    assert_eq!(ask(0x7000_0000), "");
    assert!(ask(0).starts_with("HTTP/1.1 200"), "control");
}

/// Once, no volume of a privileged member was mapped.
#[test]
fn volumes_are_mapped_for_a_privileged_member_too() {
    let node = Node::new();
    let shared = node.files().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let more = "    securityContext: {privileged: true}\n    volumeMounts: [{name: v, mountPath: /data}]\n";
    let spec = format!("  volumes: [{{name: v, hostPath: {{path: {}}}}}]\n", shared.display());
    node.start(&pod("own", true, &spec, &native(&node, "app", "touch /data/x; exec sleep 600", more)));
    node.wait_for_phase("own", "Running");
    assert_eq!(inside(&node, "own", "until [ -e /data/x ]; do sleep 0.01; done; stat -c %u /data /data/x"), "0\n0\n");
    assert_eq!(owner(&shared.join("x")), (0, 0));
}

/// A node in a world of its own, where a file system whose ids no kernel maps is mounted: it must outlast the node.
fn with_unmapped(place: fn(&Node) -> std::path::PathBuf) -> World {
    let world = World::new();
    world.shell(&format!("mkdir -p {0} && mount -t ramfs dwell-test {0}", place(&world).display()));
    world
}

/// Once, such a Pod had no ConfigMap where the run folder could not be mapped, as none in memory can before Linux 6.3.
#[test]
fn what_the_node_makes_where_nothing_can_be_mapped_is_the_pods() {
    let node = with_unmapped(|node| node.state_dir().join("run"));
    let mounts = "    securityContext: {runAsUser: 1000}\n    volumeMounts: [{name: map, mountPath: /map}, \
                  {name: secret, mountPath: /secret}, {name: memory, mountPath: /memory}, \
                  {name: memory, mountPath: /part, subPath: a/b}]\n";
    let spec = "  securityContext: {fsGroup: 1002}\n  volumes:\n  - {name: map, configMap: {name: words}}\n  \
                - {name: secret, secret: {secretName: keys, defaultMode: 0400}}\n  \
                - {name: memory, emptyDir: {medium: Memory}}\n";
    let settings = |text: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: words}}\ndata: {{word: {text}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{key: opens}}\n---\n"
        )
    };
    let app = native(&node, "app", "exec sleep 600", mounts);
    let module = guest("module", "files.wasm", "[wait, /memory/go, --, copy, /map/word, /part/by-module]", mounts);
    node.start(&(settings("one") + &pod("own", true, spec, &(app + &module))));
    node.wait_for("own", "it runs", |pod| pod["status"]["phase"] == "Running");
    let owners = "stat -c %u:%g /map /map/word /map/..data/word /secret/key /memory /part /dev/shm /etc/hosts";
    let all = "0:1002\n0:1002\n0:1002\n0:1002\n0:1002\n0:1002\n0:0\n0:0\n";
    assert_eq!(inside(&node, "own", owners), all);
    assert_eq!(
        inside(&node, "own", "cat /map/word /secret/key; id -u"),
        "oneopens1000\n",
        "read as a member of the group"
    );
    assert_eq!(
        inside(&node, "own", "touch /memory/go /part/of-app /dev/shm/x; stat -c %u:%g /part/of-app"),
        "1000:1002\n"
    );
    node.wait_for("own", "the module", |pod| {
        pod["status"]["containerStatuses"][1]["state"]["terminated"]["exitCode"] == 0
    });
    assert_eq!(inside(&node, "own", "cat /part/by-module; stat -c %u /memory/a/b/by-module"), "one1000\n");
    // What it finds later is no other's either, and the next node knows it again.
    node.dwell(&["up", node.file("words.yaml", &settings("two")).to_str().unwrap()]).ok();
    assert_eq!(
        inside(&node, "own", "until grep -q two /map/word; do sleep 0.01; done; stat -c %g /map/..data/word"),
        "1002\n"
    );
    assert!(node.kill_node(), "there is a node");
    assert_eq!(inside(&node, "own", owners), all);
}

#[test]
fn what_is_not_the_pods_alone_never_changes_hands() {
    let node = with_unmapped(|node| node.files().join("folder"));
    let spec = format!("  volumes: [{{name: v, hostPath: {{path: {}}}}}]\n", node.files().join("folder").display());
    let app = native(&node, "app", "stat -c %u /v", "    volumeMounts: [{name: v, mountPath: /v}]\n");
    let said = node.run(&pod("own", true, &spec, &app));
    assert_eq!(said.code, 125, "{said:#?}");
    assert!(said.err.contains("volume v: ") && said.err.contains("spec.hostUsers: false"), "{said:#?}");
    let said = node.run(&pod("host", false, &spec, &app));
    assert_eq!((said.code, &*said.out), (0, "0\n"), "control: {said:#?}");
}
