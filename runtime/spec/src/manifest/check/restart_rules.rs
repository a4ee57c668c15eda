//! `restartPolicyRules`: what follows some exit statuses.
//!
//! Source: validateContainerRestartPolicy, validateContainerRestartRules.

use k8s_openapi::api::core::v1;

use super::Problems;
use crate::manifest::problem::Problem;
use crate::pod::{RestartAction, RestartRule};

/// Rules of one container at most.
const RULES: usize = 20;
/// Exit statuses of one rule at most.
const STATUSES: usize = 255;

pub fn check(source: &v1::Container, path: &str, out: &mut Problems) -> Vec<RestartRule> {
    let rules = source.restart_policy_rules.as_deref().unwrap_or_default();
    if !rules.is_empty() && source.restart_policy.as_deref().is_none_or(str::is_empty) {
        let why = "must specify restartPolicy when restart rules are used";
        out.push(Problem::required(format!("{path}.restartPolicy"), why));
    }
    let path = format!("{path}.restartPolicyRules");
    at_most(rules.len(), RULES, &path, out);
    let each = rules.iter().enumerate();
    each.filter_map(|(n, rule)| one(rule, &format!("{path}[{n}]"), out)).collect()
}

fn one(rule: &v1::ContainerRestartRule, path: &str, out: &mut Problems) -> Option<RestartRule> {
    let action = match rule.action.as_str() {
        "Restart" => Some(RestartAction::Container),
        "RestartAllContainers" => Some(RestartAction::All),
        other => {
            let known = ["Restart", "RestartAllContainers"];
            out.push(Problem::unsupported(format!("{path}.action"), other, &known));
            None
        }
    };
    let path = format!("{path}.exitCodes");
    let Some(codes) = &rule.exit_codes else {
        out.push(Problem::required(path, "must be specified"));
        return None;
    };
    let listed = match codes.operator.as_str() {
        "In" => Some(true),
        "NotIn" => Some(false),
        other => {
            out.push(Problem::unsupported(format!("{path}.operator"), other, &["In", "NotIn"]));
            None
        }
    };
    let statuses = codes.values.clone().unwrap_or_default();
    at_most(statuses.len(), STATUSES, &format!("{path}.values"), out);
    for (n, status) in statuses.iter().enumerate().filter(|(n, status)| statuses[..*n].contains(status)) {
        out.push(Problem::duplicate(format!("{path}.values[{n}]"), &status.to_string()));
    }
    Some(RestartRule { action: action?, listed: listed?, statuses })
}

fn at_most(number: usize, most: usize, path: &str, out: &mut Problems) {
    if number > most {
        out.push(Problem::invalid_number(path, number as i64, &format!("must have at most {most} items")));
    }
}
