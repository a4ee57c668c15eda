//! Proofs: tests of their own for what one look cannot tell, since it happens in time, over the network or from outside.
//!
//! A row names its proof; `complete` sees to it that each is there and each is named. Every proof is about both kinds of
//! member unless its name says otherwise, and has its control beside it: the same without the field, in the same Pod where
//! that can be.

mod added;
mod asked;
mod claims;
mod ends;
mod hooks;
mod host;
mod input;
mod ports;
mod probes;
mod recorder;
mod resolver;
mod rules;

use serde_json::{Value, json};

use crate::bench::Bench;

/// Makes a test of each function, and their list.
macro_rules! proofs {
    ($($module:ident: $($name:ident),*;)*) => {
        /// The names of all proofs.
        pub fn names() -> Vec<&'static str> {
            vec![$($(stringify!($name)),*),*]
        }

        mod tests {
            $($(#[test] fn $name() { super::$module::$name(); })*)*
        }
    };
}

proofs! {
    added: what_is_added_sees_the_processes_of_its_target, a_container_is_found_by_its_name_and_is_its_image,
        a_gate_is_opened_by_whoever_says_so, a_change_of_resources_restarts_whom_it_should;
    asked: servers_are_asked_over_http, servers_are_asked_over_https, servers_are_asked_for_a_connection, servers_are_asked_for_their_health,
        programs_are_run_beside_a_member, a_probe_finds_a_port_by_its_name;
    claims: a_claim_changes_hands_as_the_policy_says, later_mounts_are_seen_where_the_manifest_says_so;
    ends: a_pod_has_a_deadline, a_pod_gives_its_members_a_grace, the_signal_is_the_one_that_was_asked_for,
        a_probe_gives_a_grace_of_its_own;
    hooks: a_hook_waits, a_wasm_sidecar_lives_beside_the_members, a_sidecar_is_asked_as_a_member_is;
    host: a_wasm_member_is_in_the_hosts_namespaces;
    input: input_stays_open_or_closes_with_the_first_client;
    ports: ports_of_the_host_lead_to_a_native_server, ports_of_the_host_lead_to_a_wasm_server;
    probes: the_first_question_waits_and_the_others_follow, an_answer_may_take_so_long,
        so_many_bad_answers_change_something, so_many_good_answers_make_it_ready;
    resolver: a_wasm_member_asks_the_servers_that_the_manifest_names;
    rules: a_policy_says_what_follows_an_end, a_rule_says_what_follows_a_status;
}

/// The kinds of member, for what both must do.
const KINDS: [&str; 2] = ["native", "wasm"];
/// What may ask a member while it runs.
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// A container of that kind that does nothing until it is ended.
fn idle(bench: &Bench, kind: &str, name: &str, more: &Value) -> Value {
    match kind {
        "native" => bench.shell(name, "trap 'exit 0' TERM; while :; do sleep 0.1; done", more),
        _ => {
            let mut container = bench.container(name, "sleep.wasm", more);
            container["args"] = json!(["3600"]);
            container
        }
    }
}

/// One that ends with this status.
fn exits(bench: &Bench, kind: &str, name: &str, status: u8, more: &Value) -> Value {
    match kind {
        "native" => bench.shell(name, &format!("exit {status}"), more),
        _ => {
            let mut container = bench.container(name, "exit.wasm", more);
            container["args"] = json!([status.to_string()]);
            container
        }
    }
}
