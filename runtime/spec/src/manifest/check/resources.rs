//! Requests and limits.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

use super::{Problems, huge_pages};
use crate::manifest::problem::{Cause, Problem};
use crate::manifest::suggest;
use crate::pod::{Container, Resources, at_one_time};
use crate::quantity::Quantity;

const STORAGE: &str = "ephemeral-storage";
const HONOURED: [&str; 3] = ["cpu", "memory", STORAGE];

pub(super) type Quantities = BTreeMap<String, Written>;

/// The kernel ends whoever is put into less, before a program of its own has begun.
const MEMORY_MIN: u64 = 1 << 20;

/// A limit of 0 is no limit, and a request that is not given is the limit (SetDefaults_Pod).
pub fn check(resources: Option<&ResourceRequirements>, path: &str, out: &mut Problems) -> Resources {
    let nothing = Quantities::new();
    let limits = resources.and_then(|r| r.limits.as_ref()).unwrap_or(&nothing);
    let requests = resources.and_then(|r| r.requests.as_ref()).unwrap_or(&nothing);
    let (limits_path, requests_path) = (format!("{path}.resources.limits"), format!("{path}.resources.requests"));
    check_names(limits, &limits_path, out);
    check_names(requests, &requests_path, out);
    let mut both = |name: &str| {
        let limit = quantity(limits, name, &limits_path, out);
        let request = quantity(requests, name, &requests_path, out);
        check_order(name, limits, requests, (limit, request), &requests_path, out);
        (limit, request.or(limit))
    };
    let (cpu_limit, cpu_request) = both("cpu");
    let (memory_limit, memory_request) = both("memory");
    let (storage_limit, storage_request) = both(STORAGE);
    let limited = |amount: u64| (amount > 0).then_some(amount);
    if let Some(least) = memory_limit.map(Quantity::units).and_then(limited).filter(|limit| *limit < MEMORY_MIN) {
        let path = format!("{limits_path}[memory]");
        out.push(Problem::invalid(path, &least.to_string(), "must be at least 1Mi: no process lives with less"));
    }
    Resources {
        cpu_limit_millis: cpu_limit.map(Quantity::millis).and_then(limited),
        cpu_request_millis: cpu_request.map(Quantity::millis),
        memory_limit: memory_limit.map(Quantity::units).and_then(limited),
        memory_request: memory_request.map(Quantity::units),
        storage_limit: storage_limit.map(Quantity::units).and_then(limited),
        storage_request: storage_request.map(Quantity::units),
        huge_pages: huge_pages::check(limits, requests, &format!("{path}.resources"), out),
        pids_limit: None,
    }
}

/// What the Pod as a whole asks for. A request that is not given is the sum of the containers', else the limit; no
/// container may have more than the Pod. Source: validatePodResources, defaults.go (SetPodResourceDefaults).
pub fn of_pod(spec: &PodSpec, inits: &[Container], regular: &[Container], out: &mut Problems) -> Option<Resources> {
    let source = spec.resources.as_ref()?;
    let is_given = |list: &Option<Quantities>, name: &str| list.as_ref().is_some_and(|list| list.contains_key(name));
    let found = out.len();
    let mut own = check(Some(source), "spec", out);
    for (list, path) in [(&source.limits, "limits"), (&source.requests, "requests")] {
        if is_given(list, STORAGE) {
            let path = format!("spec.resources.{path}[{STORAGE}]");
            out.push(Problem::unsupported(path, STORAGE, &["cpu", "memory"]));
        }
    }
    let says_nothing = |list: &Option<Quantities>| list.as_ref().is_none_or(BTreeMap::is_empty);
    if out.len() > found || says_nothing(&source.limits) && says_nothing(&source.requests) {
        return None;
    }
    let given = |name| is_given(&source.requests, name);
    let (cpu, memory) = (&mut own.cpu_request_millis, &mut own.memory_request);
    for (of, request, limit) in [(CPU, cpu, own.cpu_limit_millis), (MEMORY, memory, own.memory_limit)] {
        let sum = of.sum(inits, regular);
        *request = if given(of.name) { *request } else { sum.or(limit) };
        of.check_request(*request, (sum, limit), out);
        of.check_limits(regular, limit, out);
    }
    huge_pages::check_sums(&own, inits, regular, out);
    Some(own)
}

/// One of the two resources that a Pod may have of its own.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    request: fn(&Resources) -> Option<u64>,
    limit: fn(&Resources) -> Option<u64>,
    unit: &'static str,
}

const CPU: Kind = Kind { name: "cpu", request: |r| r.cpu_request_millis, limit: |r| r.cpu_limit_millis, unit: "m" };
const MEMORY: Kind = Kind { name: "memory", request: |r| r.memory_request, limit: |r| r.memory_limit, unit: "" };

impl Kind {
    fn shown(self, amount: u64) -> String {
        format!("{amount}{}", self.unit)
    }

    /// What the containers ask for at one time, if one asks.
    fn sum(self, inits: &[Container], regular: &[Container]) -> Option<u64> {
        let asked = |container: &Container| (self.request)(&container.resources);
        let one_asks = inits.iter().chain(regular).any(|container| asked(container).is_some());
        one_asks.then(|| at_one_time(inits, regular, |container| asked(container).unwrap_or(0)))
    }

    fn check_request(self, request: Option<u64>, (sum, limit): (Option<u64>, Option<u64>), out: &mut Problems) {
        let Some(request) = request else { return };
        let mut refuse = |why: String| {
            let path = format!("spec.resources.requests[{}]", self.name);
            out.push(Problem::invalid(path, &self.shown(request), &why));
        };
        if let Some(sum) = sum.filter(|sum| *sum > request) {
            refuse(format!("must be greater than or equal to aggregate container requests of {}", self.shown(sum)));
        }
        if let Some(limit) = limit.filter(|limit| *limit < request) {
            refuse(format!("must be less than or equal to {} limit of {}", self.name, self.shown(limit)));
        }
    }

    fn check_limits(self, regular: &[Container], limit: Option<u64>, out: &mut Problems) {
        for (n, container) in regular.iter().enumerate() {
            let both = (self.limit)(&container.resources).zip(limit);
            if let Some((own, limit)) = both.filter(|(own, limit)| own > limit) {
                let path = format!("spec.containers[{n}].resources.limits[{}]", self.name);
                let why = format!("must be less than or equal to pod limits of {}", self.shown(limit));
                out.push(Problem::invalid(path, &self.shown(own), &why));
            }
        }
    }
}

/// How members come to a device here.
const NO_PLUGINS: &str = "such resources come from a cluster's device plugins; a hostPath of type CharDevice or \
                          BlockDevice gives a device";

fn check_names(quantities: &Quantities, path: &str, out: &mut Problems) {
    let is_honoured = |name: &String| HONOURED.contains(&name.as_str()) || huge_pages::is_resource(name);
    for name in quantities.keys().filter(|name| !is_honoured(name)) {
        let path = format!("{path}[{name}]");
        let known = name == "storage" || name.contains('/');
        if known {
            out.push(Problem::refused(path, NO_PLUGINS));
        } else {
            let near = suggest::nearest(name, HONOURED).map(|near| format!("did you mean {near}?"));
            let problem = Problem::invalid(path, name, "must be a standard resource type or fully qualified");
            out.push(Problem { hint: near, ..problem });
        }
    }
}

pub(super) fn quantity(quantities: &Quantities, name: &str, path: &str, out: &mut Problems) -> Option<Quantity> {
    let text = &quantities.get(name)?.0;
    let path = format!("{path}[{name}]");
    match Quantity::parse(text) {
        Err(error) => out.push(Problem { hint: spelling(text), ..Problem::invalid(path, text, &error.to_string()) }),
        Ok(q) if q.is_negative() => out.push(Problem::invalid(path, text, "must be greater than or equal to 0")),
        Ok(q) if name != "cpu" && !q.is_whole() => out.push(fraction(path, text)),
        Ok(q) => return Some(q),
    }
    None
}

/// `512m` of memory is half a byte; nobody means that.
fn fraction(path: String, text: &str) -> Problem {
    let problem = Problem::invalid(path, text, "fractional byte value is invalid, must be an integer");
    match text.strip_suffix('m') {
        Some(number) => problem.with_hint(format!("`m` means thousandths; did you mean {number}Mi?")),
        None => problem,
    }
}

/// Spellings of other tools.
fn spelling(text: &str) -> Option<String> {
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, suffix) = text.split_at(end);
    let meant = match suffix.to_lowercase().as_str() {
        "k" | "kb" | "kib" => "Ki",
        "mb" | "mib" => "Mi",
        "g" | "gb" | "gi" | "gib" => "Gi",
        "t" | "tb" | "ti" | "tib" => "Ti",
        "mi" => "Mi",
        "ki" => "Ki",
        _ => return None,
    };
    Some(format!("did you mean {}{meant}?", number.trim()))
}

fn check_order(
    name: &str,
    limits: &Quantities,
    requests: &Quantities,
    (limit, request): (Option<Quantity>, Option<Quantity>),
    path: &str,
    out: &mut Problems,
) {
    let (Some(limit), Some(request)) = (limit, request) else {
        return;
    };
    if request > limit {
        let why = format!("must be less than or equal to {name} limit of {}", limits[name].0);
        let message = format!("Invalid value: \"{}\": {why}", requests[name].0);
        out.push(Problem::new(Cause::Invalid, format!("{path}[{name}]"), message));
    }
}
