//! Runs a group's Pod with its fields and without them, and says which looks did not see what they must, or saw the same
//! without.

use serde_json::{Value, json};

use crate::bench::{Bench, status};
use crate::merge::merge;
use crate::table::{Answer, At, Group, Look, When};

/// A shell's view of the guest that lives beside it: `worker NAME` is a line of its process's status, white space once,
/// and `$p` the path of that process's command line. Once its last wall stands.
const BESIDE: &str = r#"worker() {
until p=$(grep -l "^dwell-worker" /proc/[0-9]*/cmdline 2>/dev/null | head -n 1) && [ "$p" ] &&
grep -q "^Seccomp:.2" "${p%cmdline}status"; do sleep 0.02; done
sed -n "s/^$1:[^0-9a-f]*//p" "${p%cmdline}status" | tr "\\t" " "
}
"#;

/// What is wrong with its rows.
pub fn wrong(bench: &Bench, group: &Group) -> Vec<String> {
    let run = Run { bench, group, scripts: scripts(group), guests: guests(group) };
    if looks(group).next().is_none() {
        return Vec::new();
    }
    let (with, without) = (run.seen(When::With), run.seen(When::Without));
    let mut wrong = Vec::new();
    for ((path, look), (with, without)) in looks(group).zip(with.iter().zip(&without)) {
        let want = Look { at: look.at.clone(), exact: look.exact, want: bench.filled(&look.want) };
        let place = format!("rows/{}.txt, {path}, {:?}: want {:?}", group.file, look.at, want.want);
        if !want.holds(with) {
            wrong.push(format!("{place}, saw {with:?}"));
        }
        if want.holds(without) {
            wrong.push(format!("{place}, and saw it without the field, too: {without:?}"));
        }
    }
    wrong
}

fn looks(group: &Group) -> impl Iterator<Item = (&str, &Look)> {
    let answers = group.rows.iter().flat_map(|row| row.answers.iter().map(|(_, answer)| (&*row.paths[0], answer)));
    answers.filter_map(|(path, answer)| match answer {
        Answer::Look(look) => Some((path, look)),
        _ => None,
    })
}

fn unique(all: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    all.fold(Vec::new(), |mut found, one| {
        if !found.contains(&one) {
            found.push(one);
        }
        found
    })
}

fn scripts(group: &Group) -> Vec<&'static str> {
    unique(looks(group).filter_map(|(_, look)| match look.at {
        At::Script(script) => Some(script),
        _ => None,
    }))
}

fn guests(group: &Group) -> Vec<&'static str> {
    unique(looks(group).filter_map(|(_, look)| match look.at {
        At::Guest(words, _) => Some(words),
        _ => None,
    }))
}

struct Run<'a> {
    bench: &'a Bench,
    group: &'a Group,
    scripts: Vec<&'static str>,
    guests: Vec<&'static str>,
}

impl Run<'_> {
    /// What each look saw, in their order.
    fn seen(&self, when: When) -> Vec<String> {
        let name = self.name();
        let documents = self.group.also.iter().map(|text| (*text).to_owned()).chain([self.pod(when).to_string()]);
        let manifest = documents.collect::<Vec<_>>().join("\n---\n");
        let path = self.bench.node.file(&format!("{name}.yaml"), &manifest);
        let said = self.bench.node.dwell(&["run", "-d", path.to_str().expect("a readable path")]);
        if said.code != 0 {
            assert!(when == When::Without, "{}: {said:#?}", self.group.name);
            return looks(self.group).map(|_| format!("not run: {}", said.err)).collect();
        }
        let pod = self.bench.node.wait_for(&name, "the end of all looks", |pod| self.is_over(pod));
        let found = looks(self.group).map(|(_, look)| self.look(&pod, look)).collect();
        self.bench.remove(&name);
        found
    }

    fn name(&self) -> String {
        let letters = |letter: char| if letter.is_ascii_lowercase() { letter } else { '-' };
        self.group.name.to_lowercase().chars().map(letters).collect()
    }

    fn pod(&self, when: When) -> Value {
        let mut containers = vec![self.bench.shell("native", &self.script(), &json!({}))];
        let guests = self.guests.iter().enumerate().map(|(number, words)| {
            let (file, args) =
                words.split_once(' ').map_or((*words, Vec::new()), |(file, args)| (file, args.split(' ').collect()));
            self.bench.container(&format!("guest-{number}"), file, &json!({"args": args}))
        });
        containers.extend(guests);
        let members = self.group.members.iter();
        containers.extend(members.map(|[name, kind, json]| self.bench.container(name, kind, &self.bench.json(json))));
        let mut pod = self.bench.pod(&self.name(), &containers, &json!({}));
        let parts = self.group.parts.iter().filter(|part| part.when == When::Always || part.when == when);
        parts.for_each(|part| put(&mut pod, part.place, &self.bench.json(part.json)));
        pod
    }

    /// All scripts one after the other, each behind a line of its own.
    fn script(&self) -> String {
        let each = |(number, script): (usize, &&str)| format!("echo '<{number}>'; ( {script} ) 2>&1; ");
        let all: String = self.scripts.iter().enumerate().map(each).collect();
        format!("{BESIDE}{all}echo '<{}>'", self.scripts.len())
    }

    fn is_over(&self, pod: &Value) -> bool {
        let phase = &pod["status"]["phase"];
        let guests = (0..self.guests.len()).map(|number| format!("guest-{number}"));
        let members = self.group.members.iter().map(|[name, ..]| (*name).to_owned());
        let waited = guests.chain(members).filter(|name| !name.starts_with("lives")).chain(["native".to_owned()]);
        let ended = |name: String| status(pod, &name)["state"]["terminated"].is_object();
        phase == "Succeeded" || phase == "Failed" || waited.into_iter().all(ended)
    }

    fn look(&self, pod: &Value, look: &Look) -> String {
        let name = self.name();
        let of = |container: &str, pointer: Option<&str>| match pointer {
            Some(pointer) => text(status(pod, container).pointer(pointer)),
            None => self.bench.log(&name, container),
        };
        match &look.at {
            At::Script(script) => self.printed(script),
            At::Guest(words, pointer) => of(&format!("guest-{}", place(&self.guests, words)), *pointer),
            At::Member(member, pointer) => of(member, *pointer),
            At::Pod(pointer) => text(pod.pointer(pointer)),
        }
    }

    fn printed(&self, script: &str) -> String {
        let number = place(&self.scripts, script);
        let log = self.bench.log(&self.name(), "native");
        let from = log.split_once(&format!("<{number}>\n")).map(|(_, rest)| rest);
        let part = from.and_then(|rest| rest.split_once(&format!("<{}>\n", number + 1)));
        part.map_or_else(|| format!("nothing: {log}"), |(part, _)| part.to_owned())
    }
}

fn place(list: &[&str], of: &str) -> usize {
    list.iter().position(|one| *one == of).expect("every look is in the list")
}

fn text(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Merges a part where it belongs.
fn put(pod: &mut Value, place: &str, part: &Value) {
    match place {
        "spec" => merge(&mut pod["spec"], part),
        "meta" => merge(&mut pod["metadata"], part),
        _ => {
            let containers = pod["spec"]["containers"].as_array_mut().expect("a list");
            let is_meant =
                |name: &str| place == "each" || name == place || (place == "guest" && name.starts_with("guest-"));
            let meant = containers.iter_mut().filter(|one| one["name"].as_str().is_some_and(is_meant));
            meant.for_each(|container| merge(container, part));
        }
    }
}
