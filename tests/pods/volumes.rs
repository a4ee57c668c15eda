//! Volumes: shared between both kinds of member, with the rights that the manifest gives.

use dwell_tests::guest;
use dwell_tests::node::Node;

use crate::{before_containers, shell};

fn pod(name: &str, volumes: &str, containers: &[String]) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  volumes:\n{volumes}  containers:\n{}",
        containers.concat()
    )
}

fn native(node: &Node, name: &str, script: &str, mounts: &str) -> String {
    crate::native(node, name, script, &format!("    volumeMounts: [{mounts}]\n"))
}

#[test]
fn a_read_only_mount_refuses_writes_and_a_writable_one_does_not() {
    let node = Node::new();
    let script = "echo x > /rw/a && ! echo y > /ro/b 2>/dev/null && cat /ro/a";
    let volumes = "  - {name: v, emptyDir: {}}\n";
    let mounts = "{name: v, mountPath: /rw}, {name: v, mountPath: /ro, readOnly: true}";
    assert_eq!(node.run(&pod("rights", volumes, &[native(&node, "main", script, mounts)])).ok(), "x\n");
}

/// A Pod with a volume on disk and these limits; it lives on when its script does not end it.
fn limited(node: &Node, script: &str, volume: &str, limits: &str) -> String {
    let container = format!(
        "    resources: {{limits: {{{limits}}}}}\n    volumeMounts: [{{name: v, mountPath: /v}}]\n  volumes: [{{name: v, emptyDir: \
         {{{volume}}}}}]\n"
    );
    shell(node, "eats", "Always", &format!("{script}; exec sleep 600")) + &container
}

#[test]
fn who_takes_more_of_the_disk_than_it_may_is_evicted_and_the_status_says_why() {
    let node = Node::new();
    let fill = |path: &str, mib: u32| format!("dd if=/dev/zero of={path} bs=1048576 count={mib} 2>/dev/null");
    let deep =
        "cd /v; i=0; while [ $i -lt 5 ]; do d=$(printf 'd/%.0s' $(seq 2000)); mkdir -p $d; cd -P $d; i=$((i+1)); done";
    for (script, volume, limits, message) in [
        (fill("/v/f", 8), "sizeLimit: 4Mi", "", "Usage of EmptyDir volume \"v\" exceeds the limit \"4Mi\"."),
        (fill("/f", 8), "", "ephemeral-storage: 4Mi", "exceeds the total limit of containers 4Mi."),
        (
            "yes | head -c 8000000".to_owned(),
            "",
            "ephemeral-storage: 4Mi",
            "exceeds the total limit of containers 4Mi.",
        ),
        (deep.to_owned(), "sizeLimit: 400Mi", "", "Usage of EmptyDir volume \"v\" exceeds the limit \"400Mi\"."),
    ] {
        node.start(&limited(&node, &script, volume, limits));
        let pod = node.wait_for_phase("eats", "Failed");
        assert_eq!(pod["status"]["reason"], "Evicted", "{script}: {pod:#}");
        assert!(pod["status"]["message"].as_str().is_some_and(|text| text.contains(message)), "{script}: {pod:#}");
        let conditions = pod["status"]["conditions"].as_array().expect("conditions");
        assert!(conditions.iter().any(|one| one["type"] == "DisruptionTarget"), "{pod:#}");
        node.dwell(&["rm", "eats"]).ok();
    }
    node.start(&limited(&node, &fill("/v/f", 2), "sizeLimit: 4Mi", "ephemeral-storage: 8Mi"));
    node.wait_for_phase("eats", "Running");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(node.pod("eats")["status"]["phase"], "Running", "control: within its limits it lives on");
}

#[test]
fn a_memory_volume_has_a_hard_limit() {
    let node = Node::new();
    let script = "dd if=/dev/zero of=/m/big bs=1M count=8 2>/dev/null; s=$?; wc -c < /m/big; exit $s";
    let volumes = "  - {name: m, emptyDir: {medium: Memory, sizeLimit: 4Mi}}\n";
    let said = node.run(&pod("memory", volumes, &[native(&node, "main", script, "{name: m, mountPath: /m}")]));
    assert_ne!(said.code, 0, "{said:#?}");
    assert!(said.out.trim().parse::<u64>().unwrap() <= 4 << 20, "{said:#?}");
}

/// Without a limit of its own it could hold more than its Pod may use: who filled it was ended, instead of told.
#[test]
fn a_memory_volume_is_no_larger_than_what_its_pod_may_use() {
    let node = Node::new();
    let script = "df -k /m | tail -1 | awk '{print $2}'";
    let size = |name: &str, volume: &str, spec: &str| {
        let volumes = format!("  - {{name: m, emptyDir: {{{volume}}}}}\n");
        let pod = pod(name, &volumes, &[native(&node, "main", script, "{name: m, mountPath: /m}")]);
        node.run(&crate::before_containers(&pod, spec)).ok().trim().parse::<u64>().unwrap()
    };
    let limit = "  resources: {limits: {memory: 32Mi}}\n";
    assert_eq!(size("pod", "medium: Memory", limit), 32 << 10);
    assert_eq!(size("less", "medium: Memory, sizeLimit: 1Mi", limit), 1 << 10);
    assert_eq!(size("more", "medium: Memory, sizeLimit: 1Gi", limit), 32 << 10);
    assert!(size("none", "medium: Memory", "") > 32 << 10, "control");
}

#[test]
fn a_host_path_is_the_hosts_own() {
    let node = Node::new();
    let shared = node.files().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let volumes = format!("  - {{name: h, hostPath: {{path: {}, type: Directory}}}}\n", shared.display());
    node.run(&pod("host", &volumes, &[native(&node, "main", "echo here > /h/file", "{name: h, mountPath: /h}")])).ok();
    assert_eq!(std::fs::read_to_string(shared.join("file")).unwrap(), "here\n");
}

#[test]
fn a_host_path_of_the_wrong_type_names_itself() {
    let node = Node::new();
    let volumes = "  - {name: h, hostPath: {path: /etc/passwd, type: Directory}}\n";
    let said = node.run(&pod("wrong", volumes, &[native(&node, "main", "true", "{name: h, mountPath: /h}")]));
    assert_eq!(said.code, 125, "{said:#?}");
    assert!(said.err.contains("/etc/passwd") && said.err.contains("not a directory"), "{said:#?}");
}

#[test]
fn a_file_goes_from_native_to_wasm_and_back() {
    let node = Node::new();
    let volumes = "  - {name: v, emptyDir: {}}\n";
    let writer = native(
        &node,
        "native",
        "echo from native > /v/t; mv /v/t /v/a; while [ ! -s /v/b ]; do sleep 0.05; done; cat /v/b",
        "{name: v, mountPath: /v}",
    );
    let args = "[wait, /data/a, --, copy, /data/a, /data/b]";
    let copier = crate::guest("wasm", "files.wasm", args, "    volumeMounts: [{name: v, mountPath: /data}]\n");
    let said = node.run(&pod("exchange", volumes, &[writer, copier]));
    assert!(said.code == 0 && said.out.contains("from native"), "{said:#?}");
}

/// A mounted file was seen one directory further up, and in a module of a root file system it hid the image's `/`.
#[test]
fn a_file_is_at_its_mount_path_in_a_wasm_member_too() {
    let node = Node::new();
    let (image, cfg) = (node.files().join("image"), node.files().join("cfg"));
    std::fs::create_dir_all(image.join("app")).unwrap();
    std::fs::copy(guest::path("files.wasm"), image.join("app/files")).unwrap();
    std::fs::write(image.join("app/data.txt"), "content\n").unwrap();
    std::fs::write(&cfg, "setting\n").unwrap();
    let volumes = format!(
        "  - {{name: cfg, hostPath: {{path: {}, type: File}}}}\n  - {{name: v, emptyDir: {{}}}}\n",
        cfg.display()
    );
    let wasm = |image: String, command: &str, args: &str, mounts: &str| {
        format!("  - name: main\n    image: {image}\n    {command}\n    args: [{args}]\n    volumeMounts: [{mounts}]\n")
    };
    let (module, rootfs) =
        (format!("wasm:{}", guest::path("files.wasm").display()), format!("rootfs:{}", image.display()));
    let alone = wasm(module.clone(), "", "read, /a/b/cfg", "{name: cfg, mountPath: /a/b/cfg}");
    assert_eq!(node.run(&pod("alone", &volumes, &[alone])).ok(), "setting\n");
    let held = "{name: cfg, mountPath: /v/in/cfg}, {name: v, mountPath: /v}";
    let held = wasm(module, "", "read, /v/in/cfg, --, write, /v/x, text, --, list, /v", held);
    assert_eq!(node.run(&pod("held", &volumes, &[held])).ok(), "setting\nin\nx\n");
    let args = "read, /app/cfg, --, read, /app/data.txt, --, read, /top, --, write, /app/cfg, changed";
    let mounts = "{name: cfg, mountPath: /app/cfg}, {name: cfg, mountPath: /top, readOnly: true}";
    let image = wasm(rootfs, "command: [/app/files]", args, mounts);
    assert_eq!(node.run(&pod("image", &volumes, &[image])).ok(), "setting\ncontent\nsetting\n");
    assert_eq!(std::fs::read_to_string(&cfg).unwrap(), "changed\n");
}

#[test]
fn the_files_of_an_image_are_there_to_read() {
    let node = Node::new();
    let files = node.files().join("of-image");
    std::fs::create_dir_all(files.join("model")).unwrap();
    std::fs::write(files.join("model/weights"), "heavy\n").unwrap();
    std::fs::write(files.join("tool"), "#!/bin/sh\necho ran\n").unwrap();
    let mounts =
        "    volumeMounts: [{name: image, mountPath: /image}, {name: image, mountPath: /model, subPath: model}]\n";
    let script = "cat /image/model/weights /model/weights; touch /image/x 2>&1; chmod +x /image/tool 2>&1; \
                  mount | grep ' /image ' | grep -c 'ro,.*noexec'";
    let module =
        crate::guest("module", "files.wasm", "[read, /image/model/weights, --, write, /image/x, text]", mounts);
    let pod = shell(&node, "images", "Never", script) + mounts + &module;
    let volume = "  volumes: [{name: image, image: {reference: 'rootfs:of-image', pullPolicy: Never}}]\n";
    let said = node.run(&before_containers(&pod, volume));
    let native = node.dwell(&["logs", "images", "-c", "main"]).ok();
    assert_eq!(native.matches("heavy").count(), 2, "{native} {said:#?}");
    assert!(native.matches("Read-only file system").count() == 2 && native.ends_with("1\n"), "{native}");
    let wasm = node.dwell(&["logs", "images", "-c", "module"]);
    assert!(wasm.out == "heavy\n" && wasm.err.contains("write /image/x"), "{wasm:#?}");
    assert!(!files.join("x").exists());
    let gone = volume.replace("of-image", "gone");
    let none = node.run(&before_containers(&shell(&node, "none", "Never", "true"), &gone));
    assert!(none.code == 125 && none.err.contains("gone"), "{none:#?}");
}
