//! What is refused, and that it is said in a way that helps: place, name, suggestion; never a panic, never nothing.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use dwell_tests::node::{Node, Said, binary};

use crate::{image, script};

/// dwell's own failure: 125, `error: …` on standard error, nothing on standard output.
#[track_caller]
fn refused(said: Said, words: &[&str]) -> Said {
    assert!(said.code == 125 && said.out.is_empty() && said.err.starts_with("error: "), "{said:#?}");
    assert!(!said.err.contains("panicked"), "{said:#?}");
    for word in words {
        assert!(said.err.contains(word), "{word:?} is not said: {said:#?}");
    }
    said
}

fn run_text(node: &Node, text: &str) -> Said {
    node.file("pod.yaml", text);
    node.dwell(&["run", "pod.yaml"])
}

#[test]
fn bad_yaml_is_named_by_line_and_column() {
    let node = Node::new();
    refused(
        run_text(&node, "apiVersion: v1\nkind: Pod\nmetadata: {name: x\nspec: 3\n"),
        &["pod.yaml:4:5:", "not valid YAML", "  4 | spec: 3"],
    );
    refused(run_text(&node, "kind: Pod\nspec:\n\tcontainers: []\n"), &["pod.yaml:3:2:", "tab"]);
    refused(run_text(&node, ""), &["pod.yaml", "no Pod"]);
    refused(run_text(&node, "{\"kind\": \"Pod\",}}"), &["pod.yaml:1:"]);
    refused(crate::with_input(&node, &["run", "-"], b"kind: [\n"), &["standard input:"]);
    std::fs::write(node.files().join("pod.yaml"), [0xff, 0xfe, 0]).unwrap();
    refused(node.dwell(&["run", "pod.yaml"]), &["pod.yaml"]);
    refused(node.dwell(&["run", "/dev/zero"]), &["/dev/zero"]);
}

#[test]
fn an_unknown_field_comes_with_a_suggestion() {
    let node = Node::new();
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - name: a\n    image: rootfs:/x\n    comand: [a]\n";
    refused(
        run_text(&node, text),
        &["pod.yaml:8:5: spec.containers[0].comand: unknown field", "hint: did you mean command?"],
    );
}

#[test]
fn a_value_that_is_no_base64_is_named() {
    let node = Node::new();
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    refused(
        run_text(&node, &format!("{head}data:\n  good: YQ==\n  bad: plainly!\n  worse: '#'\n")),
        &["pod.yaml:6:8: data[bad]: ", "must be base64", "pod.yaml:7:10: data[worse]: ", "`stringData`"],
    );
}

#[test]
fn every_problem_is_told_at_once() {
    let node = Node::new();
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: X_}\nspec:\n  restartPolicy: never\n  containers:\n  - name: a\n    imag: x\n";
    refused(run_text(&node, text), &["pod.yaml:3:18", "pod.yaml:5:18", "pod.yaml:8:5"]);
}

#[test]
fn other_kinds_of_document_are_refused_in_a_plain_sentence() {
    let node = Node::new();
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n";
    refused(run_text(&node, deployment), &["pod.yaml:2:7:", "dwell runs Pods", "Deployment", "hint: "]);
    refused(run_text(&node, "services:\n  web: {image: x}\n"), &["Compose"]);
}

#[test]
fn what_is_not_there_is_named() {
    let node = Node::new();
    refused(node.dwell(&["run", "missing.yaml"]), &["missing.yaml", "No such file"]);
    refused(node.dwell(&["run", "."]), &["."]);
    refused(node.dwell(&["plan", "missing.yaml"]), &["missing.yaml", "No such file"]);
    refused(node.dwell(&["run", "/"]), &["Is a directory", "--image rootfs:/"]);
    let folder = run_text(&node, &script(&node, "x", "true").replace("/rootfs\"", "/no-such-folder\""));
    assert!(
        folder.code == 125 && folder.err.contains("/no-such-folder") && folder.err.contains("No such file"),
        "{folder:#?}"
    );
    refused(
        node.dwell(&["run", "--image", "registry.example/image", "--", "x"]),
        &["registry.example/image", "not yet honoured", "rootfs:DIR"],
    );
}

#[test]
fn a_name_that_does_not_exist_is_refused_by_every_command() {
    let node = Node::new();
    node.run(&script(&node, "web", "true")).ok();
    for args in [
        &["logs", "wob"][..],
        &["stop", "wob"],
        &["kill", "wob"],
        &["restart", "wob"],
        &["rm", "wob"],
        &["rm", "-f", "wob"],
        &["inspect", "wob"],
        &["exec", "wob", "--", "true"],
    ] {
        refused(node.dwell(args), &["no Pod named wob; there are: web", "did you mean web?"]);
    }
    // The first is done or none: one wrong name among several changes nothing.
    refused(node.dwell(&["rm", "web", "wob"]), &["wob"]);
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "pod/web\n");
}

#[test]
fn the_same_name_twice_is_refused_and_the_first_stays() {
    let node = Node::new();
    node.start(&script(&node, "same", "echo up; sleep 600"));
    crate::wait_for_line(&node, "same", "up");
    let before = node.pod("same")["metadata"]["uid"].clone();
    for args in [
        &["run", "pod.yaml"][..],
        &["run", "-d", "pod.yaml"],
        &["run", "--name", "same", "--image", &image(&node), "--", "true"],
    ] {
        node.file("pod.yaml", &script(&node, "same", "true"));
        refused(node.dwell(args), &["same exists already", "dwell rm -f same"]);
    }
    let pod = node.pod("same");
    assert_eq!((&pod["metadata"]["uid"], &pod["status"]["phase"]), (&before, &"Running".into()));
}

#[test]
fn names_that_try_paths_reach_nothing() {
    let node = Node::new();
    let image = image(&node);
    node.run(&script(&node, "web", "true")).ok();
    let uid = node.pod("web")["metadata"]["uid"].as_str().unwrap().to_owned();
    let sneaky = [
        ".",
        "..",
        "/",
        "../../x",
        "/etc/passwd",
        "a/../b",
        "..%2f..",
        "%2e%2e",
        "x\ny",
        "\x1b[31m",
        "-",
        " ",
        "ü",
        &format!("../{uid}"),
    ];
    for name in sneaky {
        let said = node.dwell(&["run", "--name", name, "--image", &image, "--", "true"]);
        assert!(said.code == 125 && said.out.is_empty() && !said.err.contains('\x1b'), "{name:?}: {said:#?}");
        for verb in ["logs", "stop", "kill", "rm", "inspect", "restart"] {
            let said = node.dwell(&[verb, "--", name]);
            assert!(
                said.code == 125 && said.out.is_empty() && !said.err.contains('\x1b'),
                "{verb} {name:?}: {said:#?}"
            );
        }
        let said = node.dwell(&["logs", "-c", name, "web"]);
        assert!(said.code == 125 && said.out.is_empty(), "{name:?}: {said:#?}");
        let said = node.dwell(&["logs", "-n", name, "web"]);
        assert!(said.code == 125 && said.out.is_empty(), "{name:?}: {said:#?}");
    }
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "pod/web\n");
    let pods: Vec<_> = std::fs::read_dir(node.state_dir().join("lib/pods"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(pods, [uid.as_str()]);
}

#[test]
fn a_manifests_names_that_try_paths_are_refused_by_their_place() {
    let node = Node::new();
    let text = |pod: &str, namespace: &str, container: &str, volume: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {pod:?}\n  namespace: {namespace:?}\n  uid: \"../../uid\"\nspec:\n  containers:\n  \
             - name: {container:?}\n    image: rootfs:/x\n  volumes:\n  - name: {volume:?}\n    emptyDir: {{}}\n"
        )
    };
    for (text, place) in [
        (text("../x", "default", "a", "v"), "metadata.name"),
        (text("x", "../x", "a", "v"), "metadata.namespace"),
        (text("x", "default", "../a", "v"), "spec.containers[0].name"),
        (text("x", "default", "a", "../v"), "spec.volumes[0].name"),
    ] {
        refused(run_text(&node, &text), &[place]);
    }
}

#[test]
fn who_is_not_root_is_told_so_in_a_plain_sentence() {
    let node = Node::new();
    // A place that everybody can read, and a folder of our own in it.
    let folder = std::path::PathBuf::from(format!("/tmp/dwell-nobody-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.join("dwell");
    std::fs::copy(binary(), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.join("pod.yaml"), script(&node, "x", "true")).unwrap();
    let as_nobody = |args: &[&str]| -> Said {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).args(args).current_dir(&folder);
        command.env_remove("RUST_BACKTRACE").env_remove("DWELL_STATE_DIR").output().unwrap().into()
    };
    for args in [
        &["run", "pod.yaml"][..],
        &["ps"],
        &["logs", "x"],
        &["exec", "x", "--", "true"],
        &["stop", "--all"],
        &["kill", "x"],
        &["restart", "x"],
        &["rm", "x"],
        &["inspect", "x"],
        &["check"],
        &["serve"],
    ] {
        let said = as_nobody(args);
        assert!(
            said.code == 125 && said.out.is_empty() && said.err.contains("root") && said.err.contains("sudo"),
            "{args:?}: {said:#?}"
        );
    }
    // What needs no rights works: a manifest can be looked at by anybody.
    for args in [
        &["plan", "pod.yaml"][..],
        &["run", "--dry-run", "pod.yaml"],
        &["explain", "spec"],
        &["version"],
        &["completions", "bash"],
    ] {
        let said = as_nobody(args);
        assert!(said.code == 0 && !said.out.is_empty(), "{args:?}: {said:#?}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn a_mistyped_command_line_is_refused_with_what_was_meant() {
    let node = Node::new();
    for (args, hint) in [
        (&["inspct"][..], "inspect"),
        (&["ps", "--outptu", "json"], "--output"),
        (&["ps", "-o", "jsno"], "json"),
        (&["logs"], "<POD>"),
    ] {
        let said = node.dwell(args);
        assert!(said.code != 0 && said.out.is_empty() && said.err.contains(hint), "{args:?}: {said:#?}");
    }
}

/// A node that could not listen left its cgroups in every hierarchy.
#[test]
fn a_state_folder_too_long_for_a_socket_is_refused_and_leaves_nothing() {
    let node = Node::new();
    let long = node.files().join("y".repeat(120));
    let mut command = std::process::Command::new(dwell_tests::node::binary());
    command.arg("--state-dir").arg(&long).args(["run", "--image", "rootfs:/", "--", "true"]);
    let said = dwell_tests::node::Said::from(command.output().unwrap());
    assert!(said.code == 125 && said.err.contains("choose a shorter --state-dir"), "{said:#?}");
    let id = dwell::layout::Layout::at(Some(long)).id();
    let cgroups = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-maxdepth", "2", "-name", &format!("dwell-{id}")])
        .output()
        .unwrap();
    assert!(cgroups.stdout.is_empty(), "{}", String::from_utf8_lossy(&cgroups.stdout));
}

/// The API took whatever it did not know, in silence: a mistyped `securityContext` ran a member as root.
#[test]
fn the_api_refuses_what_no_pod_has_by_its_path() {
    use std::io::{Read, Write};
    let node = Node::new();
    node.start(&crate::script(&node, "first", "sleep 600"));
    let status = node.pod("first")["status"].clone();
    assert!(status["phase"].is_string(), "it has a phase from the first moment: {status}");
    let post = |body: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(node.state_dir().join("run/dwell.sock")).unwrap();
        let head = "POST /api/v1/namespaces/default/pods HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:";
        write!(stream, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let body = crate::script(&node, "second", "true");
    let wrong = post(&body.replace("\"image\"", "\"securityContxt\":{\"runAsUser\":5},\"image\""));
    assert!(wrong.starts_with("HTTP/1.1 422") && wrong.contains("spec.containers[0].securityContxt"), "{wrong}");
    let none = post("[]");
    assert!(none.starts_with("HTTP/1.1 400") && none.contains("it is no Pod"), "{none}");
    assert!(post(&body).starts_with("HTTP/1.1 201"), "control");
}
