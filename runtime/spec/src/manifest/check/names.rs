//! Rules for names, in the API server's words (apimachinery pkg/util/validation).

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const ENV: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";

/// What is wrong with a name; nothing when all is well.
pub type Faults = Vec<String>;

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn faults(text: &str, limit: usize, fits: bool, rule: &str) -> Faults {
    let mut faults = Faults::new();
    if text.len() > limit {
        faults.push(too_long(limit));
    }
    if !fits {
        faults.push(rule.to_owned());
    }
    faults
}

/// IsDNS1123Label: at most 63 of `a-z0-9-`, no `-` at the ends.
pub fn label(text: &str) -> Faults {
    faults(text, 63, is_label(text), LABEL)
}

/// IsDNS1123Subdomain: labels joined by dots, at most 253.
pub fn subdomain(text: &str) -> Faults {
    faults(text, 253, text.split('.').all(is_label), SUBDOMAIN)
}

/// The beginning of a generated name: a subdomain once five letters follow.
pub fn generated_prefix(text: &str) -> Faults {
    subdomain(&format!("{}a", text.get(..text.len().min(252)).unwrap_or(text)))
}

/// IsQualifiedName: `[prefix/]name`.
pub fn qualified(text: &str) -> Faults {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let mut all = Faults::new();
    match prefix {
        Some("") => all.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => all.extend(subdomain(prefix).into_iter().map(|fault| format!("prefix part {fault}"))),
        None => {}
    }
    if name.is_empty() {
        all.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        all.push(format!("name part {}", too_long(63)));
    }
    if !is_word(name) {
        all.push(QUALIFIED.to_owned());
    }
    all
}

/// IsValidLabelValue.
pub fn label_value(text: &str) -> Faults {
    faults(text, 63, text.is_empty() || is_word(text), LABEL_VALUE)
}

/// IsRelaxedEnvVarName.
pub fn env(text: &str) -> Faults {
    let fits = !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
    faults(text, usize::MAX, fits, ENV)
}

/// IsValidPortName: at most 15 of `a-z0-9-` with a letter among them.
pub fn port(text: &str) -> Faults {
    let mut all = Faults::new();
    let mut rule = |broken: bool, words: &str| {
        if broken {
            all.push(words.to_owned());
        }
    };
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    rule(text.len() > 15, "must be no more than 15 characters");
    rule(!text.bytes().all(allowed), "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    rule(!text.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    rule(text.contains("--"), "must not contain consecutive hyphens");
    rule(text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen");
    all
}

fn is_label(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_word(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    edge(text.bytes().next()) && edge(text.bytes().last()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains() {
        for good in ["a", "0", "a-b", "123-abc", &"a".repeat(63)] {
            assert!(label(good).is_empty(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert_eq!(label(bad).len(), 1, "{bad}");
        }
        assert!(subdomain("a.b-c.d").is_empty());
        for bad in ["a..b", ".a", "a.", "a.-b", &"a".repeat(254)] {
            assert_eq!(subdomain(bad).len(), 1, "{bad}");
        }
        assert!(generated_prefix("web-").is_empty() && generated_prefix("web.").is_empty());
        assert_eq!(generated_prefix("-web").len(), 1);
        assert_eq!(label("A").remove(0), LABEL);
    }

    #[test]
    fn qualified_names_values_env_and_ports() {
        assert!(qualified("dwell.dev/pids-limit").is_empty() && qualified("A_b.c").is_empty());
        for bad in ["", "/a", "a/", "a/b/c", "A/b", "-a", &"a".repeat(64)] {
            assert!(!qualified(bad).is_empty(), "{bad}");
        }
        assert!(label_value("").is_empty() && label_value("a_B.c").is_empty());
        assert!(!label_value("a b").is_empty() && !label_value("-").is_empty());
        assert!(env("A.b-c 1").is_empty());
        assert!(!env("").is_empty() && !env("A=B").is_empty() && !env("Ä").is_empty() && !env("a\n").is_empty());
        assert!(port("http-2").is_empty());
        for bad in ["", "80", "HTTP", "a--b", "-a", "a-", "abcdefghijklmnop"] {
            assert!(!port(bad).is_empty(), "{bad}");
        }
    }
}
