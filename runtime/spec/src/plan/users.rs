//! The Pod's user namespace (`hostUsers: false`): which ids of the host are its own, and how a member gets into it.
//!
//! Mounts are made and attached by the host's root, and the namespace is entered last, with a copy of the mount namespace
//! that it owns: so the rights of mounts are locked there, and a member's CAP_SYS_ADMIN cannot take them off (user_namespaces(7),
//! mount_namespaces(7)). Files that dwell makes on the way are the namespace's root's from the beginning. Ids on disk are those
//! that members see: mounts are mapped (mount_setattr(2)). Pure.

use super::container::FdSource;
use super::init::{Namespace, Op};
use super::mounts;
use super::refusal::{PlanError, Problem};
use super::steps::Steps;
use crate::facts::ContainerFacts;
use crate::pod::{Container, Pod};

/// Ids of one Pod.
pub const IDS: u32 = 65_536;
/// The first id of the first range. Above what systemd gives to containers, and below the sign bit.
pub const FIRST: u32 = 0x7000_0000;
/// How many ranges there are.
const RANGES: u32 = 4096;

/// A range that nobody has: the same one each time for the same Pod, if it can be had. `None`: all are taken.
pub fn choose(uid: &str, taken: impl Fn(u32) -> bool) -> Option<u32> {
    // FNV-1a: spread, so that Pods of other nodes on this machine seldom have the same.
    let hash = uid.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let ranges = (0..RANGES).map(|step| FIRST + (hash.wrapping_add(step) % RANGES) * IDS);
    ranges.into_iter().find(|first| !taken(*first))
}

/// An id of the namespace whose root is `first`, as the host has it; `None` if there is none such.
#[must_use]
pub fn of_host(first: u32, id: u32) -> Option<u32> {
    (id < IDS).then(|| first + id)
}

/// The host's id of the root of the Pod's namespace, if it has one.
pub(super) fn first(pod: &Pod, facts: &ContainerFacts) -> Option<u32> {
    (!pod.host_users).then(|| facts.users.unwrap_or(FIRST))
}

/// Makes the steps of a start, or of an exec, those of a member in the Pod's user namespace.
///
/// # Errors
/// A user or group that the namespace does not have.
pub(super) fn confine(
    steps: &mut Steps,
    pod: &Pod,
    container: &Container,
    facts: &ContainerFacts,
) -> Result<(), PlanError> {
    let Some(first) = first(pod, facts) else { return Ok(()) };
    let (uid, gid) = ids(&steps.ops, &container.name)?;
    let owner = (first + uid, first + gid);
    for op in &mut steps.ops {
        if let Op::ChangeDirectory { create_as, .. } = op {
            *create_as = create_as.map(|_| owner);
        }
    }
    let made_here = mounts::usual_devices();
    for op in &mut steps.ops {
        match op {
            // The host's devices stay the host's, whatever the manifest lets it see.
            Op::MakeDevice { path, owner, .. } if made_here.contains(path) => *owner = (first, first),
            _ => {}
        }
    }
    steps.ops.retain(|op| !matches!(op, Op::ChownStdio { .. }));
    let namespace = steps.source(FdSource::Users);
    let last = steps.ops.iter().position(is_last).unwrap_or(steps.ops.len());
    let made = steps.ops.iter().position(|op| matches!(op, Op::Unshare { .. }));
    let mut enter = vec![Op::ChownStdio { uid: owner.0, gid: owner.1 }, Op::JoinUsers { namespace, first }];
    // Who joins a member is in a mount namespace of that kind already.
    enter.extend(made.map(|_| Op::Unshare { namespaces: vec![Namespace::Mount] }));
    steps.ops.splice(last..last, enter);
    if let Some(at) = made {
        steps.ops.insert(at, Op::MakeAs { uid: first, gid: first });
    }
    Ok(())
}

/// What only the namespace's own root may do, or is for the member alone.
fn is_last(op: &Op) -> bool {
    matches!(op, Op::SetUser { .. } | Op::Seccomp { .. })
}

/// Who the member will be, in its own terms.
fn ids(ops: &[Op], container: &str) -> Result<(u32, u32), PlanError> {
    let Some((uid, gid, groups)) = ops.iter().find_map(|op| match op {
        Op::SetUser { uid, gid, groups } => Some((*uid, *gid, groups)),
        _ => None,
    }) else {
        return Ok((0, 0));
    };
    let with_field = [(uid, "securityContext.runAsUser"), (gid, "securityContext.runAsGroup")];
    let groups = groups.iter().map(|group| (*group, "securityContext.supplementalGroups"));
    match with_field.into_iter().chain(groups).find(|(id, _)| *id >= IDS) {
        Some((id, field)) => Err(PlanError::of(container, field, Problem::NotInNamespace(id))),
        None => Ok((uid, gid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept_apart_and_found_until_there_are_none() {
        let mut taken = std::collections::BTreeSet::new();
        for pod in 0..RANGES {
            let first = choose(&format!("pod-{pod}"), |first| taken.contains(&first)).expect("there are more");
            assert!(first >= FIRST && first.is_multiple_of(IDS) && first < 0x8000_0000);
            assert!(taken.insert(first), "nobody else has it");
        }
        assert_eq!(choose("one-more", |first| taken.contains(&first)), None);
        assert_eq!(choose("a", |_| false), choose("a", |_| false));
        assert_ne!(choose("a", |_| false), choose("b", |_| false));
    }

    fn confined(ops: Vec<Op>) -> Result<Vec<Op>, PlanError> {
        let mut steps = Steps { ops, ..Steps::default() };
        let pod = Pod { host_users: false, ..super::super::samples::pod() };
        let facts = ContainerFacts { users: Some(FIRST + IDS), ..ContainerFacts::default() };
        confine(&mut steps, &pod, &super::super::samples::container("a"), &facts)?;
        Ok(steps.ops)
    }

    #[test]
    fn it_is_entered_before_the_user_and_the_filter_and_after_every_mount() {
        let user = || Op::SetUser { uid: 5, gid: 6, groups: vec![6] };
        let filter = || Op::Seccomp { program: Vec::new() };
        let ops = vec![Op::Unshare { namespaces: Vec::new() }, Op::PivotRoot, filter(), user()];
        let ops = confined(ops).expect("plans");
        let place = |wanted: fn(&Op) -> bool| ops.iter().position(wanted).expect("is there");
        let entered = place(|op| matches!(op, Op::JoinUsers { first, .. } if *first == FIRST + IDS));
        assert!(place(|op| matches!(op, Op::PivotRoot)) < entered);
        assert!(entered < place(|op| matches!(op, Op::Seccomp { .. })));
        assert_eq!(ops[0], Op::MakeAs { uid: FIRST + IDS, gid: FIRST + IDS });
        assert!(ops.contains(&Op::ChownStdio { uid: FIRST + IDS + 5, gid: FIRST + IDS + 6 }));
        assert!(ops.contains(&user()), "inside it is who it was");
    }

    #[test]
    fn ids_beyond_it_are_refused() {
        for (uid, gid, groups) in [(IDS, 0, vec![]), (0, IDS, vec![]), (0, 0, vec![7, IDS])] {
            assert!(confined(vec![Op::SetUser { uid, gid, groups }]).is_err());
        }
        assert!(confined(vec![Op::SetUser { uid: IDS - 1, gid: IDS - 1, groups: vec![] }]).is_ok(), "control");
    }
}
