//! Whom probes and hooks ask, and for what: a server in the Pod's network, one on the host, a program beside the member.
//!
//! One Pod has a member of each kind with all five questions. They begin once its servers listen: an init container waits
//! for that. The last one is asked when the Pod is stopped.

use std::path::Path;

use dwell_tests::node::wait_until;
use dwell_tests::world::Process;
use serde_json::{Value, json};

use super::recorder::{Answers, GOOD, HEALTH, Recorder, SECURE};
use super::{KINDS, PROBES, idle};
use crate::bench::{Bench, shared, status};
use crate::merge::merge;

/// What asks: three probes and two hooks.
const QUESTIONS: [&str; 5] = ["livenessProbe", "readinessProbe", "startupProbe", "postStart", "preStop"];

/// The container with this action for each of the questions.
fn asking(mut container: Value, questions: &[&str], action: &dyn Fn(usize) -> Value) -> Value {
    for (number, question) in questions.iter().enumerate() {
        let more = if PROBES.contains(question) { json!({*question: {"periodSeconds": 1}}) } else { json!({}) };
        merge(&mut container, &more);
        let into = if PROBES.contains(question) { &mut container } else { &mut container["lifecycle"] };
        merge(into, &json!({*question: action(number)}));
    }
    container
}

/// The process that keeps a Pod, whose network is the Pod's.
#[track_caller]
pub fn keeper(bench: &Bench, name: &str) -> i32 {
    let uid = bench.node.pod(name)["metadata"]["uid"].as_str().unwrap_or("none").to_owned();
    let title = format!("pause default/{name}");
    let of_pod =
        |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(&uid));
    let found = Process::all().into_iter().find(|one| one.command == title && of_pod(one.pid));
    found.expect("the Pod's first process").pid
}

/// Starts a Pod whose members wait, puts the servers into its network, and lets the members begin.
#[track_caller]
pub fn begun(bench: &Bench, name: &str, containers: &[Value], ports: &[(u16, Answers)]) -> Recorder {
    begun_with(bench, name, containers, &json!({}), ports)
}

/// The same with more in the spec.
#[track_caller]
pub fn begun_with(bench: &Bench, name: &str, containers: &[Value], more: &Value, ports: &[(u16, Answers)]) -> Recorder {
    gated(bench, name, containers, more);
    let recorder = Recorder::inside(keeper(bench, name), ports);
    open(bench, name);
    recorder
}

/// Starts a Pod whose members wait at an init container's gate.
#[track_caller]
pub fn gated(bench: &Bench, name: &str, containers: &[Value], more: &Value) {
    let gate = bench.shell("gate", "until [ -e /go ]; do sleep 0.02; done", &json!({}));
    let mut spec = json!({"initContainers": [gate], "terminationGracePeriodSeconds": 30});
    merge(&mut spec, more);
    bench.start(&bench.pod(name, containers, &spec));
    bench.node.wait_for(name, "its gate", |pod| status(pod, "gate")["state"]["running"].is_object());
}

/// Lets them begin. The gate may be gone, and what ran in it ended with it, before the program has said that it is done.
#[track_caller]
pub fn open(bench: &Bench, name: &str) {
    let said = bench.node.dwell(&["exec", name, "-c", "gate", "--", "touch", "/go"]);
    assert!([0, 137].contains(&said.code), "{said:#?}");
}

/// Waits until a condition holds; says of which Pod it did not.
#[track_caller]
pub fn comes(bench: &Bench, name: &str, what: &str, condition: impl Fn() -> bool) {
    assert!(wait_until(condition), "{name}: {what} did not come: {:#}", bench.node.pod(name)["status"]);
}

/// The port of a kind's question.
fn port(base: u16, kind: &str, question: usize) -> u16 {
    base + if kind == "native" { 0 } else { 10 } + question as u16
}

fn all_good(_: usize) -> Option<&'static str> {
    Some(GOOD)
}

fn ports(base: u16) -> Vec<(u16, Answers)> {
    let of = |kind: &'static str| {
        (0..QUESTIONS.len()).map(move |question| (port(base, kind, question), all_good as Answers))
    };
    KINDS.into_iter().flat_map(of).collect()
}

/// Runs a Pod of both kinds, stops it when all but the last question have come, and gives back what was asked.
fn asked(name: &str, base: u16, questions: &[&str], action: &dyn Fn(&str, usize) -> Value) -> Recorder {
    let bench = shared();
    let member = |kind| asking(idle(&bench, kind, kind, &json!({})), questions, &|number| action(kind, number));
    let recorder = begun(&bench, name, &KINDS.map(member), &ports(base));
    let came = |numbers: std::ops::Range<usize>| {
        KINDS.iter().all(|kind| numbers.clone().all(|number| recorder.count(port(base, kind, number)) > 0))
    };
    comes(&bench, name, "a question", || came(0..questions.len().min(4)));
    bench.node.dwell(&["stop", name]).ok();
    assert!(came(0..questions.len()), "{name}: a question before the end did not come");
    bench.remove(name);
    recorder
}

/// Every question of either kind, and what its server saw first.
fn first(recorder: &Recorder, base: u16, questions: usize) -> Vec<(String, String)> {
    let of = |kind: &'static str| (0..questions).map(move |number| (kind, number));
    let seen = |(kind, number): (&str, usize)| {
        let seen = recorder.seen(port(base, kind, number)).into_iter().next().unwrap_or_default();
        (format!("{kind}-{number}"), seen)
    };
    KINDS.into_iter().flat_map(of).map(seen).collect()
}

pub fn servers_are_asked_over_http() {
    let with = asked("asked-http", 9000, &QUESTIONS, &|kind, number| {
        let headers = json!([{"name": "X-Mark", "value": format!("{kind}-{number}-value")}]);
        json!({"httpGet": {"port": port(9000, kind, number), "path": format!("/{kind}-{number}"), "httpHeaders": headers}})
    });
    for (mark, seen) in first(&with, 9000, QUESTIONS.len()) {
        let seen = seen.to_lowercase();
        assert!(seen.starts_with(&format!("get /{mark} http/1.1\r\n")), "{seen}");
        assert!(seen.contains(&format!("x-mark: {mark}-value\r\n")), "{seen}");
    }
    let (host, host_port) = Recorder::host(all_good);
    let without = asked(
        "asked-http-plain",
        9000,
        &QUESTIONS,
        &|kind, number| json!({"httpGet": {"port": port(9000, kind, number)}}),
    );
    for (_, seen) in first(&without, 9000, QUESTIONS.len()) {
        assert!(seen.starts_with("GET / HTTP/1.1\r\n") && !seen.to_lowercase().contains("x-mark"), "control: {seen}");
    }
    assert_eq!(host.count(host_port), 0, "control: without a host the Pod is asked");
    at_the_host("asked-http-host", &|path| json!({"httpGet": {"host": "127.0.0.1", "port": host_port, "path": path}}));
    let seen = host.seen(host_port).join("\n");
    for path in KINDS.iter().flat_map(|kind| (0..QUESTIONS.len()).map(move |number| format!("GET /{kind}-{number} "))) {
        assert!(seen.contains(&path), "{path}: {seen}");
    }
}

/// The server's certificate is no good at all, and is not looked at; that what came was TLS is the server's word.
pub fn servers_are_asked_over_https() {
    let get = |kind: &str, number: usize, scheme: &str| {
        let (port, path) = (port(SECURE, kind, number), format!("/{kind}-{number}"));
        json!({"httpGet": {"scheme": scheme, "port": port, "path": path}})
    };
    let with = asked("asked-https", SECURE, &QUESTIONS, &|kind, number| get(kind, number, "HTTPS"));
    for (mark, seen) in first(&with, SECURE, QUESTIONS.len()) {
        assert!(seen.to_lowercase().starts_with(&format!("get /{mark} http/1.1\r\n")), "{seen}");
    }
    let plain = asked("asked-not-https", SECURE, &QUESTIONS[1..2], &|kind, number| get(kind, number, "HTTP"));
    for (mark, seen) in first(&plain, SECURE, 1) {
        assert_eq!(seen, "", "control: {mark} does not shake hands");
    }
}

/// The same questions, to a server outside the Pod.
fn at_the_host(name: &str, action: &dyn Fn(&str) -> Value) {
    let bench = shared();
    let member =
        |kind| asking(idle(&bench, kind, kind, &json!({})), &QUESTIONS, &|number| action(&format!("/{kind}-{number}")));
    bench.start(&bench.pod(name, &KINDS.map(member), &json!({"terminationGracePeriodSeconds": 30})));
    let ready = |pod: &Value, kind: &str| status(pod, kind)["ready"] == true;
    bench.node.wait_for(name, "good answers", |pod| KINDS.iter().all(|kind| ready(pod, kind)));
    bench.node.dwell(&["stop", name]).ok();
    bench.remove(name);
}

/// The member that asks at the host is ready although nobody in its Pod listens; the one that asks its Pod is not.
pub fn servers_are_asked_for_a_connection() {
    asked("asked-tcp", 9100, &QUESTIONS, &|kind, number| json!({"tcpSocket": {"port": port(9100, kind, number)}}));
    let (host, host_port) = Recorder::host(all_good);
    let action = |_: &str| json!({"tcpSocket": {"host": "127.0.0.1", "port": host_port}});
    at_the_host("asked-tcp-host", &action);
    assert!(host.count(host_port) >= 2 * QUESTIONS.len(), "{}", host.count(host_port));
    let bench = shared();
    for question in QUESTIONS.iter().take(4) {
        let member = |kind| {
            asking(idle(&bench, kind, kind, &json!({})), &[question], &|_| json!({"tcpSocket": {"port": host_port}}))
        };
        bench.start(&bench.pod("asked-tcp-nobody", &KINDS.map(member), &json!({})));
        bench.node.wait_for("asked-tcp-nobody", question, |_| {
            KINDS.iter().all(|kind| bench.told("asked-tcp-nobody", kind, "refused"))
        });
        bench.remove("asked-tcp-nobody");
    }
}

pub fn servers_are_asked_for_their_health() {
    let question = |kind: &str, number| json!({"grpc": {"port": port(HEALTH, kind, number), "service": format!("service-{kind}-{number}")}});
    let with = asked("asked-health", HEALTH, &PROBES, &question);
    for (mark, seen) in first(&with, HEALTH, PROBES.len()) {
        assert!(seen.contains(&format!("service-{mark}")), "{seen:?}");
    }
    let without = asked(
        "asked-health-plain",
        HEALTH,
        &PROBES,
        &|kind, number| json!({"grpc": {"port": port(HEALTH, kind, number)}}),
    );
    for (_, seen) in first(&without, HEALTH, PROBES.len()) {
        assert!(seen.starts_with("PRI * HTTP/2.0") && !seen.contains("service-"), "control: {seen:?}");
    }
}

/// Beside a Wasm member it is another module: its own image, by the name of its file.
pub fn programs_are_run_beside_a_member() {
    let bench = shared();
    let folder = bench.node.files().join("marks");
    std::fs::create_dir(&folder).expect("make a folder");
    let mounts = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let native = asking(
        idle(&bench, "native", "native", &mounts),
        &QUESTIONS,
        &|number| json!({"exec": {"command": ["touch", format!("/v/native-{number}")]}}),
    );
    let mut waits = bench.container("wasm", "files.wasm", &mounts);
    waits["args"] = json!(["wait", "/v/never"]);
    let wasm = asking(
        waits.clone(),
        &QUESTIONS,
        &|number| json!({"exec": {"command": ["files.wasm", "write", format!("/v/wasm-{number}"), "x"]}}),
    );
    waits["name"] = json!("plain");
    let volumes =
        json!({"terminationGracePeriodSeconds": 30, "volumes": [{"name": "v", "hostPath": {"path": folder}}]});
    bench.start(&bench.pod("asked-programs", &[native, wasm, waits], &volumes));
    let made = |number: usize| KINDS.iter().all(|kind| folder.join(format!("{kind}-{number}")).exists());
    comes(&bench, "asked-programs", "a mark", || (0..4).all(made));
    assert!(!made(4), "nobody has asked for the end");
    bench.node.dwell(&["stop", "asked-programs"]).ok();
    assert!(made(4), "the last mark is made before the end");
    assert_eq!(count(&folder), 10, "and none but these");
    bench.remove("asked-programs");
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("a folder").count()
}

/// Without the name there is no such port, and the manifest is refused.
pub fn a_probe_finds_a_port_by_its_name() {
    let bench = shared();
    let named = |kind: &str, ports: Value| {
        let probe = json!({"ports": ports, "readinessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 1}});
        idle(&bench, kind, kind, &probe)
    };
    let port = |kind: &str| json!([{"name": "web", "containerPort": port(9300, kind, 0)}]);
    let recorder = begun(&bench, "asked-by-name", &KINDS.map(|kind| named(kind, port(kind))), &ports(9300));
    comes(&bench, "asked-by-name", "a question", || {
        KINDS.iter().all(|kind| recorder.count(self::port(9300, kind, 0)) > 0)
    });
    bench.remove("asked-by-name");
    for kind in KINDS {
        let pod = bench.pod("asked-nobody", &[named(kind, json!([{"containerPort": 9300}]))], &json!({}));
        let said = bench.node.run(&pod.to_string());
        assert!(said.code != 0 && said.err.contains("web"), "control: {said:#?}");
    }
}
