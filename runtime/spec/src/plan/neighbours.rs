//! The other Pods of the node in a Pod's `/etc/hosts`: which lines there are to be, and how a file that members read at any
//! moment gets them.
//!
//! A line is only ever added at the end, or made a comment by its first byte, each with one write: a reader finds it whole
//! or not at all. Pure. Must never take a name from those that the file has otherwise (`localhost`, the Pod's own, aliases).

use std::collections::HashSet;
use std::net::IpAddr;

/// What stands before them.
const MARK: &str = "# Other Pods of this node.\n";
/// How a line of ours ends. Any other is a member's, and stays as it is.
const OURS: &str = "\t# dwell\n";
/// Bytes of names in a line: readers of such files take 511 bytes of one.
const LINE_MAX: usize = 400;
/// More changes than these at once are written as a whole.
const EDITS_MAX: usize = 64;
/// A file with as many bytes of comments is written anew.
const STALE_MAX: usize = 16 * 1024;

/// One Pod, as others find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `spec.hostname` and `spec.subdomain`, where it has a subdomain.
    pub full: Option<(String, String)>,
    /// Where it is.
    pub address: IpAddr,
}

/// What is to be done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The byte at this offset becomes `#`.
    Strike(u64),
    /// This goes to the end.
    Append(String),
    /// This replaces all.
    Rewrite(String),
}

/// The text of a file that has none of them, with all of them.
#[must_use]
pub fn with_neighbours(own: &str, namespace: &str, name: &str, all: &[Neighbour]) -> String {
    let lines = lines(own, namespace, name, all);
    own.to_owned() + MARK + &lines.concat()
}

/// What makes a file up to date; nothing for one that is no such file.
#[must_use]
pub fn edits(text: &str, namespace: &str, name: &str, all: &[Neighbour]) -> Vec<Edit> {
    let Some((own, _)) = text.split_once(MARK) else { return Vec::new() };
    let lines = lines(own, namespace, name, all);
    let wanted: HashSet<&str> = lines.iter().map(String::as_str).collect();
    let (mut present, mut edits, mut at, mut stale) = (HashSet::new(), Vec::new(), own.len() + MARK.len(), 0);
    let mut theirs = String::new();
    for line in text[at..].split_inclusive('\n') {
        if !line.ends_with(OURS) {
            theirs.push_str(line);
        } else if line.starts_with('#') {
            stale += line.len();
        } else if wanted.contains(line) {
            present.insert(line);
        } else {
            edits.push(Edit::Strike(at as u64));
        }
        at += line.len();
    }
    if stale > STALE_MAX || edits.len() > EDITS_MAX {
        let end = if theirs.is_empty() || theirs.ends_with('\n') { "" } else { "\n" };
        return vec![Edit::Rewrite(format!("{own}{MARK}{theirs}{end}{}", lines.concat()))];
    }
    let missing: String = lines.iter().filter(|line| !present.contains(line.as_str())).map(String::as_str).collect();
    if !missing.is_empty() {
        // A line that a member has not ended is not gone on with.
        edits.push(Edit::Append(if text.ends_with('\n') { missing } else { format!("\n{missing}") }));
    }
    edits
}

fn lines(own: &str, namespace: &str, name: &str, all: &[Neighbour]) -> Vec<String> {
    let of_the_file = |line: &str| {
        line.split('#').next().unwrap_or("").split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let taken: HashSet<String> = own.lines().flat_map(of_the_file).map(|name| name.to_ascii_lowercase()).collect();
    let others = all.iter().filter(|pod| (pod.namespace.as_str(), pod.name.as_str()) != (namespace, name));
    let lines = |pod: &Neighbour| {
        let names: Vec<_> = pod.names(namespace).into_iter().filter(|name| !taken.contains(name)).collect();
        in_lines(pod.address, &names)
    };
    others.flat_map(lines).collect()
}

fn in_lines(address: IpAddr, names: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len() + name.len() < LINE_MAX => *line += &format!("\t{name}"),
            _ => lines.push(format!("{address}\t{name}")),
        }
    }
    lines.into_iter().map(|line| line + OURS).collect()
}

impl Neighbour {
    /// Its names for Pods of this namespace, the shortest first. A Pod's name that has a dot is given with the namespace only.
    /// As with Services in Kubernetes, a name that is somebody's elsewhere is the Pod's here: `github` of namespace `com`.
    fn names(&self, seen_from: &str) -> Vec<String> {
        let Self { namespace, name, full, .. } = self;
        let near = namespace == seen_from;
        let mut names: Vec<String> = Vec::new();
        names.extend((near && !name.contains('.')).then(|| name.clone()));
        names.push(format!("{name}.{namespace}"));
        if let Some((hostname, subdomain)) = full {
            names.extend(near.then(|| format!("{hostname}.{subdomain}")));
            names.push(format!("{hostname}.{subdomain}.{namespace}"));
            names.push(format!("{hostname}.{subdomain}.{namespace}.svc"));
            names.push(format!("{hostname}.{subdomain}.{namespace}.svc.cluster.local"));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "127.0.0.1\tlocalhost\n10.0.0.2\tme\n10.9.9.9\tdb # an alias\n";

    fn pod(namespace: &str, name: &str, last: u8) -> Neighbour {
        let address = IpAddr::from([10, 0, 0, last]);
        Neighbour { namespace: namespace.into(), name: name.into(), full: None, address }
    }

    fn edited(text: &str, edits: &[Edit]) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for edit in edits {
            match edit {
                Edit::Strike(at) => bytes[*at as usize] = b'#',
                Edit::Append(more) => bytes.extend_from_slice(more.as_bytes()),
                Edit::Rewrite(all) => bytes = all.as_bytes().to_vec(),
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn neighbours_have_short_names_in_their_own_namespace() {
        let mut set = pod("apps", "web-0", 5);
        set.full = Some(("web-0".into(), "web".into()));
        let all = [pod("apps", "me", 2), pod("apps", "you", 3), pod("other", "them", 4), set];
        let text = with_neighbours(OWN, "apps", "me", &all);
        assert_eq!(
            text.strip_prefix(OWN).unwrap(),
            "# Other Pods of this node.\n10.0.0.3\tyou\tyou.apps\t# dwell\n10.0.0.4\tthem.other\t# dwell\n10.0.0.5\tweb-0\t\
             web-0.apps\tweb-0.web\tweb-0.web.apps\tweb-0.web.apps.svc\tweb-0.web.apps.svc.cluster.local\t# dwell\n"
        );
    }

    #[test]
    fn nobody_takes_a_name_that_is_somebodys() {
        let all = ["localhost", "db", "me", "example.org"].map(|name| pod("apps", name, 7));
        let text = with_neighbours(OWN, "apps", "me", &all);
        let lines: Vec<_> = text.strip_prefix(OWN).unwrap().lines().skip(1).collect();
        assert_eq!(
            lines,
            ["localhost.apps", "db.apps", "example.org.apps"].map(|name| format!("10.0.0.7\t{name}\t# dwell"))
        );
    }

    #[test]
    fn a_file_is_brought_up_to_date_line_by_line() {
        let before = [pod("apps", "a", 3), pod("apps", "b", 4)];
        let text = with_neighbours(OWN, "apps", "me", &before);
        assert_eq!(edits(&text, "apps", "me", &before), []);
        let after = [pod("apps", "b", 4), pod("apps", "a", 9), pod("apps", "c", 3)];
        let changes = edits(&text, "apps", "me", &after);
        assert!(matches!(changes[..], [Edit::Strike(_), Edit::Append(_)]), "{changes:?}");
        let now = edited(&text, &changes);
        assert!(now.contains("\n#0.0.0.3\ta\ta.apps\t# dwell\n10.0.0.4\tb"), "{now}");
        assert!(now.ends_with("10.0.0.9\ta\ta.apps\t# dwell\n10.0.0.3\tc\tc.apps\t# dwell\n"), "{now}");
        assert_eq!(edits(&now, "apps", "me", &after), []);
    }

    #[test]
    fn comments_do_not_pile_up() {
        let mut text = with_neighbours(OWN, "apps", "me", &[]);
        let mut rewritten = false;
        for n in 0..4000u32 {
            let all = [pod("apps", &format!("pod-{n}"), (n % 250) as u8)];
            let changes = edits(&text, "apps", "me", &all);
            rewritten |= matches!(changes[..], [Edit::Rewrite(_)]);
            text = edited(&text, &changes);
            assert!(text.len() < 2 * STALE_MAX);
        }
        assert!(rewritten);
    }

    /// Once, whatever stood after the mark was taken for ours, and struck out.
    #[test]
    fn what_members_write_stays_theirs() {
        let before = [pod("apps", "a", 3)];
        let text = with_neighbours(OWN, "apps", "me", &before) + "10.1.1.1 added\n\n# theirs\n10.2.2.2 unfinished";
        let after = [pod("apps", "b", 4)];
        let now = edited(&text, &edits(&text, "apps", "me", &after));
        assert!(now.contains("\n#0.0.0.3\ta"), "{now}");
        assert!(
            now.ends_with("10.1.1.1 added\n\n# theirs\n10.2.2.2 unfinished\n10.0.0.4\tb\tb.apps\t# dwell\n"),
            "{now}"
        );
        assert_eq!(edits(&now, "apps", "me", &after), []);
        let many: Vec<_> = (0..200).map(|n| pod("apps", &format!("pod-{n}"), n)).collect();
        let text = with_neighbours(OWN, "apps", "me", &many) + "10.1.1.1 added";
        let changes = edits(&text, "apps", "me", &after);
        assert!(
            matches!(&changes[..], [Edit::Rewrite(now)] if now.contains("10.1.1.1 added\n10.0.0.4\tb")),
            "{changes:?}"
        );
    }

    #[test]
    fn lines_are_as_short_as_their_readers_want_them() {
        let (long, namespace) = ("x".repeat(63), "y".repeat(63));
        let mut far = pod(&namespace, &long, 5);
        far.full = Some((long.clone(), long));
        let text = with_neighbours("", &namespace, "me", &[far]);
        assert!(text.lines().all(|line| line.len() < 511), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("10.0.0.5\t")).count(), 3, "{text}");
    }

    #[test]
    fn a_file_that_a_member_spoilt_is_left_alone() {
        assert_eq!(edits("anything", "apps", "me", &[pod("apps", "a", 1)]), []);
    }
}
