//! Wasm members: the three kinds of today, their exit statuses, what a bad end says.

use dwell_tests::guest;
use dwell_tests::node::{Node, wait_until};

/// A Pod of one guest, with these arguments and what follows in its container.
pub fn pod(name: &str, guest_name: &str, args: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  containers:\n{}",
        crate::guest("main", guest_name, args, more)
    )
}

fn ended(node: &Node, name: &str) -> (i64, String, String) {
    let pod = node.pod(name);
    let end = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    let text = |key: &str| end[key].as_str().unwrap_or_default().to_owned();
    (end["exitCode"].as_i64().unwrap_or(-1), text("reason"), text("message"))
}

#[test]
fn a_preview_1_command_runs_with_arguments_and_its_own_exit_status() {
    let node = Node::new();
    let said = node.dwell(&["run", guest::path("hello.wasm").to_str().unwrap(), "one", "two"]);
    assert!(said.code == 0 && said.out.contains("one") && said.out.contains("two"), "{said:#?}");
    for status in ["0", "7", "200"] {
        let said = node.dwell(&["run", "--rm", guest::path("exit.wasm").to_str().unwrap(), status]);
        assert_eq!(said.code.to_string(), status, "{said:#?}");
    }
}

#[test]
fn a_trap_is_134_and_says_why() {
    let node = Node::new();
    assert_eq!(node.run(&pod("trap", "trap.wasm", "[]", "")).code, 134);
    let (_, reason, message) = ended(&node, "trap");
    assert_eq!(reason, "Trap");
    assert!(message.contains("unreachable"), "{message}");
}

#[test]
fn a_second_start_compiles_nothing() {
    let node = Node::new();
    let hello = guest::path("hello.wasm");
    node.dwell(&["run", "--rm", hello.to_str().unwrap()]).ok();
    let entries = || {
        let cache = node.state_dir().join("lib/cache");
        let mut found = Vec::new();
        for folder in std::fs::read_dir(cache).unwrap().flatten() {
            for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
                let meta = file.metadata().unwrap();
                found.push((file.path(), meta.modified().unwrap()));
            }
        }
        found.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "cwasm"));
        found
    };
    let before = entries();
    assert_eq!(before.len(), 1);
    node.dwell(&["run", "--rm", hello.to_str().unwrap()]).ok();
    assert_eq!(entries(), before, "the module was compiled again");
}

#[test]
fn memory_has_a_limit_and_a_spinning_guest_can_be_stopped() {
    let node = Node::new();
    let said = node.run(&pod("eat", "eat.wasm", "[]", "    resources: {limits: {memory: 64Mi}}\n"));
    assert_eq!(said.code, 137, "{said:#?}");
    assert_eq!(ended(&node, "eat").1, "OOMKilled");
    node.start(&pod("spin", "spin.wasm", "[]", ""));
    node.wait_for_phase("spin", "Running");
    node.dwell(&["stop", "-t", "20", "spin"]).ok();
    assert_eq!(ended(&node, "spin").0, 143);
}

#[test]
fn an_http_component_answers_and_drains() {
    let node = Node::new();
    node.start(&pod("web", "http.wasm", "[]", "    ports: [{containerPort: 8123}]\n"));
    let pod = node.wait_for("web", "an address", |pod| pod["status"]["podIP"].is_string());
    let ip = pod["status"]["podIP"].as_str().unwrap().to_owned();
    assert!(wait_until(|| std::net::TcpStream::connect((ip.as_str(), 8123)).is_ok()), "nobody listens");
    let answer = get(&ip, 8123, "/");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    node.dwell(&["stop", "web"]).ok();
    assert_eq!(ended(&node, "web").0, 0);
}

fn get(ip: &str, port: u16, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect((ip, port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {ip}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_module_inside_a_rootfs_is_recognised_by_its_magic() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    std::fs::copy(guest::path("hello.wasm"), root.join("bin/app")).unwrap();
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: magic}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    \
         image: rootfs:{}\n    command: [/bin/app, magic]\n",
        root.display()
    );
    let said = node.run(&manifest);
    assert!(said.code == 0 && said.out.contains("magic"), "{said:#?}");
}

/// From a file's bytes to what is left of them.
type Damage = fn(Vec<u8>) -> Vec<u8>;

/// A power cut may leave any file short, empty or of other content. A digest that was remembered as an empty file once made
/// one module run as another, and a seal without content ended every start.
#[test]
fn what_a_power_cut_leaves_of_the_cache_is_compiled_anew_and_never_run() {
    let node = Node::new();
    let run = |file: &str, words: &[&str]| {
        let path = guest::path(file);
        node.dwell(&[&["run", "--rm", path.to_str().unwrap()], words].concat())
    };
    let entry = |extension: &str| -> Vec<std::path::PathBuf> {
        let cache = node.state_dir().join("lib/cache");
        let files =
            std::fs::read_dir(cache).unwrap().flatten().flat_map(|folder| std::fs::read_dir(folder.path()).unwrap());
        let paths = files.flatten().map(|file| file.path());
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    };
    let next_boot = || std::fs::remove_dir_all(node.state_dir().join("run/modules")).unwrap();
    assert!(run("hello.wasm", &[]).ok().starts_with("hello"));
    let whole = std::fs::read(&entry("cwasm")[0]).unwrap();
    let damages: [(&str, Damage); 5] = [
        ("json", |_| Vec::new()),
        ("json", |_| b"null".to_vec()),
        ("cwasm", |_| Vec::new()),
        ("cwasm", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("cwasm", |bytes| bytes.iter().map(|byte| byte ^ 1).collect()),
    ];
    for (extension, damage) in damages {
        let path = &entry(extension)[0];
        let damaged = damage(std::fs::read(path).unwrap());
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, damaged).unwrap();
        next_boot();
        assert!(run("hello.wasm", &[]).ok().starts_with("hello"), "{extension}");
        assert_eq!(std::fs::read(&entry("cwasm")[0]).unwrap(), whole, "{extension}");
    }
    assert_eq!(run("exit.wasm", &["3"]).code, 3);
    for remembered in std::fs::read_dir(node.state_dir().join("run/modules")).unwrap().flatten() {
        std::fs::write(remembered.path(), "").unwrap();
    }
    assert_eq!(run("exit.wasm", &["3"]).code, 3);
    assert!(run("hello.wasm", &[]).ok().starts_with("hello"));
}
