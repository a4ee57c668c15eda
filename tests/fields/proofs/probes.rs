//! How often and how long probes ask, and how many answers change something. The answers are given by a server of the
//! test's, so that what follows is decided by their number, not by a clock; what has to do with time is seen by order.

use serde_json::{Value, json};

use super::asked::{begun, comes};
use super::recorder::{Answers, BAD, GOOD};
use super::{KINDS, PROBES, idle};
use crate::bench::{shared, status};
use crate::merge::merge;

/// Longer than any test.
const NEVER: u32 = 3600;

/// A member of each kind with the field and one without, each asked at a port of its own from `base` on.
fn pairs(base: u16, probe: &str, common: &Value, field: &Value) -> (Vec<Value>, Vec<(String, u16)>) {
    let (mut containers, mut ports) = (Vec::new(), Vec::new());
    for kind in KINDS {
        for (name, with) in [("with", true), ("without", false)] {
            let (name, port) = (format!("{kind}-{name}"), base + ports.len() as u16);
            let mut of = json!({"httpGet": {"port": port}});
            merge(&mut of, common);
            if with {
                merge(&mut of, field);
            }
            containers.push(idle(&shared(), kind, &name, &json!({probe: of})));
            ports.push((name, port));
        }
    }
    (containers, ports)
}

fn served(ports: &[(String, u16)], answers: Answers) -> Vec<(u16, Answers)> {
    ports.iter().map(|(_, port)| (*port, answers)).collect()
}

fn good(_: usize) -> Option<&'static str> {
    Some(GOOD)
}

fn bad(_: usize) -> Option<&'static str> {
    Some(BAD)
}

fn silence(_: usize) -> Option<&'static str> {
    None
}

fn good_twice(number: usize) -> Option<&'static str> {
    Some(if number <= 2 { GOOD } else { BAD })
}

fn good_once(number: usize) -> Option<&'static str> {
    Some(if number == 1 { GOOD } else { BAD })
}

/// A startup probe that was well asks no more, so it is told that it is not.
fn answers(probe: &str) -> Answers {
    if probe == "startupProbe" { bad } else { good }
}

pub fn the_first_question_waits_and_the_others_follow() {
    let bench = shared();
    for probe in PROBES {
        let name = format!("waits-{}", probe.to_lowercase());
        let patient = json!({"failureThreshold": 100});
        let each_second = json!({"failureThreshold": 100, "periodSeconds": 1});
        let (mut containers, delayed) = pairs(9000, probe, &each_second, &json!({"initialDelaySeconds": NEVER}));
        let (more, often) = pairs(9010, probe, &patient, &json!({"periodSeconds": 1}));
        containers.extend(more.into_iter().map(|mut container| {
            container["name"] = json!(format!("often-{}", container["name"].as_str().expect("a name")));
            container
        }));
        let all: Vec<_> = [delayed.clone(), often.clone()].concat();
        let recorder = begun(&bench, &name, &containers, &served(&all, answers(probe)));
        let count = |(_, port): &(String, u16)| recorder.count(*port);
        let pair = |list: &[(String, u16)], number: usize| (count(&list[2 * number]), count(&list[2 * number + 1]));
        comes(&bench, &name, "the fourth question", || {
            (0..2).all(|kind| pair(&delayed, kind).1 >= 4 && pair(&often, kind).0 >= 4)
        });
        for kind in 0..2 {
            assert_eq!(pair(&delayed, kind).0, 0, "{probe}: nobody asks within the delay");
            let (with, without) = pair(&often, kind);
            assert!(without < with, "{probe}: without a period it is asked each ten seconds: {without} of {with}");
        }
        bench.remove(&name);
    }
}

/// A silent server: who waits longer says so.
pub fn an_answer_may_take_so_long() {
    let bench = shared();
    for probe in PROBES {
        let name = format!("slow-{}", probe.to_lowercase());
        let common = json!({"failureThreshold": 100, "periodSeconds": 1});
        let (containers, ports) = pairs(9000, probe, &common, &json!({"timeoutSeconds": 2}));
        let _recorder = begun(&bench, &name, &containers, &served(&ports, silence));
        let told =
            |container: &str, seconds: u8| bench.told(&name, container, &format!("no answer within {seconds} s"));
        comes(&bench, &name, "what a late answer is called", || {
            ports.iter().all(|(container, _)| told(container, if container.ends_with("-with") { 2 } else { 1 }))
        });
        for (container, _) in &ports {
            assert!(!told(container, if container.ends_with("-with") { 1 } else { 2 }), "{probe}: {container}");
        }
        bench.remove(&name);
    }
}

pub fn so_many_bad_answers_change_something() {
    let bench = shared();
    for (probe, title) in [("livenessProbe", "liveness"), ("startupProbe", "startup")] {
        let name = format!("bad-{title}");
        let (containers, ports) = pairs(9000, probe, &json!({"periodSeconds": 1}), &json!({"failureThreshold": 2}));
        let _recorder = begun(&bench, &name, &containers, &served(&ports, bad));
        let pod = bench.node.wait_for_phase(&name, "Failed");
        for (container, _) in &ports {
            let times = if container.ends_with("-with") { 2 } else { 3 };
            let message = status(&pod, container)["state"]["terminated"]["message"].as_str().unwrap_or_default();
            assert!(message.starts_with(&format!("its {title} probe failed {times} times")), "{container}: {message}");
        }
        bench.remove(&name);
    }
    let (containers, ports) =
        pairs(9000, "readinessProbe", &json!({"periodSeconds": 1}), &json!({"failureThreshold": 100}));
    let recorder = begun(&bench, "bad-readiness", &containers, &served(&ports, good_once));
    let ready = |container: &str| status(&bench.node.pod("bad-readiness"), container)["ready"] == true;
    comes(&bench, "bad-readiness", "the end of readiness", || {
        let many = ports.iter().all(|(_, port)| recorder.count(*port) >= 6);
        many && ports.iter().all(|(container, _)| ready(container) == container.ends_with("-with"))
    });
    bench.remove("bad-readiness");
}

/// The server says so twice and then no more; a member that is ready stays so for long.
pub fn so_many_good_answers_make_it_ready() {
    let bench = shared();
    let common = json!({"periodSeconds": 1, "failureThreshold": 100});
    let (containers, ports) = pairs(9000, "readinessProbe", &common, &json!({"successThreshold": 3}));
    let recorder = begun(&bench, "good-readiness", &containers, &served(&ports, good_twice));
    comes(&bench, "good-readiness", "the fourth answer", || ports.iter().all(|(_, port)| recorder.count(*port) >= 5));
    let pod = bench.node.pod("good-readiness");
    for (container, _) in &ports {
        assert_eq!(status(&pod, container)["ready"], !container.ends_with("-with"), "{container}: {:#}", pod["status"]);
    }
    bench.remove("good-readiness");
}
