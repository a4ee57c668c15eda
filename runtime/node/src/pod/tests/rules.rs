//! Puts the rows of `rules.txt` to the functions that the driver asks: a section, a test. What stands here only reads the
//! situation and says the answer in words; it must never decide anything itself.

use dwell_spec::pod::Timing;
use dwell_spec::status::{PodStatus, SaidCondition, to_v1_status};

use super::notation::{NOW, SECOND, Scene, container, ended, policy, probe};
use super::table::{check, kept_by, sections};
use crate::pod::members::reason_of;
use crate::pod::status::{Around, pod_status};
use crate::report::Report;
use crate::supervise::backoff::Backoff;
use crate::supervise::decide::{after_pause_death, decide};
use crate::supervise::journal::{Intent, Member, MemberState, Next, Stopping};
use crate::supervise::prober::Prober;

#[test]
fn what_follows_an_end() {
    check("follows", |cells| {
        let [pod_policy, own, status, by] = cells[..] else { panic!("{cells:?}") };
        let member = Member::new(&container(&format!("c0{}", own.trim_start_matches('-'))), false);
        let mut end = ended(status.parse().expect("a status"), NOW);
        match by {
            "itself" => {}
            "a probe" => end.unhealthy = true,
            "a change" => end.replaced = true,
            other => panic!("{other} is not known"),
        }
        match member.follows(&end, policy(pod_policy)) {
            Next::Rest => "nothing",
            Next::Restart => "it is started again",
            Next::RestartAll => "all begin again",
        }
        .into()
    });
}

#[test]
fn how_long_a_restart_waits() {
    check("back-off", |cells| {
        let run: u64 = cells[0].parse().expect("seconds");
        let (mut backoff, mut began, mut waits) = (Backoff::default(), NOW, Vec::new());
        for _ in 0..waited(cells[0]) {
            let finished = began + run * SECOND;
            began = backoff.ready_at(finished);
            waits.push(((began - finished) / SECOND).to_string());
            backoff.advance(finished, began);
        }
        waits.join(" ")
    });
}

/// How many restarts a row of back-offs looks at.
fn waited(run: &str) -> usize {
    if matches!(run, "601" | "3600") { 4 } else { 9 }
}

#[test]
fn what_is_done_next() {
    check("next", |cells| {
        let [pod_policy, members] = cells[..] else { panic!("{cells:?}") };
        let scene = Scene::read(pod_policy, members);
        scene.say(&decide(&scene.journal, scene.rules(), NOW))
    });
}

#[test]
fn how_a_pod_is_stopped() {
    check("stop", |cells| {
        let [grace, ago, members] = cells[..] else { panic!("{cells:?}") };
        let mut scene = Scene::read("Always", members);
        let since_ns = NOW - ago.parse::<u64>().expect("seconds") * SECOND;
        scene.journal.intent = Intent::Stop(Stopping::new(since_ns, grace.parse().expect("seconds")));
        scene.say(&decide(&scene.journal, scene.rules(), NOW))
    });
}

#[test]
fn how_long_a_pod_may_be_active() {
    check("deadline", |cells| {
        let [deadline, active, members] = cells[..] else { panic!("{cells:?}") };
        let mut scene = Scene::read("Always", members);
        scene.pod.active_deadline_seconds = deadline.parse().ok();
        scene.journal.created_ns = NOW - active.parse::<u64>().expect("seconds") * SECOND;
        scene.say(&decide(&scene.journal, scene.rules(), NOW))
    });
}

#[test]
fn a_second_stop_only_shortens() {
    check("patience", |cells| {
        let [first, later, second] =
            cells.iter().map(|cell| cell.parse::<u32>().expect("seconds")).collect::<Vec<_>>()[..]
        else {
            panic!("{cells:?}")
        };
        let mut scene = Scene::read("Always", "c0=up");
        scene.journal.wish(first, Intent::Stop, NOW);
        scene.journal.wish(second, Intent::Remove, NOW + u64::from(later) * SECOND);
        let stopping = scene.journal.intent.stopping().expect("a stop");
        ((stopping.kill_at_ns - NOW) / SECOND).to_string()
    });
}

/// A Pod as its readers see it.
fn shown(scene: &Scene, also: &str) -> PodStatus {
    let mut journal = scene.journal.clone();
    match also {
        "-" | "no sandbox" | "gate" | "gate open" => {}
        "stopped" => journal.intent = Intent::Stop(Stopping::new(NOW, 0)),
        "all" => journal.intent = Intent::RestartAll(Stopping::new(NOW, 0)),
        "finished" => journal.finished = true,
        "DeadlineExceeded" | "Evicted" => {
            journal.intent = Intent::Stop(Stopping::new(NOW, 0));
            journal.reason = Some((also.into(), String::new()));
        }
        other => panic!("{other} is not known"),
    }
    if also == "gate open" {
        journal.hear(SaidCondition { kind: "a.b/c".into(), status: "True".into(), reason: None, message: None });
    }
    pod_status(&scene.pod, &journal, &Around { node: "n", host_ips: &[], sandbox: also != "no sandbox" })
}

#[test]
fn which_phase_a_pod_is_in() {
    check("phase", |cells| {
        let [pod_policy, members, also] = cells[..] else { panic!("{cells:?}") };
        let scene = Scene::read(pod_policy, members);
        shown(&scene, also).phase(&scene.pod).as_str().into()
    });
}

#[test]
fn which_conditions_hold() {
    check("conditions", |cells| {
        let [pod_policy, members, also, kind] = cells[..] else { panic!("{cells:?}") };
        let mut scene = Scene::read(pod_policy, members);
        if also.starts_with("gate") {
            scene.pod.readiness_gates = vec!["a.b/c".into()];
        }
        let all = to_v1_status(&scene.pod, &shown(&scene, also), None, NOW as i64).conditions.unwrap_or_default();
        let Some(found) = all.into_iter().find(|one| one.type_ == kind) else { return "absent".into() };
        let reason = found.reason.map_or(String::new(), |reason| format!(", {reason}"));
        let message = found.message.unwrap_or_default();
        let names =
            message.split_once('[').map_or(String::new(), |(_, names)| format!(": {}", names.trim_end_matches(']')));
        format!("{}{reason}{names}", found.status)
    });
}

#[test]
fn how_a_container_is_shown() {
    check("states", |cells| {
        let [pod_policy, members, also] = cells[..] else { panic!("{cells:?}") };
        let scene = Scene::read(pod_policy, members);
        let status = to_v1_status(&scene.pod, &shown(&scene, also), None, NOW as i64);
        let lists = [status.init_container_statuses, status.container_statuses, status.ephemeral_container_statuses];
        let last = lists.into_iter().flatten().flatten().last().expect("a container");
        let state = last.state.unwrap_or_default();
        let terminated = |end: k8s_openapi::api::core::v1::ContainerStateTerminated| {
            format!("{} {}", end.exit_code, end.reason.unwrap_or_default())
        };
        let mut words = vec![match (state.waiting, state.running, state.terminated) {
            (Some(waiting), None, None) => format!("waiting {}", waiting.reason.unwrap_or_default()),
            (None, Some(_), None) => "running".into(),
            (None, None, Some(end)) => format!("terminated {}", terminated(end)),
            several => panic!("one state at a time: {several:?}"),
        }];
        words.extend(last.started.unwrap_or(false).then(|| "started".into()));
        words.extend(last.ready.then(|| "ready".into()));
        words.extend(last.last_state.and_then(|last| last.terminated).map(|end| format!("last {}", terminated(end))));
        words.push(format!("restarts {}", last.restart_count));
        words.join(", ")
    });
}

#[test]
fn when_answers_make_a_verdict() {
    check("thresholds", |cells| {
        let [kind, good, bad, answers] = cells[..] else { panic!("{cells:?}") };
        let number = |cell: &str| cell.parse().expect("a number");
        let timing = Timing {
            initial_delay_seconds: 0,
            period_seconds: 1,
            timeout_seconds: 1,
            success_threshold: number(good),
            failure_threshold: number(bad),
        };
        let mut prober = Prober::new(probe(kind), timing, NOW);
        let verdicts = answers.split_whitespace().map(|answer| match prober.hears(answer == "+") {
            None => ".",
            Some(true) => "+",
            Some(false) => "-",
        });
        verdicts.collect::<Vec<_>>().join(" ")
    });
}

#[test]
fn what_a_verdict_changes() {
    check("verdicts", |cells| {
        let [state, verdict] = cells[..] else { panic!("{cells:?}") };
        let mut scene = Scene::read("Always", &format!("c0={state}"));
        let (kind, good) = verdict.split_once(' ').expect("a probe and its verdict");
        let member = &mut scene.journal.members[0];
        // As it wants both when it waits for the one and then for the other.
        if member.probe_says(probe(kind), good == "+") {
            return "is ended".into();
        }
        let said = [member.health.started.then_some("started"), member.health.ready.then_some("ready")];
        let said: Vec<_> = said.into_iter().flatten().collect();
        if said.is_empty() { "nothing".into() } else { said.join(", ") }
    });
}

#[test]
fn who_is_asked_when() {
    check("asked", |cells| {
        let [state, pod] = cells[..] else { panic!("{cells:?}") };
        let scene = Scene::read("Always", &format!("c0={state}"));
        let timing = Timing {
            initial_delay_seconds: 0,
            period_seconds: 1,
            timeout_seconds: 1,
            success_threshold: 1,
            failure_threshold: 1,
        };
        let health = &scene.journal.members[0].health;
        let asked = |kind: &&str| Prober::new(probe(kind), timing, 0).due_ns(health, pod == "stops").is_some();
        let asked: Vec<&str> = ["startup", "liveness", "readiness"].into_iter().filter(|kind| asked(kind)).collect();
        if asked.is_empty() { "nobody".into() } else { asked.join(" ") }
    });
}

#[test]
fn what_follows_the_loss_of_a_sandbox() {
    check("sandbox", |cells| {
        let [pod_policy, members] = cells[..] else { panic!("{cells:?}") };
        let mut scene = Scene::read(pod_policy, members);
        if !after_pause_death(&mut scene.journal, policy(pod_policy), NOW) {
            return "finish".into();
        }
        let lives =
            |member: &Member| matches!(member.state, MemberState::Running { .. } | MemberState::Starting { .. });
        assert!(!scene.journal.members.iter().any(lives), "nobody outlives the sandbox");
        scene.say(&decide(&scene.journal, scene.rules(), NOW))
    });
}

#[test]
fn how_an_end_is_called() {
    check("ends", |cells| {
        let [status, known] = cells[..] else { panic!("{cells:?}") };
        let signal = status.strip_prefix("signal ").map(|number| number.parse::<i32>().expect("a signal"));
        let code = signal.map_or_else(|| status.parse().expect("a status"), |signal| 128 + signal);
        let report =
            |reason: &str, start_failed| Some(Report { reason: reason.into(), message: String::new(), start_failed });
        let report = match known {
            "start failed" => report("StartError", true),
            known => known.strip_prefix("report ").and_then(|reason| report(reason, false)),
        };
        let memory = (known == "out of memory").then(|| "the memory there was".to_owned());
        format!("{code} {}", reason_of(code, signal, memory, report).0)
    });
}

#[test]
fn every_section_is_asked_and_every_test_is_there() {
    let here = include_str!("rules.rs");
    for section in sections() {
        assert!(here.contains(&format!("check(\"{section}\"")), "nobody asks [{section}]");
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pods");
    for (rule, test) in kept_by() {
        let (module, name) = test.split_once("::").expect("MODULE::TEST");
        let text = std::fs::read_to_string(folder.join(format!("{module}.rs"))).expect("a module of tests/pods");
        assert!(text.contains(&format!("#[test]\nfn {name}() {{")), "{rule}: there is no test {test}");
    }
}
