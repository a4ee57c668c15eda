//! Huge pages: `hugepages-SIZE` among requests and limits, and as the medium of an emptyDir.
//!
//! They are memory that is set aside for good, so a limit and its request are one, nobody has more than was asked for, and
//! none is given beyond what there is. Whether the kernel has pages of such a size is the planner's to say. Sources:
//! validateContainerResourceRequirements, validatePodResources; of the medium: the kubelet's pkg/volume/emptydir.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1;

use super::Problems;
use super::resources::{Quantities, quantity};
use crate::manifest::problem::Problem;
use crate::plan::NO_HUGE_PAGES;
use crate::pod::{Container, Medium, ResourceAmount, Resources, at_one_time};
use crate::quantity::{Quantity, binary};

const RESOURCE: &str = "hugepages-";
const MEDIUM: &str = "HugePages";

/// Whether a resource is one of huge pages.
pub fn is_resource(name: &str) -> bool {
    name.starts_with(RESOURCE)
}

/// Whether an emptyDir of this medium lies in huge pages.
pub fn is_medium(text: &str) -> bool {
    text.strip_prefix(MEDIUM).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// `limits.hugepages-SIZE` or `requests.hugepages-SIZE`.
pub fn amount(text: &str) -> Option<ResourceAmount> {
    let (list, name) = text.split_once('.')?;
    let page = page(name)?;
    match list {
        "limits" => Some(ResourceAmount::HugePagesLimit(page)),
        "requests" => Some(ResourceAmount::HugePagesRequest(page)),
        _ => None,
    }
}

/// Bytes of one page, as a resource's name says.
fn page(name: &str) -> Option<u64> {
    bytes(name.strip_prefix(RESOURCE)?)
}

fn bytes(text: &str) -> Option<u64> {
    let size = Quantity::parse(text).ok().filter(|size| size.is_whole())?;
    Some(size.units()).filter(|bytes| *bytes > 0)
}

/// The sizes that anybody in the Pod asks for.
pub fn sizes(spec: &v1::PodSpec) -> BTreeSet<u64> {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let resources = containers.filter_map(|container| container.resources.as_ref()).chain(&spec.resources);
    let lists = resources.flat_map(|resources| [&resources.limits, &resources.requests]).flatten();
    lists.flat_map(Quantities::keys).filter_map(|name| page(name)).collect()
}

/// What is asked for, by size; `path` is that of the resources.
pub fn check(limits: &Quantities, requests: &Quantities, path: &str, out: &mut Problems) -> BTreeMap<u64, u64> {
    let mut asked = BTreeMap::new();
    let of_list = |list: &Quantities| list.keys().filter(|name| is_resource(name)).cloned().collect::<BTreeSet<_>>();
    let (limited, requested) = (of_list(limits), of_list(requests));
    for name in &limited {
        if let Some(bytes) = pages(limits, name, &format!("{path}.limits"), out) {
            asked.extend(page(name).map(|page| (page, bytes)));
        }
    }
    for name in &requested {
        check_request(name, limits, requests, path, out);
    }
    let asks = !limited.is_empty() || !requested.is_empty();
    let names_other = |list: &Quantities| list.contains_key("cpu") || list.contains_key("memory");
    if asks && !names_other(limits) && !names_other(requests) {
        out.push(Problem::forbidden(path, "HugePages require cpu or memory"));
    }
    asked
}

/// Bytes of whole pages.
fn pages(list: &Quantities, name: &str, path: &str, out: &mut Problems) -> Option<u64> {
    let bytes = quantity(list, name, path, out)?.units();
    if page(name).is_some_and(|page| bytes.is_multiple_of(page)) {
        return Some(bytes);
    }
    let text = &list[name].0;
    let why = format!("{text} is not positive integer multiple of {name}");
    out.push(Problem::invalid(format!("{path}[{name}]"), text, &why));
    None
}

fn check_request(name: &str, limits: &Quantities, requests: &Quantities, path: &str, out: &mut Problems) {
    let request = pages(requests, name, &format!("{path}.requests"), out);
    let Some(limit) = limits.get(name) else {
        let path = format!("{path}.limits[{name}]");
        return out.push(Problem::required(path, "Limit must be set for non overcommitable resources"));
    };
    let limited = Quantity::parse(&limit.0).ok().map(Quantity::units);
    if request.zip(limited).is_some_and(|(request, limit)| request != limit) {
        let why = format!("must be equal to {name} limit of {}", limit.0);
        out.push(Problem::invalid(format!("{path}.requests[{name}]"), &requests[name].0, &why));
    }
}

/// A Pod that says how many it has as a whole has enough for its containers.
pub fn check_sums(own: &Resources, inits: &[Container], regular: &[Container], out: &mut Problems) {
    for (page, bytes) in &own.huge_pages {
        let of = |container: &Container| container.resources.huge_pages.get(page).copied().unwrap_or(0);
        let sum = at_one_time(inits, regular, of);
        if sum > *bytes {
            let path = format!("spec.resources.requests[{RESOURCE}{}]", binary(*page));
            let why = format!("must be greater than or equal to aggregate container requests of {}", binary(sum));
            out.push(Problem::invalid(path, &binary(*bytes), &why));
        }
    }
}

/// Of a Wasm member's resources: `path` is that of the container.
pub fn not_for_wasm(resources: &Resources, path: &str) -> Option<Problem> {
    let problem = || Problem::refused(format!("{path}.resources.limits"), NO_HUGE_PAGES);
    (!resources.huge_pages.is_empty()).then(problem)
}

/// `HugePages` or `HugePages-SIZE`, of which somebody in the Pod has some.
pub fn medium(text: &str, asked: &BTreeSet<u64>, path: &str, out: &mut Problems) -> Medium {
    let named = text.strip_prefix(MEDIUM).and_then(|rest| rest.strip_prefix('-'));
    let found = match named {
        Some(size) => bytes(size).filter(|page| asked.contains(page)),
        None => asked.first().copied(),
    };
    let fault = match (named, found) {
        (None, Some(_)) if asked.len() > 1 => {
            Some("can't be used if container requests multiple huge page sizes; name one: HugePages-<size>")
        }
        (_, None) => Some("hugePages storage requested, but there is no resource request for huge pages"),
        _ => None,
    };
    out.extend(fault.map(|fault| Problem::invalid(path, text, fault)));
    found.map_or(Medium::Disk, |page| Medium::HugePages { page })
}
