//! What follows the end of a member: the Pod's policy, its own, and rules for some statuses.

use serde_json::{Value, json};

use super::{KINDS, exits};
use crate::bench::{shared, status};

/// Runs a Pod of both kinds that end with 3, and says how often each was started again once it was, or once all is over.
fn restarts(name: &str, spec: &Value, more: &Value) -> [bool; 2] {
    let bench = shared();
    bench.start(&bench.pod(name, &KINDS.map(|kind| exits(&bench, kind, kind, 3, more)), spec));
    let again = |pod: &Value, kind: &str| status(pod, kind)["restartCount"].as_i64().unwrap_or(0) > 0;
    let pod = bench.node.wait_for(name, "what follows", |pod| {
        pod["status"]["phase"] == "Failed" || KINDS.iter().all(|kind| again(pod, kind))
    });
    let found = KINDS.map(|kind| again(&pod, kind));
    bench.remove(name);
    found
}

pub fn a_policy_says_what_follows_an_end() {
    for (policy, again) in [("Never", false), ("OnFailure", true), ("Always", true)] {
        let of_pod = restarts("policy-of-pod", &json!({"restartPolicy": policy}), &json!({}));
        assert_eq!(of_pod, [again; 2], "{policy}");
        let of_container = restarts("policy-of-container", &json!({}), &json!({"restartPolicy": policy}));
        assert_eq!(of_container, [again; 2], "{policy} of the container, in a Pod whose is Never");
    }
}

/// The second action takes the other members along, which end well and would not begin again by themselves.
pub fn a_rule_says_what_follows_a_status() {
    let rule = |action: &str, operator: &str, values: Value| {
        let rule = json!({"action": action, "exitCodes": {"operator": operator, "values": values}});
        json!({"restartPolicy": "Never", "restartPolicyRules": [rule]})
    };
    for (operator, values, again) in
        [("In", json!([3]), true), ("In", json!([4]), false), ("NotIn", json!([4]), true), ("NotIn", json!([3]), false)]
    {
        let found = restarts("rule", &json!({}), &rule("Restart", operator, values.clone()));
        assert_eq!(found, [again; 2], "{operator} {values}");
    }
    let bench = shared();
    for kind in KINDS {
        for (action, all) in [("RestartAllContainers", true), ("Restart", false)] {
            let name = format!("rule-{kind}");
            let fails = exits(&bench, kind, "fails", 3, &rule(action, "In", json!([3])));
            let lives = super::idle(&bench, "native", "lives", &json!({}));
            bench.start(&bench.pod(&name, &[fails, lives], &json!({})));
            let count = |pod: &Value, container: &str| status(pod, container)["restartCount"].as_i64().unwrap_or(0);
            let pod = bench
                .node
                .wait_for(&name, "another start", |pod| count(pod, "fails") > 0 && (!all || count(pod, "lives") > 0));
            assert_eq!(count(&pod, "lives") > 0, all, "{kind}, {action}: {:#}", pod["status"]);
            bench.remove(&name);
        }
    }
}
