//! The two ends of a copy, from what was typed. Pure.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::output::sanitise::printable;

/// Where from, or where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A Pod (`NAME` or `NAMESPACE/NAME`), and a path in it.
    Member(String, Path),
    /// A path of this machine.
    Here(PathBuf),
    /// Standard input or output.
    Stream,
}

/// A path in a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// As it was typed.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The last part, if it is a name.
    pub fn name(&self) -> Option<&str> {
        let name = self.0.trim_end_matches("/.").trim_end_matches('/').rsplit('/').next()?;
        (!matches!(name, "" | "." | "..")).then_some(name)
    }

    /// Whether only what is in the folder is meant.
    pub fn is_contents(&self) -> bool {
        self.0 == "." || self.0.ends_with("/.")
    }

    /// The folder that holds the last part.
    pub fn folder(&self) -> String {
        let path = self.0.trim_end_matches('/');
        match path.rsplit_once('/') {
            Some(("", _)) => "/".to_owned(),
            Some((folder, _)) => folder.to_owned(),
            None => ".".to_owned(),
        }
    }
}

/// `POD:PATH` unless it begins like a path, `-`, or a path of this machine.
pub fn parse(text: &OsStr) -> Result<End, Failure> {
    let here = || Ok(End::Here(PathBuf::from(text)));
    if text.is_empty() {
        return Err(Failure::new("an empty name is no place for a copy"));
    }
    let Some(plain) = text.to_str().filter(|text| !text.starts_with(['/', '.'])) else { return here() };
    match plain.split_once(':') {
        _ if plain == "-" => Ok(End::Stream),
        None => here(),
        Some(("", _)) => Err(Failure::new(format!("{}: no Pod before the colon", printable(plain)))),
        Some((_, "")) => Err(Failure::new(format!("{}: no path behind the colon", printable(plain)))),
        Some((pod, path)) => Ok(End::Member(pod.to_owned(), Path(path.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let of = |text: &str| parse(OsStr::new(text)).ok();
        let member = |pod: &str, path: &str| Some(End::Member(pod.into(), Path(path.into())));
        assert_eq!(of("web:/etc/hosts"), member("web", "/etc/hosts"));
        assert_eq!(of("ns/web:a:b"), member("ns/web", "a:b"));
        assert_eq!((of("-"), of("a/b")), (Some(End::Stream), Some(End::Here("a/b".into()))));
        assert_eq!((of("./a:b"), of("/a:b")), (Some(End::Here("./a:b".into())), Some(End::Here("/a:b".into()))));
        assert_eq!((of(""), of(":x"), of("x:")), (None, None, None));
    }

    #[test]
    fn a_path_has_a_name_and_a_folder() {
        let all = |text: &str| {
            let path = Path(text.into());
            (path.name().map(str::to_owned), path.folder(), path.is_contents())
        };
        assert_eq!(all("/a/b"), (Some("b".into()), "/a".into(), false));
        assert_eq!(all("/a/"), (Some("a".into()), "/".into(), false));
        assert_eq!(all("a"), (Some("a".into()), ".".into(), false));
        assert_eq!(all("/a/."), (Some("a".into()), "/a".into(), true));
        assert_eq!((all("/").0, all("..").0, all(".")), (None, None, (None, ".".into(), true)));
    }
}
