//! Commands that look at living Pods from outside: `wait`, `stats`, `top`, `port-forward`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use dwell_tests::node::{Node, kill, patience, wait_until};
use serde_json::{Value, json};

use crate::{pod, script, shell};

/// Ready once `/tmp/ready` is there.
fn getting_ready(node: &Node, name: &str) -> String {
    let mut container = shell(node, "main", "sleep 600");
    let probe = json!({"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1});
    container["readinessProbe"] = probe;
    pod(name, &[container], json!({}))
}

/// Whether a process has a connection.
fn talks(pid: u32) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|each| std::fs::read_link(each.path()).ok()).any(|to| to.to_string_lossy().starts_with("socket:"))
}

#[test]
fn it_waits_for_a_condition_a_value_or_an_end() {
    let node = Node::new();
    node.start(&getting_ready(&node, "web"));
    let wait = |what: &str| node.dwell(&["wait", "web", what, "--timeout=60s"]);
    assert_eq!(wait("--for=jsonpath={.status.phase}=Running").ok(), "pod/web condition met\n");
    let early = node.dwell(&["wait", "web", "--for=condition=Ready", "--timeout=0s"]);
    assert!(early.code == 125 && early.err.contains("timed out waiting for Pod web"), "{early:#?}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait("--for=condition=ready=true"));
        node.dwell(&["exec", "web", "--", "touch", "/tmp/ready"]).ok();
        assert_eq!(waiting.join().unwrap().ok(), "pod/web condition met\n");
    });
    let waiters = [&["web", "--for=delete"][..], &["web", "--for=condition=Ready=Unknown"], &["--all"]].map(|what| {
        node.command(&[&["wait"][..], what].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for each in &waiters {
        assert!(wait_until(|| talks(each.id())), "it asks nobody");
    }
    std::thread::sleep(Duration::from_millis(300));
    node.dwell(&["rm", "-f", "web"]).ok();
    let [deleted, never, ended] = waiters.map(|each| each.wait_with_output().unwrap());
    for met in [deleted, ended] {
        assert_eq!(String::from_utf8_lossy(&met.stdout), "pod/web condition met\n", "{met:?}");
    }
    let why = String::from_utf8_lossy(&never.stderr);
    assert!(never.status.code() == Some(125) && why.contains("Pod web is gone"), "{never:?}");
    let nobody = wait("--for=delete");
    assert!(nobody.code == 125 && nobody.err.contains("no Pod named web"), "{nobody:#?}");
}

#[test]
fn what_cannot_be_waited_for_is_refused() {
    let node = Node::new();
    for (what, why) in [
        ("--for=ready", "expected delete"),
        ("--for=jsonpath={.status", "a } is missing"),
        ("--for=jsonpath={status..}=1", "the path"),
        ("--timeout=soon", "expected a duration"),
    ] {
        let said = node.dwell(&["wait", "x", what]);
        assert!(said.code == 125 && said.err.contains(why), "{said:#?}");
    }
}

#[test]
fn what_members_use_is_shown_by_pod_and_by_member() {
    let node = Node::new();
    let mut limited = shell(&node, "idle", "sleep 600");
    limited["resources"] = json!({"limits": {"memory": "64Mi"}});
    let module = dwell_tests::guest::path("sleep.wasm");
    let module = json!({"name": "module", "image": format!("wasm:{}", module.display())});
    let busy = shell(&node, "busy", "while :; do :; done");
    node.start(&pod("used", &[busy, limited, module], json!({"restartPolicy": "Always"})));
    node.wait_for_phase("used", "Running");
    let table = || node.dwell(&["stats", "used"]).ok();
    assert!(wait_until(|| table().lines().count() == 4), "{}", table());
    let rows: Vec<Vec<String>> =
        table().lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(rows[0], ["POD", "CONTAINER", "KIND", "CPU", "MEMORY", "LIMIT", "PIDS"]);
    let named = |name: &str| rows.iter().find(|row| row[1] == name).unwrap_or_else(|| panic!("{rows:?}")).clone();
    let (busy, idle, module) = (named("busy"), named("idle"), named("module"));
    let percent = |row: &[String]| row[3].trim_end_matches('%').parse::<f64>().unwrap();
    assert!(percent(&busy) > percent(&idle) + 1.0, "{rows:?}");
    assert_eq!((busy[2].as_str(), busy[5].as_str(), module[2].as_str()), ("native", "none", "wasm"));
    assert_eq!((idle[5].as_str(), idle[6].as_str()), ("64.0MiB", "1"), "{idle:?}");
    let json: Value = serde_json::from_str(&node.dwell(&["stats", "-o", "json"]).ok()).unwrap();
    assert!(json[0]["containers"][0]["memoryBytes"].as_u64().unwrap() > 0, "{json}");
    let top = node.dwell(&["top"]).ok();
    assert!(top.starts_with("NAME   CPU(cores)   MEMORY(bytes)\nused   "), "{top}");
    assert_eq!(node.dwell(&["top", "--containers", "used"]).ok().lines().count(), 4);
    assert_eq!(node.dwell(&["top", "-n", "elsewhere"]).ok().lines().count(), 1);
    let nobody = node.dwell(&["stats", "nobody"]);
    assert!(nobody.code == 125 && nobody.err.contains("no Pod named nobody"), "{nobody:#?}");
}

#[test]
fn attaching_sends_what_is_typed_and_shows_what_is_written_from_then_on() {
    let node = Node::new();
    let mut reader = shell(&node, "main", "echo before; while read line; do echo got $line; done; echo end");
    reader["stdin"] = json!(true);
    node.start(&pod("reader", &[reader, shell(&node, "other", "sleep 1")], json!({})));
    assert!(wait_until(|| node.dwell(&["logs", "-c", "main", "reader"]).out.contains("before")));
    let several = node.dwell(&["attach", "reader"]);
    assert!(several.code == 125 && several.err.contains("several containers"), "{several:#?}");
    let said = crate::with_input(&node, &["attach", "-i", "-c", "main", "reader"], b"one\ntwo\n");
    assert_eq!(said.ok(), "got one\ngot two\nend\n", "the end of the input is the member's, too");
    let over = node.dwell(&["attach", "reader", "-c", "main"]);
    assert!(over.code == 125 && over.err.contains("is not running"), "{over:#?}");
}

#[test]
fn leaving_ends_nothing() {
    let node = Node::new();
    node.start(&script(&node, "talker", "while :; do echo word; sleep 0.1; done"));
    node.wait_for_phase("talker", "Running");
    let refused = node.dwell(&["attach", "-i", "talker"]);
    assert!(refused.code == 125 && refused.err.contains("reads no standard input"), "{refused:#?}");
    let mut child = node.command(&["attach", "talker"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "word\n");
    kill(child.id() as i32, libc::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(node.pod("talker")["status"]["phase"], "Running");
}

/// A running `port-forward`, and the port here of each line that it printed.
struct Forwarding {
    child: Child,
    ports: Vec<u16>,
    err: BufReader<ChildStderr>,
}

impl Forwarding {
    fn new(node: &Node, args: &[&str], lines: usize) -> Forwarding {
        let args = [&["port-forward"], args].concat();
        let mut child = node.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let ports = (0..lines).map(|_| {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            let port = line.split(" -> ").next().and_then(|from| from.rsplit(':').next()?.parse().ok());
            port.unwrap_or_else(|| panic!("{line:?}"))
        });
        let (ports, err) = (ports.collect(), BufReader::new(child.stderr.take().unwrap()));
        Forwarding { child, ports, err }
    }

    fn dial(&self, address: &str, at: usize) -> TcpStream {
        let stream = TcpStream::connect((address, self.ports[at])).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        stream
    }

    fn interrupted(mut self) -> i32 {
        kill(self.child.id() as i32, libc::SIGINT);
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says the text, ends that direction, and returns what comes back; a connection that breaks brings nothing more.
fn say(mut stream: TcpStream, text: &[u8]) -> Vec<u8> {
    let mut back = Vec::new();
    if stream.write_all(text).and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        let _ = stream.read_to_end(&mut back);
    }
    back
}

#[test]
fn ports_of_this_machine_lead_to_what_listens_on_localhost_inside() {
    let node = Node::new();
    // The one hears nobody but its own loopback; the other sends back what it hears, and its checksum at the end.
    let mut lonely = shell(&node, "lonely", "echo hello > /tmp/file; httpd -f -p 127.0.0.1:8080 -h /tmp");
    lonely["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    let tool = dwell_tests::rootfs::busybox(&node.files()).join("bin/net");
    std::fs::copy(dwell_tests::guest::path("net"), tool).unwrap();
    let echo = shell(&node, "echo", "exec net serve 9000");
    node.start(&pod("server", &[lonely, echo], json!({})));
    let forwarding = Forwarding::new(&node, &["server", ":http", ":9000"], 4);
    assert_eq!(forwarding.ports[0], forwarding.ports[1], "both of localhost's addresses have the same port");
    let page =
        |address: &str| String::from_utf8(say(forwarding.dial(address, 0), b"GET /file HTTP/1.0\r\n\r\n")).unwrap();
    let reached = || page("127.0.0.1").ends_with("\r\n\r\nhello\n");
    assert!(wait_until(reached), "{}", page("127.0.0.1"));
    assert!(page("::1").ends_with("hello\n"));
    let echoed = |text: &[u8]| say_while_it_answers(forwarding.dial("::1", 2), text);
    assert!(wait_until(|| echoed(b"abc") == b"abccrc32 352441c2\n"), "{:?}", echoed(b"abc"));
    let large: Vec<u8> = (0..4_000_003u32).map(|at| (at % 251) as u8).collect();
    let back = echoed(&large);
    assert!(back.starts_with(&large) && back[large.len()..].starts_with(b"crc32 "), "{} bytes", back.len());
    assert!(node.kill_node());
    assert!(reached(), "by another node");
    node.dwell(&["restart", "server"]).ok();
    assert!(wait_until(reached), "in its next run");
    assert_eq!(forwarding.interrupted(), 130);
}

/// The node's copy of the connection kept the Pod's network, and so its address, until the client left.
#[test]
fn a_client_that_says_nothing_does_not_keep_a_pod_that_is_gone() {
    let node = Node::new();
    let scope = dwell_tests::inventory::Scope::host(&node.state_dir()).without_files();
    node.start(&script(&node, "first", "echo hello > /tmp/file; exec httpd -f -p 127.0.0.1:8080 -h /tmp"));
    let forwarding = Forwarding::new(&node, &["first", ":8080"], 2);
    assert!(wait_until(|| !say(forwarding.dial("127.0.0.1", 0), b"GET /file HTTP/1.0\r\n\r\n").is_empty()));
    let mut silent = forwarding.dial("127.0.0.1", 0);
    silent.write_all(b"GET /fi").unwrap();
    node.start(&script(&node, "second", "exec sleep 600"));
    node.wait_for_phase("second", "Running");
    let pairs = || scope.take().count(" link-netnsid ");
    assert_eq!(pairs(), 2, "control: each Pod has a device");
    node.dwell(&["rm", "-f", "first"]).ok();
    assert!(wait_until(|| pairs() == 1), "its device is still there");
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0, "the client hears that it is over");
}

/// As `say`, for whoever answers before all was said.
fn say_while_it_answers(mut stream: TcpStream, text: &[u8]) -> Vec<u8> {
    let (mut speaking, text) = (stream.try_clone().unwrap(), text.to_vec());
    let speaker = std::thread::spawn(move || {
        let _ = speaking.write_all(&text).and_then(|()| speaking.shutdown(Shutdown::Write));
    });
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    speaker.join().unwrap();
    back
}

#[test]
fn a_wasm_server_is_reached_and_a_closed_port_is_said() {
    let node = Node::new();
    let module = dwell_tests::guest::path("http.wasm");
    let server =
        json!({"name": "main", "image": format!("wasm:{}", module.display()), "ports": [{"containerPort": 8081}]});
    node.start(&pod("handler", &[server], json!({})));
    let mut forwarding = Forwarding::new(&node, &["handler", ":8081", ":9", "--address", "127.0.0.1"], 2);
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answered =
        || String::from_utf8_lossy(&say(forwarding.dial("127.0.0.1", 0), request)).starts_with("HTTP/1.1 200");
    assert!(wait_until(answered));
    let refused = say(forwarding.dial("127.0.0.1", 1), b"");
    assert!(refused.is_empty());
    let mut said = String::new();
    forwarding.err.read_line(&mut said).unwrap();
    while !said.contains("port 9") {
        forwarding.err.read_line(&mut said).unwrap();
    }
    assert!(said.contains("Connection refused"), "{said}");
}

#[test]
fn a_forward_that_makes_no_sense_is_refused() {
    let node = Node::new();
    node.start(&script(&node, "there", "sleep 600"));
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = format!("{}:80", port.local_addr().unwrap().port());
    for (args, why) in [
        (["nobody", "80"], "no Pod named nobody"),
        (["there", "http"], "neither a port nor the name"),
        (["there", "80:x:y"], "neither a port nor the name"),
        (["there", "x:80"], "from 0 to 65535"),
        (["there", taken.as_str()], "Address already in use"),
    ] {
        let said = node.dwell(&[["port-forward"].as_slice(), &args].concat());
        assert!(said.code == 125 && said.err.contains(why), "{said:#?}");
    }
}
