//! Who a member runs as, from the manifest and the image's own `/etc/passwd` and `/etc/group`.
//!
//! Those files are hostile: the text is bounded by whoever read it, a line that does not parse is no entry, ids above
//! 2147483647 are none (CVE-2024-40635), and a home directory counts only if it is a plain absolute path, so that it
//! cannot carry a second line into whatever prints it (CVE-2026-15809). A number is digits and nothing else; what is
//! not a number is a name, and an unknown name is an error, never a guess (CVE-2026-30892).
//! The primary group is always among the supplementary ones, else a member escapes a rule that denies it to a group
//! (CVE-2022-36109).

use super::refusal::Problem;
use crate::facts::ContainerFacts;
use crate::pod::{Groups, UserRef};

/// The largest id that nobody reads as negative.
const ID_MAX: u32 = i32::MAX as u32;
/// The kernel's `NGROUPS_MAX` is 65536; an image needs no more than this.
const GROUPS_MAX: usize = 256;
/// Bytes of a home directory (`PATH_MAX`).
const HOME_MAX: usize = 4096;

/// A resolved user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, the primary one first.
    pub groups: Vec<u32>,
    /// Home directory; `/` when the image does not say.
    pub home: String,
}

impl User {
    /// The same with the Pod's groups: besides the image's, or in place of them. The primary one stays.
    #[must_use]
    pub fn with(mut self, groups: &Groups) -> Self {
        if groups.strict {
            self.groups.truncate(1);
        }
        for gid in &groups.more {
            if !self.groups.contains(gid) {
                self.groups.push(*gid);
            }
        }
        self
    }
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Resolves `user` (root when absent), with `group` in place of the primary group the image gives.
///
/// # Errors
/// Names the image does not have, ids that are too large, text that is neither.
pub fn resolve(user: Option<&UserRef>, group: Option<u32>, facts: &ContainerFacts) -> Result<User, Problem> {
    let (user, named_group) = match user {
        None => (Ok(0), None),
        Some(UserRef::Id(uid)) => (Ok(*uid), None),
        Some(UserRef::Name(text)) => split(text)?,
    };
    let passwd = facts.passwd.as_deref();
    let (uid, entry) = match user {
        Ok(uid) => (uid, passwd.and_then(|text| entries(text).find(|entry| entry.uid == uid))),
        Err(name) => by_name(name, passwd).map(|entry| (entry.uid, Some(entry)))?,
    };
    let gid = match (group, named_group) {
        (Some(gid), _) => gid,
        (None, Some(named)) => group_id(named, facts.group.as_deref())?,
        (None, None) => entry.as_ref().map_or(0, |entry| entry.gid),
    };
    let (uid, gid) = (checked(uid)?, checked(gid)?);
    let groups = memberships(gid, entry.as_ref().map(|entry| entry.name), facts.group.as_deref());
    let home = entry.map_or("/", |entry| plain_home(entry.home)).to_owned();
    Ok(User { uid, gid, groups, home })
}

/// `user` or `user:group`; a user is a number (`Ok`) or a name (`Err`).
type Split<'a> = (Result<u32, &'a str>, Option<&'a str>);

fn split(text: &str) -> Result<Split<'_>, Problem> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if user.is_empty() || group.is_some_and(|group| group.is_empty() || group.contains(':')) {
        return Err(Problem::UserSyntax(text.to_owned()));
    }
    Ok((number(user)?.ok_or(user), group))
}

/// `Some` for digits only; digits that are too large are an error and not a name.
fn number(text: &str) -> Result<Option<u32>, Problem> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Problem::IdTooLarge(text.to_owned()))
}

fn checked(id: u32) -> Result<u32, Problem> {
    if id > ID_MAX { Err(Problem::IdTooLarge(id.to_string())) } else { Ok(id) }
}

fn by_name<'a>(name: &str, passwd: Option<&'a str>) -> Result<Entry<'a>, Problem> {
    let text = passwd.ok_or_else(|| Problem::NoUserFile(name.to_owned()))?;
    entries(text).find(|entry| entry.name == name).ok_or_else(|| Problem::UnknownUser(name.to_owned()))
}

fn group_id(named: &str, group: Option<&str>) -> Result<u32, Problem> {
    if let Some(gid) = number(named)? {
        return Ok(gid);
    }
    let text = group.ok_or_else(|| Problem::NoUserFile(named.to_owned()))?;
    let found = groups(text).find(|(name, _, _)| *name == named).map(|(_, gid, _)| gid);
    found.ok_or_else(|| Problem::UnknownGroup(named.to_owned()))
}

fn memberships(gid: u32, name: Option<&str>, group: Option<&str>) -> Vec<u32> {
    let mut found = vec![gid];
    let listed = groups(group.unwrap_or(""))
        .filter(|(_, _, members)| name.is_some_and(|name| members.split(',').any(|member| member == name)));
    for (_, gid, _) in listed.take(GROUPS_MAX) {
        if !found.contains(&gid) {
            found.push(gid);
        }
    }
    found
}

/// `name:password:uid:gid:comment:home:shell`
fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let (uid, gid) = (id(fields.nth(1)?)?, id(fields.next()?)?);
        Some(Entry { name, uid, gid, home: fields.nth(1).unwrap_or("/") })
    })
}

/// `name:password:gid:members`
fn groups(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some((name, id(fields.nth(1)?)?, fields.next().unwrap_or("")))
    })
}

fn id(text: &str) -> Option<u32> {
    number(text).ok().flatten().filter(|id| *id <= ID_MAX)
}

fn plain_home(home: &str) -> &str {
    let plain = home.starts_with('/') && home.len() <= HOME_MAX && !home.chars().any(char::is_control);
    if plain { home } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001::/home/app:/bin/sh\n\
        1000:x:5:5::/five:\nhuge:x:4294967296:0::/:\nwrap:x:4294967295:0::/:\nneg:x:-1:0::/:\nodd:x:7:7::relative:\n\
        tab:x:8:8::/a\tb:\n";
    const GROUP: &str = "root:x:0:\nvideo:x:44:other,app\nstaff:x:50:application\napp:x:1001:\nwheel:x:10:root,app\n";

    fn facts() -> ContainerFacts {
        ContainerFacts { passwd: Some(PASSWD.to_owned()), group: Some(GROUP.to_owned()), ..ContainerFacts::default() }
    }

    fn named(text: &str) -> Result<User, Problem> {
        resolve(Some(&UserRef::Name(text.to_owned())), None, &facts())
    }

    #[test]
    fn nobody_asked_for_is_root_with_its_groups() {
        let user = resolve(None, None, &facts()).expect("resolves");
        assert_eq!((user.uid, user.gid, user.groups.as_slice()), (0, 0, [0, 10].as_slice()));
        assert_eq!(user.home, "/root");
        assert_eq!(resolve(None, None, &ContainerFacts::default()).expect("resolves").home, "/");
    }

    #[test]
    fn names_and_numbers() {
        let app = named("app").expect("resolves");
        assert_eq!((app.uid, app.gid, app.groups.clone()), (1000, 1001, vec![1001, 44, 10]));
        assert_eq!(named("1000"), Ok(app), "digits are a number, though a user is called 1000");
        assert_eq!(named("app:video").expect("resolves").gid, 44);
        assert_eq!(named("12:34").map(|user| (user.uid, user.gid)), Ok((12, 34)));
        assert_eq!(resolve(Some(&UserRef::Id(1000)), Some(9), &facts()).expect("resolves").groups, [9, 44, 10]);
    }

    #[test]
    fn the_pods_groups_join_or_replace_the_images() {
        let groups = |strict| Groups { more: vec![44, 7], strict };
        let app = || named("app").expect("resolves");
        assert_eq!(app().with(&groups(false)).groups, [1001, 44, 10, 7]);
        assert_eq!(app().with(&groups(true)).groups, [1001, 44, 7]);
    }

    #[test]
    fn cve_2024_40635_large_ids_are_refused_and_never_wrap() {
        for text in ["2147483648", "4294967295", "4294967296", "18446744073709551616", "0:2147483648"] {
            assert!(matches!(named(text), Err(Problem::IdTooLarge(_))), "{text}");
        }
        assert!(resolve(Some(&UserRef::Id(u32::MAX)), None, &facts()).is_err());
        assert!(named("2147483647").is_ok(), "control");
        for name in ["huge", "wrap", "neg"] {
            assert_eq!(named(name), Err(Problem::UnknownUser(name.to_owned())));
        }
    }

    #[test]
    fn cve_2026_30892_what_does_not_parse_is_never_a_user() {
        for text in ["", ":", "app:", ":app", "a:b:c", "+5", " 5", "5 ", "0x0", "-1", "nobody", "broken"] {
            assert!(named(text).is_err(), "{text:?}");
        }
        let nameless = resolve(Some(&UserRef::Name("app".to_owned())), None, &ContainerFacts::default());
        assert_eq!(nameless, Err(Problem::NoUserFile("app".to_owned())));
    }

    #[test]
    fn cve_2026_15809_a_home_that_is_no_plain_path_is_ignored() {
        assert_eq!(named("odd").expect("resolves").home, "/");
        assert_eq!(named("tab").expect("resolves").home, "/");
        assert_eq!(named("app").expect("resolves").home, "/home/app", "control");
    }
}
