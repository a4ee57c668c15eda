//! Why something cannot be planned: which container, which field, what about it. For people, before anything exists.

use std::fmt;

use crate::quantity::binary;

/// A Pod or container that cannot be run as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// The container, unless it is the Pod itself.
    pub container: Option<String>,
    /// The field in the manifest's words, as `securityContext.runAsUser`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Neither the image nor the manifest says what to execute.
    NoProgram,
    /// Asked to be native, but the image is a module.
    NativeModule,
    /// This host's architecture has no system call table here.
    Architecture(String),
    /// Not in the image's `/etc/passwd`.
    UnknownUser(String),
    /// Not in the image's `/etc/group`.
    UnknownGroup(String),
    /// A name, but the image has no such file.
    NoUserFile(String),
    /// Above 2147483647, where kernels, file systems and programs disagree about the sign (CVE-2024-40635).
    IdTooLarge(String),
    /// Not `user`, `user:group`, a number or `number:number`.
    UserSyntax(String),
    /// A name that is empty or holds `=`, or a name or value with a NUL byte.
    EnvironmentName(String),
    /// A NUL byte in an argument or path.
    NulByte(String),
    /// Not absolute, or with `..`.
    PathSyntax(String),
    /// A volume inside `/proc`, or over it.
    InsideProc(String),
    /// `/` of a native member.
    AtRoot,
    /// Two grants with the same name.
    TwiceMounted(String),
    /// A Wasm member's file that may be written, in a granted directory that may not.
    WritableInReadOnly(String),
    /// No such volume in the Pod.
    UnknownVolume(String),
    /// More descriptors than one birth carries.
    TooManyMounts(usize),
    /// No such ConfigMap or Secret in the Pod's namespace: kind, name.
    NoSettings(&'static str, String),
    /// It lacks the key: kind, name, key.
    NoKey(&'static str, String, String),
    /// The value cannot be a variable's: kind, name, key.
    NotText(&'static str, String, String),
    /// A name that its file lacks, or whose file is missing: volume, path, name.
    NoVariableInFile(String, String, String),
    /// A file of variables that cannot be read, or a value that cannot be one: volume, path, why.
    VariableFile(String, String, String),
    /// A container that the Pod does not have.
    UnknownContainer(String),
    /// `subPathExpr` names a variable that the container does not have.
    NoVariable(String),
    /// What `subPathExpr` came to, and why that will not do.
    SubPath(String, &'static str),
    /// Something about one of the Pod's volumes.
    InVolume(String, Box<Problem>),
    /// A path that two files of a volume would need differently.
    FileAndFolder(String),
    /// Strings expand to more than a program can be given.
    TooLong,
    /// An id that is not in the Pod's user namespace.
    NotInNamespace(u32),
    /// `runAsNonRoot`, and it would run as root.
    MustNotBeRoot,
    /// The file of a system call filter, and what is wrong with it.
    Filter(String, String),
    /// Asks for what only a native member can have; the sentence says why.
    NotForWasm(&'static str),
    /// Huge pages of this size in bytes, which the kernel does not have; those that it has.
    NoHugePages(u64, Vec<u64>),
    /// Beside a Wasm member only another module can run.
    ExecIntoWasm,
    /// The module waits for requests; a command was asked for.
    ServesOnly,
}

impl PlanError {
    /// About a field of a container.
    pub(super) fn of(container: &str, field: &'static str, problem: Problem) -> Self {
        Self { container: Some(container.to_owned()), field, problem }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(container) = &self.container {
            write!(f, "container {container}: ")?;
        }
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl std::error::Error for PlanError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram => f.write_str("nothing to execute: a plain root directory names no program, so give one"),
            Self::NativeModule => f.write_str("a wasm: image cannot run as a native member"),
            Self::Architecture(name) => {
                write!(f, "no default system call filter for architecture {name}")
            }
            Self::UnknownUser(name) => write!(f, "user {name:?} is not in the image's /etc/passwd"),
            Self::UnknownGroup(name) => {
                write!(f, "group {name:?} is not in the image's /etc/group")
            }
            Self::NoUserFile(name) => write!(f, "{name:?} is a name, and the image has no file to look it up in"),
            Self::IdTooLarge(id) => write!(f, "{id} is above 2147483647, the largest id"),
            Self::UserSyntax(text) => write!(f, "{text:?} is neither user, user:group, number nor number:number"),
            Self::EnvironmentName(name) => write!(f, "variable {name:?} has an empty name, a '=' in it or a NUL byte"),
            Self::NulByte(text) => write!(f, "{text:?} holds a NUL byte"),
            Self::PathSyntax(path) => {
                write!(f, "{path:?} must be absolute and without .. components")
            }
            Self::InsideProc(path) => {
                write!(f, "{path:?} would cover part of /proc, which dwell guards")
            }
            Self::AtRoot => f.write_str("a native member's root is its image; only a Wasm member takes a volume at /"),
            Self::TwiceMounted(path) => write!(f, "{path:?} is granted twice"),
            Self::WritableInReadOnly(path) => {
                write!(f, "{path:?} may be written, and lies in a directory that may not; make both the same")
            }
            Self::UnknownVolume(name) => write!(f, "the Pod has no volume {name:?}"),
            Self::TooManyMounts(count) => {
                write!(f, "{count} descriptors needed, at most {} fit", super::steps::SLOTS_MAX)
            }
            Self::NoSettings(kind, name) => {
                write!(f, "{kind} {name:?} not found (write it into the same file as the Pod)")
            }
            Self::NoKey(kind, name, key) => write!(f, "couldn't find key {key:?} in {kind} {name:?}"),
            Self::NotText(kind, name, key) => {
                write!(f, "key {key:?} of {kind} {name:?} is no text, which a variable must be")
            }
            Self::NoVariableInFile(volume, path, key) => {
                write!(f, "environment variable key {key:?} not found in file {path:?} of volume {volume:?}")
            }
            Self::VariableFile(volume, path, why) => write!(f, "file {path:?} of volume {volume:?}: {why}"),
            Self::UnknownContainer(name) => write!(f, "the Pod has no container {name:?}"),
            Self::NoVariable(name) => write!(f, "missing value for {name:?}"),
            Self::SubPath(path, fault) => write!(f, "{path:?} {fault}"),
            Self::InVolume(name, problem) => write!(f, "volume {name:?}: {problem}"),
            Self::FileAndFolder(path) => write!(f, "{path:?} would be both a file and a folder"),
            Self::TooLong => f.write_str("its strings expand to more than a program can be given"),
            Self::NotInNamespace(id) => {
                write!(f, "{id} is no id of the Pod's user namespace (hostUsers: false), which has 0 to 65535")
            }
            Self::MustNotBeRoot => {
                f.write_str("it must not run as root, and neither the manifest nor the image names another user")
            }
            Self::Filter(path, why) => write!(f, "{path}: {why}"),
            Self::NotForWasm(why) => f.write_str(why),
            Self::NoHugePages(page, has) => {
                let names: Vec<_> = has.iter().map(|page| binary(*page)).collect();
                let has =
                    if names.is_empty() { "none at all".to_owned() } else { format!("only {}", names.join(", ")) };
                write!(f, "this kernel has no huge pages of {}, {has}", binary(*page))
            }
            Self::ExecIntoWasm => f.write_str("beside a Wasm member only another module can run"),
            Self::ServesOnly => f.write_str("it serves requests, and has no entry point to run"),
        }
    }
}
