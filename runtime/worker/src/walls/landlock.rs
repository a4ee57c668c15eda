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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{self, ErrorKind};
    use std::path::{Path, PathBuf};

    /// What a thread may still do: in a folder that is granted to read, one to write, one of single files, and one that is
    /// not granted; and over the network.
    #[derive(Debug, PartialEq, Eq)]
    struct Allowed {
        read: [bool; 4],
        change: [bool; 4],
        make: [bool; 4],
        execute: bool,
    }

    const FOLDERS: [&str; 4] = ["read", "write", "files", "none"];

    fn is_allowed<T>(tried: io::Result<T>) -> bool {
        match tried {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn try_all(top: &Path) -> Allowed {
        let at = |name: &str| FOLDERS.map(|folder| top.join(folder).join(name));
        let make = at("new").map(|path| is_allowed(fs::File::create_new(&path)));
        at("new").iter().for_each(|path| drop(fs::remove_file(path)));
        Allowed {
            read: at("file").map(|path| is_allowed(fs::read(path))),
            change: at("file").map(|path| is_allowed(fs::OpenOptions::new().write(true).open(path))),
            make,
            execute: is_allowed(std::process::Command::new(top.join("write/program")).status()),
        }
    }

    fn grant(top: &Path, folder: &str, writable: bool, fixed: bool) -> Grant {
        use rustix::fs::{Mode, OFlags, open};
        let fd = open(top.join(folder), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        Grant { fd, guest: String::new(), writable, fixed }
    }

    fn folders() -> PathBuf {
        let top = std::env::temp_dir().join(format!("dwell-landlock-{}", std::process::id()));
        for folder in FOLDERS {
            fs::create_dir_all(top.join(folder)).unwrap();
            fs::write(top.join(folder).join("file"), "x").unwrap();
        }
        fs::copy("/bin/true", top.join("write/program")).unwrap();
        top
    }

    #[test]
    fn nothing_is_left_but_the_grants() {
        let top = folders();
        let all = Allowed { read: [true; 4], change: [true; 4], make: [true; 4], execute: true };
        assert_eq!(try_all(&top), all, "control: without the wall");
        // It binds this thread alone, and for good.
        let behind = std::thread::scope(|scope| {
            let tried = scope.spawn(|| {
                let grants = [
                    grant(&top, "read", false, false),
                    grant(&top, "write", true, false),
                    grant(&top, "files", true, true),
                ];
                let status = raise(&grants, false).unwrap();
                (status.ruleset != landlock::RulesetStatus::NotEnforced).then(|| try_all(&top))
            });
            tried.join().unwrap()
        });
        let kernel = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        fs::remove_dir_all(&top).unwrap();
        let Some(allowed) = behind else {
            return assert!(!kernel.contains("landlock"), "the kernel has it: {kernel}");
        };
        let left = Allowed {
            read: [true, true, true, false],
            change: [false, true, true, false],
            make: [false, true, false, false],
            execute: false,
        };
        assert_eq!(allowed, left);
    }
}
