//! One container without a manifest, and the manifest that it stands for.

use dwell_tests::guest;
use dwell_tests::node::{Node, wait_until};
use serde_json::{Value, json};

use crate::{image, with_input};

#[test]
fn a_module_gets_all_that_follows_it_options_too() {
    let node = Node::new();
    let hello = guest::path("hello.wasm");
    let out = node.dwell(&["run", "--rm", hello.to_str().unwrap(), "-d", "--rm", "$(HOME)"]).ok();
    assert_eq!(out, "hello from WebAssembly\nargument 1: -d\nargument 2: --rm\nargument 3: $(HOME)\n");
}

#[test]
fn options_reach_a_native_container() {
    let node = Node::new();
    let image = image(&node);
    std::fs::create_dir(node.files().join("shared")).unwrap();
    node.file("shared/word", "from the host\n");
    node.file("vars", "# a comment\nFILE=1\nBOTH=file\nRAW=$(FILE) \"quoted\"\n");
    let script = "id -u; id -g; pwd; cat /ro/word; echo x >/rw/new; echo x 2>/dev/null >/ro/new || echo refused; \
                  echo $FILE $BOTH $TYPED $RAW $PASSED";
    let mut command = node.command(&[
        "run",
        "--rm",
        "--image",
        &image,
        "-v",
        "./shared:/ro:ro",
        "-v",
        "./shared:/rw",
        "-e",
        "TYPED=typed",
        "-e",
        "BOTH=typed",
        "-e",
        "PASSED",
        "--env-file",
        "vars",
        "-u",
        "user",
        "-w",
        "/tmp",
        "--",
        "sh",
        "-c",
        script,
    ]);
    // The user's own folder, since it writes there.
    let chown = std::process::Command::new("chown").arg("1000").arg(node.files().join("shared")).status();
    assert!(chown.is_ok_and(|status| status.success()));
    let output = command.env("PASSED", "passed on").output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        out, "1000\n1000\n/tmp\nfrom the host\nrefused\n1 typed typed $(FILE) \"quoted\" passed on\n",
        "{output:?}"
    );
    assert!(node.files().join("shared/new").exists());
}

#[test]
fn a_user_is_a_number_or_a_name() {
    let node = Node::new();
    let image = image(&node);
    let ids = |user: &str| {
        node.dwell(&["run", "--rm", "--image", &image, "-u", user, "--", "sh", "-c", "echo $(id -u) $(id -g)"])
    };
    assert_eq!(ids("1234:2345").ok(), "1234 2345\n");
    assert_eq!(ids("user:extra").ok(), "1000 2000\n");
    let unknown = ids("nobody-here");
    assert!(unknown.code == 125 && unknown.err.contains("nobody-here"), "{unknown:#?}");
}

#[test]
fn a_memory_limit_is_one() {
    let node = Node::new();
    let image = image(&node);
    let said = node.dwell(&["run", "--image", &image, "--name", "small", "-m", "32m", "--", "tail", "/dev/zero"]);
    assert!(said.code == 137 && said.err.contains("OOMKilled"), "{said:#?}");
}

#[test]
fn a_read_only_root_is_one() {
    let node = Node::new();
    let image = image(&node);
    let try_it = ["--", "sh", "-c", "echo x 2>/dev/null >/file && echo written || echo refused"];
    let run = |more: &[&str]| node.dwell(&[&["run", "--rm", "--image", &image], more, &try_it].concat()).ok();
    assert_eq!(run(&["--read-only"]), "refused\n");
    assert_eq!(run(&[]), "written\n");
}

#[test]
fn a_port_is_published() {
    let node = Node::new();
    let image = image(&node);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publish = format!("127.0.0.1:{port}:7000");
    let serve = "while :; do echo served | nc -l -p 7000; done";
    node.dwell(&["run", "-d", "--name", "served", "--image", &image, "-p", &publish, "--", "sh", "-c", serve]).ok();
    let ask = || {
        let mut answer = String::new();
        let stream = std::net::TcpStream::connect(("127.0.0.1", port));
        stream.is_ok_and(|mut stream| {
            let _ = stream.set_read_timeout(Some(std::time::Duration::from_secs(2)));
            std::io::Read::read_to_string(&mut stream, &mut answer).is_ok() && answer == "served\n"
        })
    };
    assert!(wait_until(ask), "nobody answers at {publish}");
}

#[test]
fn standard_input_is_connected_with_i_only() {
    let node = Node::new();
    let image = image(&node);
    let cat = ["--", "cat"];
    let run =
        |more: &[&str]| with_input(&node, &[&["run", "--rm", "--image", &image], more, &cat].concat(), b"words\n");
    assert_eq!(run(&["-i"]).ok(), "words\n");
    assert_eq!(run(&[]).ok(), "");
    let wasm = guest::path("stdin.wasm");
    let said = with_input(&node, &["run", "--rm", "-i", wasm.to_str().unwrap()], b"words\nmore");
    assert_eq!((said.out.as_str(), said.err.as_str()), ("WORDS\nMORE", "end of input\n"));
}

#[test]
fn much_input_arrives_whole() {
    let node = Node::new();
    let image = image(&node);
    let input: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    let said =
        with_input(&node, &["run", "--rm", "-i", "--image", &image, "--", "sh", "-c", "wc -c; echo end"], &input);
    assert_eq!(said.ok().split_whitespace().collect::<Vec<_>>(), ["5000000", "end"]);
}

#[test]
fn a_name_is_made_from_the_image_when_none_is_typed() {
    let node = Node::new();
    let hello = guest::path("hello.wasm");
    for _ in 0..2 {
        node.dwell(&["run", hello.to_str().unwrap()]).ok();
    }
    let names = node.dwell(&["ps", "-o", "name"]).ok();
    let names: Vec<&str> = names.lines().collect();
    assert!(
        names.len() == 2 && names[0] != names[1] && names.iter().all(|name| name.starts_with("pod/hello-")),
        "{names:?}"
    );
}

/// Every option at once; what is printed runs, and does the same.
#[test]
fn a_dry_run_prints_the_pod_that_runs_the_same_way() {
    let node = Node::new();
    let image = image(&node);
    node.file("word", "from the host\n");
    let typed = [
        "run",
        "--name",
        "dry",
        "--image",
        &image,
        "-v",
        "./word:/word:ro",
        "-e",
        "VALUE=$(HOME) 'x'",
        "-u",
        "user:extra",
        "-m",
        "64m",
        "-w",
        "/tmp",
        "-i",
        "--read-only",
    ];
    let program = ["--", "sh", "-c", "id -u; id -g; pwd; cat /word; echo \"$VALUE\"; cat; echo yes no 1e3 0x10 '~'"];
    let plain = with_input(&node, &[&typed[..], &program].concat(), b"input\n");
    let expected = "1000\n2000\n/tmp\nfrom the host\n$(HOME) 'x'\ninput\nyes no 1e3 0x10 ~\n";
    assert_eq!((plain.out.as_str(), plain.code), (expected, 0), "{plain:#?}");
    node.dwell(&["rm", "dry"]).ok();
    for format in ["yaml", "json"] {
        let dry = node.dwell(&[&typed[..], &["--dry-run", "-o", format], &program].concat()).ok();
        assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "", "a dry run ran something");
        let path = node.file(&format!("dry.{format}"), &dry);
        let again = with_input(&node, &["run", "--rm", path.to_str().unwrap()], b"input\n");
        assert_eq!((again.out.as_str(), again.code), (expected, 0), "{dry}\n{again:#?}");
    }
}

#[test]
fn a_dry_run_piped_into_run_runs() {
    let node = Node::new();
    let hello = guest::path("hello.wasm");
    let tricky = ["yes", "1e3", "", "a: b", "- c", "line\nline", "'\"", "#", "\u{1f980}", "$(A) $$"];
    let dry = node.dwell(&[&["run", "--dry-run", "-o", "yaml", hello.to_str().unwrap()], &tricky[..]].concat());
    let said = with_input(&node, &["run", "--rm", "-"], dry.ok().as_bytes()).ok();
    let expected: String = tricky.iter().enumerate().map(|(n, word)| format!("argument {}: {word}\n", n + 1)).collect();
    assert_eq!(said, format!("hello from WebAssembly\n{expected}"));
}

#[test]
fn a_manifests_dry_run_is_its_pod() {
    let node = Node::new();
    let path = node.file("pod.yaml", &crate::script(&node, "written", "true"));
    let dry = node.dwell(&["run", "--dry-run", "-o", "json", path.to_str().unwrap()]).ok();
    let pod: Value = serde_json::from_str(&dry).unwrap();
    assert_eq!(
        (&pod["metadata"]["name"], &pod["spec"]["restartPolicy"]),
        (&json!("written"), &json!("Never")),
        "{dry}"
    );
}

#[test]
fn a_claim_a_device_and_every_right_are_given_by_their_options() {
    let node = Node::new();
    let image = image(&node);
    let run = |options: &[&str], script: &str| {
        node.dwell(&[&["run", "--rm", "--image", &image], options, &["--", "sh", "-c", script]].concat())
    };
    let script = "echo x > /data/file; (: > /dev/mine) && echo open";
    assert_eq!(run(&["-v", "kept:/data", "--device", "/dev/kmsg:/dev/mine"], script).ok(), "open\n");
    assert_eq!(run(&["-v", "kept:/data:ro"], "cat /data/file; echo y > /data/file || echo no").ok(), "x\nno\n");
    let mount = "mount -t tmpfs none /tmp && echo yes";
    assert_eq!(run(&["--privileged"], mount).ok(), "yes\n");
    assert_ne!(run(&[], mount).code, 0, "control");
}

#[test]
fn what_makes_no_sense_is_refused_by_its_option() {
    let node = Node::new();
    let image = image(&node);
    for (options, named) in [
        (&["-p", "99999:1"][..], "-p"),
        (&["-p", "80"], "-p"),
        (&["-v", "nothing"], "-v"),
        (&["-v", "By_Name:/v"], "-v"),
        (&["--device", "/etc/passwd"], "is no device"),
        (&["--device", "/dev/no-such"], "--device"),
        (&["--device", "/dev/null:/a:x"], "--device"),
        (&["-m", "lots"], "-m"),
        (&["-e", "=x"], "-e"),
        (&["--env-file", "missing"], "missing"),
        (&["-w", "relative"], "workingDir"),
    ] {
        let said = node.dwell(&[&["run", "--image", &image], options, &["--", "true"]].concat());
        assert!(
            said.code == 125 && said.err.starts_with("error: ") && said.err.contains(named),
            "{options:?}: {said:#?}"
        );
    }
    let said = node.dwell(&["run", "-e", "A=b", "pod.yaml"]);
    assert!(said.code == 125 && said.err.contains("-e is for one container without a manifest"), "{said:#?}");
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "");
}
