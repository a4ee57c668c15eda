//! Landlock: no path but the grants, no right on them but reading and, where planned, writing; never execution.
//!
//! An open directory is no exemption (the kernel checks what is opened beneath it), so every grant has a rule. Kernels
//! without Landlock, or with less of it (network since 6.7, scopes since 6.12), give what they have: the mounts, the
//! namespaces and seccomp stand without it. Rule's source: landlock(7).

use crate::grants::Grant;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};

/// The newest version whose rights were looked at one by one.
const KNOWN: ABI = ABI::V6;

/// Restricts this thread, and threads it makes later, to the grants. Also sets no_new_privs.
///
/// # Errors
/// The kernel has Landlock and refuses the rules.
pub fn raise(grants: &[Grant], network: bool) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?;
    if !network {
        rules = rules.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    }
    let mut rules = rules.create()?;
    for grant in grants {
        rules = rules.add_rule(PathBeneath::new(&grant.fd, rights(grant)))?;
    }
    rules.restrict_self()
}

fn rights(grant: &Grant) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let change = AccessFs::WriteFile | AccessFs::Truncate;
    let make = AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    match (grant.writable, grant.fixed) {
        (false, _) => read,
        (true, true) => read | change,
        (true, false) => read | change | make,
    }
}
