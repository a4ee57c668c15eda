//! The other Pods of the node in a Pod's `/etc/hosts`: which lines there are to be, and how a file that members read at any
//! moment gets them.
//!
//! A line is only ever added at the end, or made a comment by its first byte, each with one write: a reader finds it whole
//! or not at all. Pure. Must never take a name from those that the file has otherwise (`localhost`, the Pod's own, aliases).

use std::collections::HashSet;
use std::net::IpAddr;

/// What stands before them.
const MARK: &str = "# Other Pods of this node.\n";
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
    let wanted = lines(own, namespace, name, all);
    let (mut present, mut edits, mut at, mut stale) = (HashSet::new(), Vec::new(), own.len() + MARK.len(), 0);
    for line in text[at..].split_inclusive('\n') {
        if line.starts_with('#') {
            stale += line.len();
        } else if wanted.iter().any(|one| one == line) {
            present.insert(line);
        } else {
            edits.push(Edit::Strike(at as u64));
        }
        at += line.len();
    }
    if stale > STALE_MAX {
        return vec![Edit::Rewrite(with_neighbours(own, namespace, name, all))];
    }
    let missing: String = wanted.iter().filter(|line| !present.contains(line.as_str())).map(String::as_str).collect();
    edits.extend((!missing.is_empty()).then_some(Edit::Append(missing)));
    edits
}

fn lines(own: &str, namespace: &str, name: &str, all: &[Neighbour]) -> Vec<String> {
    let of_the_file = |line: &str| {
        line.split('#').next().unwrap_or("").split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let taken: HashSet<String> = own.lines().flat_map(of_the_file).map(|name| name.to_ascii_lowercase()).collect();
    let others = all.iter().filter(|pod| (pod.namespace.as_str(), pod.name.as_str()) != (namespace, name));
    let line = |pod: &Neighbour| {
        let names: Vec<_> = pod.names(namespace).into_iter().filter(|name| !taken.contains(name)).collect();
        (!names.is_empty()).then(|| format!("{}\t{}\n", pod.address, names.join("\t")))
    };
    others.filter_map(line).collect()
}

impl Neighbour {
    /// Its names for Pods of this namespace, the shortest first. A name with a dot could be that of somebody on the network,
    /// so it is not given without the namespace.
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
            "# Other Pods of this node.\n10.0.0.3\tyou\tyou.apps\n10.0.0.4\tthem.other\n10.0.0.5\tweb-0\tweb-0.apps\t\
             web-0.web\tweb-0.web.apps\tweb-0.web.apps.svc\tweb-0.web.apps.svc.cluster.local\n"
        );
    }

    #[test]
    fn nobody_takes_a_name_that_is_somebodys() {
        let all = ["localhost", "db", "me", "example.org"].map(|name| pod("apps", name, 7));
        let text = with_neighbours(OWN, "apps", "me", &all);
        let lines: Vec<_> = text.strip_prefix(OWN).unwrap().lines().skip(1).collect();
        assert_eq!(lines, ["10.0.0.7\tlocalhost.apps", "10.0.0.7\tdb.apps", "10.0.0.7\texample.org.apps"]);
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
        assert!(now.contains("\n#0.0.0.3\ta\ta.apps\n10.0.0.4\tb"), "{now}");
        assert!(now.ends_with("10.0.0.9\ta\ta.apps\n10.0.0.3\tc\tc.apps\n"), "{now}");
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

    #[test]
    fn a_file_that_a_member_spoilt_is_left_alone() {
        assert_eq!(edits("anything", "apps", "me", &[pod("apps", "a", 1)]), []);
    }
}
